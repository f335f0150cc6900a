"""Better, worse or equivalent: paired differences of the area under the learning curve, against a margin that the suite names.

That no difference was found says little at a few seeds. Two one-sided tests (Schuirmann, 1987) turn the question round: they
reject "the two differ by the margin or more". A method is called equivalent if they do, better or worse if the difference itself
is significant, and undecided otherwise, or where there are fewer than `FEWEST_SEEDS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from xtra_analysis.columns import EQUIVALENCE_TITLE, GAMES, METHOD, looks_note
from xtra_analysis.drawing import interval_rows, new_figure, reference_line, xtra_style
from xtra_analysis.findings import Findings, primary_method
from xtra_analysis.learning_curves import areas
from xtra_analysis.matrices import Array
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.significance import LEVEL, holm
from xtra_analysis.study import Study
from xtra_analysis.text import NONE, corrected, counted, listed, listed_or_counted, number, p_sign, probability, short, span

POWER = 0.8
"""Probability with which equal methods are found equivalent at the number of seeds that the table calls needed."""
FEWEST_SEEDS = 5
"""Fewest pairs that get a verdict. Where runs either learn or do not, a few may all agree by chance, and a t-test takes that for
certainty: of studies with 14 equal methods it finds a difference in 23 % at three pairs, 8 % at four and 2 % at five."""
VERDICTS = ("better", "worse", "equivalent", "undecided")
QUANTILES = 1_000
"""Quantiles of the spread that the power is averaged over."""
EQUIVALENCE_COLUMNS = [
    "method", "reference", "estimate", "low", "high", "p_difference", "p_equivalence", "verdict", "num_games", "num_seeds",
    "relative_spread", "seeds_needed",
]  # fmt: skip


@dataclass(frozen=True)
class PairedTest:
    """A test of paired differences: their mean, its 95 % interval, the p-values of "no difference" and of "the margin or more",
    and the differences' standard deviation over the margin."""

    estimate: float
    low: float
    high: float
    p_difference: float
    p_equivalence: float
    relative_spread: float


def paired_test(differences: Array, margin: float) -> PairedTest:
    """Makes t-tests of paired differences `[seeds]`, at least two: two-sided against 0, two one-sided ones against ±margin."""
    count, mean, spread = len(differences), float(differences.mean()), float(differences.std(ddof=1))
    error, freedom = spread / math.sqrt(count), count - 1
    if error == 0.0:
        inside = abs(mean) < margin
        return PairedTest(mean, mean, mean, float(mean == 0.0), float(not inside), 0.0)
    half = float(stats.t.ppf(0.975, freedom)) * error
    p_difference = 2 * float(stats.t.sf(abs(mean) / error, freedom))
    p_equivalence = float(stats.t.sf((margin - abs(mean)) / error, freedom))
    return PairedTest(mean, mean - half, mean + half, p_difference, p_equivalence, spread / margin)


def seeds_needed(relative_spread: float, level: float = LEVEL) -> int:
    """Returns the number of pairs that give two one-sided tests at `level` their power where there is no difference and the
    spread is so many margins: what normal quantiles say, and as many more as t-tests ask for."""
    if relative_spread == 0.0:
        return 2
    reach = float(stats.norm.ppf(1 - level) + stats.norm.ppf((1 + POWER) / 2))
    count = max(2, math.ceil((reach * relative_spread) ** 2))
    while _power(count, relative_spread, level) < POWER:
        count += 1
    return count


def _power(count: int, relative_spread: float, level: float) -> float:
    """Computes the chance that so many pairs of equal methods are found equivalent: the mean has to lie within what t leaves of
    the margin, averaged over the spreads that a sample may show."""
    freedom = count - 1
    spreads = np.sqrt(stats.chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, freedom) / freedom)
    room = math.sqrt(count) / relative_spread - stats.t.ppf(1 - level, freedom) * spreads
    return float(np.maximum(0.0, 2 * stats.norm.cdf(room) - 1).mean())


def judge_equivalence(study: Study) -> pd.DataFrame:
    """Judges every learning method against the baseline, and against the method that the suite is about; empty without a margin.

    Methods are compared in the games and with the seeds that both have; games count equally. P-values are corrected by Holm's
    method over those compared with one reference, and multiplied by `study.looks`.
    """
    margin, table = study.record.equivalence_margin, _areas_of_learners(study)
    if margin is None or table is None:
        return pd.DataFrame(columns=EQUIVALENCE_COLUMNS)
    references = [name for name in dict.fromkeys((study.baseline, primary_method(study))) if name in study.learners]
    parts = []
    for place, reference in enumerate(references):
        methods = [name for name in study.learners if name not in references[:place]]  # a pair stands once, under the first
        parts.append(_with_verdicts(_tests(table, str(reference), methods, margin), study.looks))
    rows = [part for part in parts if len(part)]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=EQUIVALENCE_COLUMNS)


def judge_each_game(study: Study) -> pd.DataFrame:
    """Judges every learning method against the baseline in each game by itself, where a mean over games would hide that a
    method helps in one and harms in another. Column `game` besides; empty without a margin, or where only one game has pairs.

    P-values are corrected over all methods and games together.
    """
    margin, table = study.record.equivalence_margin, _areas_of_learners(study)
    if margin is None or table is None:
        return pd.DataFrame(columns=[*EQUIVALENCE_COLUMNS, "game"])
    parts = []
    for game, of_game in table.groupby("game", sort=False):
        tests = _tests(of_game, str(study.baseline), study.learners, margin)
        if len(tests):
            parts.append(tests.assign(game=game))
    if len(parts) < 2:
        return pd.DataFrame(columns=[*EQUIVALENCE_COLUMNS, "game"])
    return _with_verdicts(pd.concat(parts, ignore_index=True), study.looks)


def _areas_of_learners(study: Study) -> pd.DataFrame | None:
    """Computes the area under the curve of each run of a method that learns; None where there are no curves."""
    curves = study.tables["curves"]
    return None if curves.empty else areas(curves[curves["method"].isin(study.learners)])


def _tests(table: pd.DataFrame, reference: str, methods: list[str], margin: float) -> pd.DataFrame:
    """Tests each method's areas against the reference's, in the games and with the seeds that both have."""
    wide = table.pivot(index=["seed", "game"], columns="method", values="value")
    rows = []
    for method in methods:
        if method == reference or not {method, reference} <= set(wide):
            continue
        paired = (wide[method] - wide[reference]).unstack("game").dropna(axis="columns", how="all").dropna()
        if len(paired) < 2:
            continue
        test = paired_test(paired.mean(axis=1).to_numpy(), margin)
        rows.append(
            {"method": method, "reference": reference, "num_games": paired.shape[1], "num_seeds": len(paired)} | vars(test)
        )
    return pd.DataFrame(rows, columns=EQUIVALENCE_COLUMNS)


def _with_verdicts(frame: pd.DataFrame, looks: int) -> pd.DataFrame:
    """Corrects the p-values of tests that stand in one table, gives the verdicts, and says how many seeds would show equality at
    the level that is left by the correction, that of the first step of Holm's method."""
    for column in ("p_difference", "p_equivalence"):
        frame[column] = np.minimum(1.0, holm(frame[column].to_numpy(dtype=np.float64)) * looks)
    level = LEVEL / max(1, len(frame) * looks)
    needed = [max(FEWEST_SEEDS, seeds_needed(spread, level)) for spread in frame["relative_spread"]]
    return frame.assign(verdict=[_verdict(row) for row in frame.itertuples()], seeds_needed=needed)


def _verdict(row: object) -> str:
    names = ("estimate", "p_difference", "p_equivalence", "num_seeds")
    estimate, p_difference, p_equivalence, num_seeds = (getattr(row, name) for name in names)
    if num_seeds < FEWEST_SEEDS:
        return "undecided"
    if p_equivalence < LEVEL:
        return "equivalent"
    if p_difference < LEVEL:
        return "better" if estimate > 0 else "worse"
    return "undecided"


def plot_equivalence(table: pd.DataFrame, margin: float) -> Figure:
    """Draws the rows of one reference: each method's difference with its 95 % interval; the margin is shaded."""
    methods = list(table["method"])
    bounds = table.assign(percentile_low=np.nan, percentile_high=np.nan)
    with xtra_style():
        figure = new_figure(7.2, 1.0 + 0.36 * len(methods))
        axes = figure.subplots()
        axes.axvspan(-margin, margin, color="#e9e4d8", zorder=0.2)
        interval_rows(axes, bounds, methods)
        reference_line(axes, 0.0)
        axes.set_xlabel(f"Area under the learning curve minus {short(str(table['reference'].iloc[0]))}'s")
    return figure


def equivalence_section(findings: Findings) -> Section | None:
    """Shows each method as better, worse or equivalent to the baseline and to the method that the question is about."""
    table, margin = findings.equivalence, findings.study.record.equivalence_margin
    if margin is None:
        return None
    if table.empty:
        return Section("equivalence", EQUIVALENCE_TITLE, [Paragraph(_nothing_to_judge(findings.study, margin), warning=True)])
    blocks: list[Table | Picture | Paragraph] = [
        Paragraph(
            f"Two methods are called equivalent if the areas under their learning curves differ by less than {margin:g}, which "
            "the suite sets on the normalized scale. Areas are divided by the curve's length, seeds paired, games count equally."
        )
    ]
    for place, (reference, part) in enumerate(table.groupby("reference", sort=False)):
        name = "equivalence" if place == 0 else f"equivalence_{place + 1}"
        blocks += [_picture(name, str(reference), part, margin), _table(name, str(reference), part)]
    if findings.study.looks > 1:
        blocks.append(Paragraph(looks_note(findings.study)))
    if len(findings.equivalence_by_game):
        blocks.append(_table_of_games(findings.equivalence_by_game))
    return Section("equivalence", EQUIVALENCE_TITLE, blocks)


def verdict_sentence(findings: Findings) -> str | None:
    """Says how the method that the question is about compares with the baseline by the measure of a suite with a margin; None
    without it."""
    study = findings.study
    tests = findings.equivalence[findings.equivalence["reference"] == study.baseline]
    rows = tests[tests["method"] == findings.primary]
    if rows.empty:
        return None
    row = rows.iloc[0]
    p_value = row["p_equivalence" if row["verdict"] == "equivalent" else "p_difference"]
    few = f", as fewer than {FEWEST_SEEDS} seeds always are" if row["num_seeds"] < FEWEST_SEEDS else ""
    side = "above" if row["estimate"] >= 0 else "below"
    return (
        f"By the area under the learning curve {row['method']} is {number(abs(row['estimate']))} {side} {row['reference']} in "
        f"normalized score (95 % interval {span(row['low'], row['high'])}), over {counted(row['num_games'], 'game')} and "
        f"{counted(row['num_seeds'], 'seed')}: {row['verdict']}{few} (p {p_sign(p_value)}{corrected(len(tests), study.looks)})."
    )


def game_verdicts_sentence(findings: Findings) -> str | None:
    """Says in which games the method that the question is about is better than the baseline, worse, equivalent or undecided;
    None if it is undecided in all."""
    tests = findings.equivalence_by_game
    verdicts = tests[tests["method"] == findings.primary].groupby("verdict")["game"].agg(list)
    if not set(verdicts.index) - {"undecided"}:
        return None
    parts = [f"{verdict} on {listed_or_counted(verdicts[verdict], 'game')}" for verdict in VERDICTS if verdict in verdicts]
    return f"Game by game {findings.primary} is {listed(parts)}."


def _nothing_to_judge(study: Study, margin: float) -> str:
    """Says why no two methods can be compared."""
    curves = study.tables["curves"]
    known = curves[curves["normalized"].notna()]
    if len(curves) and known.empty:
        why = "no game of this study has a reference score, so its scores cannot be normalized"
    else:
        why = "no two learning methods have curves with two seeds in common yet"
    return f"The suite calls methods equivalent that are less than {margin:g} apart, but nothing can be judged: {why}."


def _picture(name: str, reference: str, part: pd.DataFrame, margin: float) -> Picture:
    verdicts = "; ".join(f"{row.method} {number(row.estimate)}, {row.verdict}" for row in part.itertuples())
    return Picture(
        name,
        plot_equivalence(part, margin),
        f"Points with intervals: area under the learning curve minus {reference}'s. {verdicts}.",
        f"Difference to {reference} with its 95 % interval. Shaded: less than the margin of {margin:g}.",
        part,
    )


def _table(name: str, reference: str, part: pd.DataFrame) -> Table:
    columns = [
        METHOD,
        Column("Verdict", lambda row: row.verdict, numeric=False),
        Column("Difference", lambda row: number(row.estimate)),
        Column("95 % interval", lambda row: span(row.low, row.high)),
        Column("p of no difference", lambda row: probability(row.p_difference)),
        Column("p of the margin or more", lambda row: probability(row.p_equivalence)),
        Column("Seeds", lambda row: str(row.num_seeds)),
        Column("Seeds to show equality", lambda row: str(row.seeds_needed) if row.verdict == "undecided" else NONE),
        GAMES,
    ]
    notes = [
        f"Paired t-tests at {100 * LEVEL:g} %, corrected by Holm's method for the methods in this table. Equivalent: two "
        "one-sided tests reject a difference of the margin or more. Intervals are not corrected. Seeds to show equality: with so "
        f"many, methods that are equal would be called equivalent with a probability of {100 * POWER:g} %, at this spread and "
        f"after correction; methods that differ need more, or never are. Below {FEWEST_SEEDS} seeds there is no verdict: runs "
        "that either learn or do not may all agree by chance."
    ]
    return Table(name, f"Against {reference}", part, columns, notes)


def _table_of_games(tests: pd.DataFrame) -> Table:
    """Makes a row per method, and a column per game."""
    cells = {(row.method, row.game): _difference_and_verdict(row) for row in tests.itertuples()}

    def column_of(game: str) -> Column:
        return Column(game, lambda row: cells.get((row.method, game), NONE))

    columns = [METHOD, *map(column_of, dict.fromkeys(tests["game"]))]
    note = (
        "The same differences in each game by itself, with 95 % intervals that are not corrected, and the verdict where there is "
        "one. P-values are corrected for all methods and games of this table together."
    )
    methods = tests[["method"]].drop_duplicates()
    reference = tests["reference"].iloc[0]
    return Table("equivalence_games", f"Against {reference}, game by game", methods, columns, [note], tests, "with p-values")


def _difference_and_verdict(row: Any) -> str:
    verdict = "" if row.verdict == "undecided" else f", {row.verdict}"
    return f"{number(row.estimate)} ({span(row.low, row.high)}){verdict}"
