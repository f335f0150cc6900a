"""Time to threshold: the env steps after which a learning curve first reaches a set score.

A run that never does counts with its whole budget, so a mean is over "env steps until the score was reached, or the budget was
spent": the restricted mean of survival analysis (Royston and Parmar, 2013). It needs no guess about what lies beyond the budget.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.aggregates import estimate, mean
from xtra_analysis.columns import GAMES, METHOD, SEEDS, spoken
from xtra_analysis.drawing import interval_rows, label_steps, looks, mark, new_figure, xtra_style
from xtra_analysis.findings import Findings, TimeToThreshold
from xtra_analysis.intervals import generator, joint_estimate
from xtra_analysis.matrices import Array, game_means, games_with_values, score_matrix
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.significance import holm, permutation_test
from xtra_analysis.text import corrected, counted, p_sign, probability, whole, whole_span

TIME_REPS = 10_000
"""Resamples for each mean and each difference, as for ratios."""
TIME_COLUMNS = ["method", "game", "seed", "env_steps", "reached"]
TIME_DIFFERENCE_COLUMNS = [
    "method", "baseline", "estimate", "low", "high", "percentile_low", "percentile_high", "num_games", "min_runs", "max_runs",
    "p_value", "p_holm",
]  # fmt: skip


def time_to_threshold(
    curves: pd.DataFrame, score: float | None, baseline: str | None, seed: int = 0, looks: int = 1
) -> TimeToThreshold | None:
    """Estimates everything about reaching `score`; None without a score or without curves. Corrected p-values are multiplied by
    `looks`."""
    if score is None or curves.empty:
        return None
    runs = env_steps_to_threshold(curves, score)
    differences = pd.DataFrame(columns=TIME_DIFFERENCE_COLUMNS)
    if baseline is not None:
        differences = compare_time(runs, baseline, seed)
        differences["p_holm"] = (differences["p_holm"] * looks).clip(upper=1.0)
    budget = float(_common_spans(curves)["last"].max())
    return TimeToThreshold(score, budget, runs, estimate_time(runs, budget, seed), differences)


def env_steps_to_threshold(curves: pd.DataFrame, score: float) -> pd.DataFrame:
    """Makes one row per run of `curves`: the `env_steps` at which its raw score is first `score` or more, and whether it ever
    was.

    Between two evaluations the curve is taken to be straight. Curves of a game are read over the env steps that all of them span,
    so that two methods evaluated at 512 and at 500 are not told apart by that: a run that is there before counts with the start
    of this span, and one that is not there by its end with the end. A run of a single evaluation does not narrow that span.
    """
    spans = _common_spans(curves)
    rows = []
    for (method, game, seed), part in curves.groupby(["method", "game", "seed"], sort=False):
        points = part.sort_values("env_steps")
        times, scores = (points[name].to_numpy(dtype=np.float64) for name in ("env_steps", "score"))
        steps, reached = _first_crossing(times, scores, score)
        first, last = spans.loc[game]
        got_there = reached and steps <= last
        rows.append((method, game, seed, min(max(steps, first), last) if got_there else last, got_there))
    return pd.DataFrame(rows, columns=TIME_COLUMNS)


def _common_spans(curves: pd.DataFrame) -> pd.DataFrame:
    """Computes for each game the `first` and the `last` env step that all its curves of two points or more span; where it has
    none, those of all its evaluations."""
    ends = curves.groupby(["game", "method", "seed"])["env_steps"].agg(first="min", last="max").astype("float64")
    several = ends[ends["first"] < ends["last"]].groupby("game").agg(first=("first", "max"), last=("last", "min"))
    return several.combine_first(ends.groupby("game").agg(first=("first", "min"), last=("last", "max")))


def _first_crossing(steps: Array, scores: Array, score: float) -> tuple[float, bool]:
    above = np.flatnonzero(scores >= score)
    if not len(above):
        return float(steps[-1]), False
    after = int(above[0])
    if after == 0:
        return float(steps[0]), True
    return float(np.interp(score, scores[after - 1 : after + 1], steps[after - 1 : after + 1])), True


def estimate_time(runs: pd.DataFrame, budget: float, seed: int = 0) -> pd.DataFrame:
    """Estimates from the rows of `env_steps_to_threshold` each method's mean over games of the mean over runs, as `estimate`
    does.

    `num_reached` counts the runs that got there. No interval reaches below zero or beyond the budget.
    """
    table = estimate(runs, "env_steps", {"mean": mean}, TIME_REPS, seed)
    bounds = ["low", "high", "percentile_low", "percentile_high"]
    table[bounds] = table[bounds].clip(0.0, budget)
    return table.assign(num_reached=table["method"].map(runs.groupby("method")["reached"].sum()))


def compare_time(runs: pd.DataFrame, baseline: str, seed: int = 0) -> pd.DataFrame:
    """Subtracts the baseline's env steps from each other method's, mean over the games that both have; below zero is sooner.

    Both sides are resampled; the interval is that of the ratios to a baseline. `p_value` is of the permutation test of "no
    difference", `p_holm` corrects it for the methods compared.
    """
    reference = runs[runs["method"] == baseline]
    rows = []
    for method, part in runs[runs["method"] != baseline].groupby("method", sort=False):
        games = sorted(set(games_with_values(part, "env_steps")) & set(reference["game"]))
        if games:
            samples = [score_matrix(side, games, "env_steps") for side in (part, reference)]
            row = joint_estimate(mean_difference, samples, TIME_REPS, generator(seed, "time to threshold", str(method)))
            rows.append({"method": method, "baseline": baseline, **row, "p_value": permutation_test(*samples)})
    table = pd.DataFrame(rows, columns=TIME_DIFFERENCE_COLUMNS)
    return table.assign(p_holm=holm(table["p_value"].to_numpy(np.float64)))


def mean_difference(values: Array, baseline: Array) -> Array:
    """Computes the mean over games of mean minus the baseline's mean: `[..., runs, games]` of both → `[...]`."""
    return np.asarray((game_means(values) - game_means(baseline)).mean(axis=-1))


RUN_OFFSET = 0.28
"""Runs are drawn this far below their method's mean."""


def plot_time_to_threshold(estimates: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draws each method's mean with its intervals, its runs below it; a hollow run never reached the score."""
    methods = list(estimates["method"])
    drawn = looks(methods)
    with xtra_style():
        figure = new_figure(7.2, 0.95 + 0.48 * len(methods))
        axes = figure.subplots()
        interval_rows(axes, estimates, methods)
        for (method, reached), part in runs.groupby(["method", "reached"], sort=False):
            color, place = drawn[method].color, methods.index(method) + RUN_OFFSET
            # Runs of one env step lie below one another.
            rows = place + 0.09 * part.groupby("env_steps").cumcount()
            fill = color if reached else "none"
            mark(
                axes.scatter(part["env_steps"], rows, s=18, facecolors=fill, edgecolors=color, linewidths=0.9, alpha=0.7), method
            )
        label_steps(axes)
        axes.set_xlabel("Env steps")
    return figure


def threshold_sentence(findings: Findings) -> str | None:
    """Tells how many env steps sooner than the baseline the primary method reached the suite's score; None if that is not
    known."""
    times = findings.time_to_threshold
    row = None if times is None else times.difference(findings.primary)
    if times is None or row is None:
        return None
    method, baseline = str(row["method"]), str(row["baseline"])
    (reached, num_runs), (baseline_reached, num_baseline_runs) = times.counts(method), times.counts(baseline)
    within = f"within {whole(times.budget)} env steps"
    if not (reached or baseline_reached):
        runs = counted(num_runs + num_baseline_runs, "run")
        return f"Neither {method} nor {baseline} reached a score of {times.score:g} {within}: none of their {runs} did."
    steps = times.estimates.set_index("method")["estimate"]
    if not reached:
        opening = (
            f"No run of {method} reached a score of {times.score:g} {within}, {baseline} did after {whole(steps[baseline])} on "
            "average. "
            f"Counted with the whole budget, {method} took"
        )
    elif not baseline_reached:
        opening = (
            f"{method} reached a score of {times.score:g} after {whole(steps[method])} env steps on average, no run of "
            f"{baseline} did {within}. Counted with the whole budget of {baseline}, that is"
        )
    else:
        opening = (
            f"{method} reached a score of {times.score:g} after {whole(steps[method])} env steps on average, {baseline} after "
            f"{whole(steps[baseline])}:"
        )
    missed = num_runs + num_baseline_runs - reached - baseline_reached
    rest = f"; {missed} of their {num_runs + num_baseline_runs} runs never got there and count with the budget" if missed else ""
    difference = float(row["estimate"])
    tests = corrected(len(times.differences), findings.study.looks)
    tested = f"permutation test p {p_sign(row['p_holm'])}{tests}"
    return f"{opening} {whole(abs(difference))} {'fewer' if difference < 0 else 'more'} ({_bounds(row)}; {tested}){rest}."


def _bounds(row: pd.Series) -> str:
    """Words the interval of a difference in env steps, or why there is none."""
    if pd.isna(row["low"]):
        return "one seed gives no interval" if row["min_runs"] < 2 else "no interval: the runs of each took equally long"
    return f"95 % interval {whole_span(row['low'], row['high'])}"


LEAD = (
    "The env step at which a run's learning curve is first that high: straight between evaluations, and not before the first of "
    "them. A run that never is counts with the whole budget, so these are mean env steps until the score was reached or the "
    "budget spent. Curves of a game are read over the env steps that all of them span; a run that gets there later counts as one "
    "that never does."
)


def time_to_threshold_section(findings: Findings) -> Section | None:
    """Shows means with intervals, every run, and the difference to the baseline."""
    times = findings.time_to_threshold
    if times is None:
        return None
    sentence = threshold_sentence(findings)
    blocks: list[Table | Picture | Paragraph] = [Paragraph(sentence)] if sentence else []
    blocks += [
        Paragraph(LEAD),
        Picture(
            "time_to_threshold",
            plot_time_to_threshold(times.estimates, times.runs),
            f"Points with intervals: mean env steps until a score of {times.score:g}. {spoken(times.estimates)}",
            f"Env steps until a score of {times.score:g}; left is sooner. Below each mean its runs, hollow ones never got "
            "there. Thin line: 95 % interval that allows for few seeds; thick line: rliable's.",
            times.runs,
        ),
        _table(times, findings.study.baseline),
    ]
    return Section("time_to_threshold", f"Env steps to reach a score of {times.score:g}", blocks)


def _table(times: TimeToThreshold, baseline: str | None) -> Table:
    own = times.runs.groupby("method", sort=False).size()
    frame = times.estimates.assign(num_runs=times.estimates["method"].map(own)).merge(
        times.differences[["method", "estimate", "low", "high", "p_holm"]], on="method", how="left", suffixes=("", "_difference")
    )
    columns = [
        METHOD,
        Column("Runs that reached it", lambda row: f"{row.num_reached} of {row.num_runs}"),
        Column(
            "Env steps",
            lambda row: whole(row.estimate) if row.num_reached else "none did",
            value=lambda row: -row.estimate if row.num_reached else math.nan,
        ),
        Column("95 % interval", lambda row: whole_span(row.low, row.high)),
    ]
    if len(times.differences):
        columns += [
            Column(f"minus {baseline}'s", lambda row: whole(row.estimate_difference)),
            Column("95 % interval", lambda row: whole_span(row.low_difference, row.high_difference)),
            Column("p, corrected", lambda row: probability(row.p_holm)),
        ]
    censored = int((~times.runs["reached"]).sum())
    notes = [f"{counted(censored, 'run')} of {len(times.runs)} never reached the score." if censored else "Every run reached it."]
    if len(times.differences):
        notes.append("p: permutation test of ranks, exact at any number of seeds, corrected by Holm's method and for looks.")
    return Table("time_to_threshold", "Env steps until the score", frame, [*columns, SEEDS, GAMES], notes)
