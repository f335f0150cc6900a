"""The answer in one sentence, with its interval, and what it does not say."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.aggregates import NORMALIZED_MEANING
from xtra_analysis.draws import spread_sentence
from xtra_analysis.findings import Findings
from xtra_analysis.text import counted, number, percent, probability, runs, span
from xtra_analysis.time_to_threshold import threshold_sentence


def answer(findings: Findings) -> str:
    """A sentence or two that answer the suite's question as far as the rows allow."""
    study = findings.study
    primary = findings.primary
    if primary is None:
        return "No run has finished yet, so there is no answer."
    if study.record.proves == "wiring":
        return (
            f"Everything ran: {counted(len(study.complete), 'run')} of {len(study.scores)} left a score. "
            "Runs this short prove the wiring, not learning, so they answer no question about methods."
        )
    group = next(method.group for method in study.record.methods if method.name == primary)
    drawn = spread_sentence(findings, group) if group in set(findings.draw_spread["group"]) else None
    return " ".join(filter(None, (threshold_sentence(findings), _final_sentence(findings, primary), drawn)))


def _final_sentence(findings: Findings, primary: str) -> str:
    ratio = findings.estimate(primary, "mean_ratio")
    if ratio is not None:
        return _ratio_sentence(findings, primary, ratio)
    iqm = findings.estimate(primary, "iqm")
    if iqm is not None:
        return _score_sentence(findings, primary, iqm)
    return f"{primary} has scores, but no reference to normalise them by; see the table of games."


def _ratio_sentence(findings: Findings, primary: str, ratio: pd.Series) -> str:
    baseline, change = str(ratio["baseline"]), float(ratio["estimate"]) - 1.0
    size = (
        f"{percent(abs(change))} {'higher' if change >= 0 else 'lower'} than {baseline}" if change else f"as high as {baseline}"
    )
    where = f"averaged over {counted(int(ratio['num_games']), 'game')}, {runs(ratio['min_runs'], ratio['max_runs'])} seeds each"
    if pd.isna(ratio["low"]):
        return f"{primary} scored {size}, {where}; {_no_interval(ratio)}."
    bounds = f"95 % interval {percent(ratio['low'] - 1)} to {percent(ratio['high'] - 1)}"
    return f"{primary} scored {size} ({bounds}), {where}. {_verdict(findings, primary, ratio)}"


def _verdict(findings: Findings, primary: str, ratio: pd.Series) -> str:
    clear = ratio["low"] > 1 or ratio["high"] < 1
    improvement = findings.estimate(primary, "probability_of_improvement")
    p_value = float(improvement["p_holm"]) if improvement is not None else float("nan")
    tested = "" if pd.isna(p_value) else f" ({_p_text(findings, p_value)})"
    if clear and (pd.isna(p_value) or p_value < 0.05):
        return f"The difference is larger than the seeds explain{tested}."
    if clear or p_value < 0.05:
        return f"Interval and rank test disagree{tested}, so the question stays open."
    return f"With these seeds that cannot be told from no difference{tested}."


def _p_text(findings: Findings, p_value: float) -> str:
    tests = int(findings.comparison["p_value"].notna().sum())
    size = f"p = {probability(p_value)}" if p_value >= 0.001 else f"p {probability(p_value)}"
    return f"{size}, corrected for {tests} comparisons" if tests > 1 else size


def _score_sentence(findings: Findings, primary: str, iqm: pd.Series) -> str:
    meaning = NORMALIZED_MEANING.get(findings.study.record.normalization, "")
    where = f"over {counted(int(iqm['num_games']), 'game')}, {runs(iqm['min_runs'], iqm['max_runs'])} seeds each"
    bounds = f"95 % interval {span(iqm['low'], iqm['high'])}" if pd.notna(iqm["low"]) else _no_interval(iqm)
    reached = f"{primary} reached a normalized score of {number(iqm['estimate'])} ({bounds}; {meaning}), {where}."
    improvement = findings.estimate(primary, "probability_of_improvement")
    if improvement is None:
        return reached
    chance = f"beats one of {improvement['baseline']} with probability {number(improvement['estimate'])}"
    return f"{reached} A run of it {chance} ({_p_text(findings, float(improvement['p_holm']))})."


def _no_interval(row: pd.Series) -> str:
    return "one seed gives no interval" if row["min_runs"] < 2 else "all seeds scored alike, which gives no interval"
