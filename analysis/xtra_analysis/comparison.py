"""Methods against the baseline, and variants against the full method: ratios whose numerator and denominator are resampled
together, and the chance of doing better.

The paper normalizes by EfficientZero's mean score of each game and averages over games; treating that mean as known would hide
half of the uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.aggregates import interquartile_mean
from xtra_analysis.columns import (
    EQUIVALENCE_TITLE,
    GAMES,
    METHOD,
    SEEDS,
    estimate_columns,
    in_most_games,
    looks_note,
    sample_text,
    spoken,
    wide_estimates,
)
from xtra_analysis.drawing import RULE, interval_rows, new_figure, reference_line, xtra_style
from xtra_analysis.findings import Findings, primary_method
from xtra_analysis.intervals import generator, joint_estimate
from xtra_analysis.matrices import (
    Array,
    game_means,
    games_with_positive_scores,
    games_with_values,
    score_matrix,
    split_by_baseline,
)
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.significance import holm, permutation_test
from xtra_analysis.study import Study
from xtra_analysis.text import NONE, listed, listed_or_counted, percent, probability, short

RATIO_REPS = 10_000
IMPROVEMENT_REPS = 2_000
"""Resamples of the probability of improvement, as in rliable."""


def ratios(scores: Array, baseline: Array) -> Array:
    """Divides the mean score by the baseline's mean score: `[..., runs, games]` of both → `[..., games]`."""
    return game_means(scores) / game_means(baseline)


def mean_ratio(scores: Array, baseline: Array) -> Array:
    """Computes the paper's aggregate: the unweighted mean over games of the ratios, `[...]`."""
    return np.asarray(ratios(scores, baseline).mean(axis=-1))


def median_ratio(scores: Array, baseline: Array) -> Array:
    """Computes the median over games of the ratios, `[...]`."""
    return np.asarray(np.median(ratios(scores, baseline), axis=-1))


def iqm_ratio(scores: Array, baseline: Array) -> Array:
    """Computes the interquartile mean over runs × games of the score over the baseline's mean, `[...]`."""
    return interquartile_mean(scores / game_means(baseline)[..., None, :])


def probability_of_improvement(scores: Array, baseline: Array) -> Array:
    """Computes the mean over games of P(X > Y) + ½ P(X = Y), `[...]`, X a run of the method and Y one of the baseline
    (rliable)."""
    runs, baseline_runs = scores[..., :, None, :], baseline[..., None, :, :]
    points = (runs > baseline_runs) + 0.5 * (runs == baseline_runs)
    pairs = (~np.isnan(runs) & ~np.isnan(baseline_runs)).sum(axis=(-3, -2))
    return np.asarray((points.sum(axis=(-3, -2)) / pairs).mean(axis=-1))


RATIO_STATISTICS: dict[str, Callable[[Array, Array], Array]] = {
    "mean_ratio": mean_ratio,
    "median_ratio": median_ratio,
    "iqm_ratio": iqm_ratio,
}
LEANING = (iqm_ratio,)
"""Statistics whose bias needs the wider of two spreads (`coverage_study.py`)."""
COMPARISON_COLUMNS = [
    "method", "baseline", "statistic", "estimate", "low", "high", "percentile_low", "percentile_high",
    "num_games", "min_runs", "max_runs", "p_value", "p_holm",
]  # fmt: skip
BOUNDS = ("estimate", "low", "high", "percentile_low", "percentile_high")


def compare(frame: pd.DataFrame, baseline: str, seed: int = 0) -> pd.DataFrame:
    """Compares every other method of a frame, as `load` gives it, with the baseline: ratios and probability of improvement.

    Only games in which both have a score count, and for ratios only those in which every run of the baseline is positive.
    `p_value` is of a stratified permutation test of "no difference", exact at any number of runs; `p_holm` corrects it
    for the number of methods compared. Both are given with the probability of improvement, on whose ranks the test is made.
    Raises InputError for a baseline that is no method of the frame.
    """
    others, reference = split_by_baseline(frame, baseline)
    rows: list[dict[str, object]] = []
    for method, part in others.groupby("method", sort=False):
        rows += _compare_one(str(method), part, baseline, reference, seed)
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    tested = table["p_value"].notna()
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_value"].to_numpy(dtype=np.float64))
    return table


def _compare_one(method: str, part: pd.DataFrame, baseline: str, reference: pd.DataFrame, seed: int) -> list[dict[str, object]]:
    shared = [game for game in games_with_values(part, "score") if game in set(reference["game"])]
    positive = [game for game in shared if game in games_with_positive_scores(reference)]
    rows = []
    for statistic, function in RATIO_STATISTICS.items() if positive else ():
        samples = [score_matrix(part, positive, "score"), score_matrix(reference, positive, "score")]
        random = generator(seed, statistic, method)
        row = joint_estimate(function, samples, RATIO_REPS, random, longer_arm=function in LEANING)
        rows.append(row | {"statistic": statistic})
    if shared:
        samples = [score_matrix(part, shared, "score"), score_matrix(reference, shared, "score")]
        random = generator(seed, "improvement", method)
        row = joint_estimate(probability_of_improvement, samples, IMPROVEMENT_REPS, random, (0.0, 1.0))
        rows.append(row | {"statistic": "probability_of_improvement", "p_value": permutation_test(*samples)})
    return [{"method": method, "baseline": baseline, **row} for row in rows]


def plot_comparison(table: pd.DataFrame) -> Figure:
    """Draws `compare`'s rows: the mean ratio to the baseline (line at 1) and the probability of improvement (line at ½)."""
    methods = list(dict.fromkeys(table["method"]))
    baseline = str(table["baseline"].iloc[0])
    panels = [
        ("mean_ratio", f"Mean score / {short(baseline, 22)}", 1.0),
        ("probability_of_improvement", f"P(better than {short(baseline, 18)})", 0.5),
    ]
    with xtra_style():
        figure = new_figure(8.6, 1.0 + 0.33 * len(methods))
        for axes, (statistic, title, neutral) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
            interval_rows(axes, table[table["statistic"] == statistic], methods)
            reference_line(axes, neutral)
            axes.set_title(title)
        axes.set_xlim(-0.03, 1.03)
    return figure


STATISTICS = {
    "mean_ratio": "Mean ratio",
    "median_ratio": "Median ratio",
    "iqm_ratio": "IQM ratio",
    "probability_of_improvement": "P(better)",
}


def comparison_section(findings: Findings) -> Section | None:
    """Shows ratios to the baseline, probability of improvement, and the ratio in each game."""
    if findings.comparison.empty:
        return None
    baseline = str(findings.study.baseline)
    blocks: list[Table | Picture | Paragraph] = [Paragraph(_lead(findings, baseline)), *_warnings(findings)]
    if len(findings.comparison[findings.comparison["statistic"] == "mean_ratio"]):
        blocks.append(_overall(findings, baseline))
    blocks.append(_table(findings))
    return Section("comparison", f"Compared with {baseline}", blocks)


def _lead(findings: Findings, baseline: str) -> str:
    if findings.study.ratio_baseline is None:
        return (
            f"P(better) is the chance that a run of the method scores higher than a run of {baseline} on the same game, ties "
            "counting half; games count equally."
        )
    final = "These are final scores"
    if len(findings.equivalence):
        final += f' ("{EQUIVALENCE_TITLE}" is about learning curves, where a method that only learns sooner can be better)'
    return (
        f"{final}. In each game a method's mean score is divided by {baseline}'s; games count equally. Both are resampled, so "
        f"the intervals hold the uncertainty of {baseline} too."
    )


def _overall(findings: Findings, baseline: str) -> Picture:
    ratios = findings.comparison[findings.comparison["statistic"] == "mean_ratio"]
    chances = findings.comparison[findings.comparison["statistic"] == "probability_of_improvement"]
    return Picture(
        "comparison",
        plot_comparison(findings.comparison),
        f"Points with intervals: mean ratio to {baseline} and probability of doing better than it. Ratios: {spoken(ratios)}",
        f"Left: mean over games of the ratio to {baseline}; beyond the dashed line is better. {sample_text(ratios)} "
        f"Right: chance that a run of the method scores higher than a run of {baseline} on the same game, ties counting half. "
        f"{sample_text(chances)} "
        "Thin line: 95 % interval that allows for few seeds; thick: rliable's.",
        pd.concat([ratios, chances]),
    )


def _table(findings: Findings) -> Table:
    wide = wide_estimates(findings.comparison)
    tests = findings.comparison.dropna(subset=["p_value"])[["method", "p_value", "p_holm"]]
    columns = [METHOD]
    for statistic, heading in STATISTICS.items():
        if f"{statistic}_estimate" in wide:
            columns += estimate_columns(statistic, heading)
    columns += [
        Column("p", lambda row: probability(row.p_value)),
        Column("p, corrected", lambda row: probability(row.p_holm)),
        SEEDS,
        *_game_columns(wide),
    ]
    notes = [
        "p: stratified permutation test of the ranks on which P(better) is built, exact at any number of seeds. "
        "Corrected: Holm's method, for all methods compared here."
    ]
    if findings.study.looks > 1:
        notes.append(looks_note(findings.study))
    if findings.study.ratio_baseline:
        notes.append("A mean of ratios leans upwards, by about (relative spread)² / seeds; the 95 % interval allows for it.")
    frame = wide.merge(tests, on="method", how="left")
    title = "Ratios and probability of improvement" if findings.study.ratio_baseline else "Probability of improvement"
    return Table("comparison", title, frame, columns, notes, findings.comparison, "with rliable's intervals")


def _game_columns(wide: pd.DataFrame) -> list[Column]:
    """Makes the columns that count games; apart for ratios and for P(better) where they differ for some method."""
    if "mean_ratio_num_games" not in wide or (wide["mean_ratio_num_games"] == wide["probability_of_improvement_num_games"]).all():
        return [GAMES]
    return [
        Column("Games of ratios", lambda row: _whole_or_none(row.mean_ratio_num_games)),
        Column("Games of P(better)", lambda row: _whole_or_none(row.probability_of_improvement_num_games)),
    ]


def _whole_or_none(count: float) -> str:
    """Reads a count that is NaN where a statistic has no value."""
    return NONE if pd.isna(count) else str(int(count))


def _warnings(findings: Findings) -> list[Paragraph]:
    """Warns of games in which a ratio has no meaning, or is unstable."""
    ratios = findings.game_ratios
    unstable = sorted(set(ratios.loc[ratios["unstable"], "game"]))
    undefined = sorted(set(ratios.loc[ratios["low"].isna() & ratios["unstable"], "game"]))
    notes = []
    if undefined:
        notes.append(f"Not every run of the baseline is above zero in {listed(undefined)}: left out of ratios over games.")
    if set(unstable) - set(undefined):
        names = listed(sorted(set(unstable) - set(undefined)))
        notes.append(f"Unstable ratios, because the baseline's own 95 % interval reaches zero: {names}. Read them with care.")
    if below := _games_below_zero(findings.study) & set(ratios["game"]):
        notes.append(
            f"Scores can be below zero in {listed_or_counted(sorted(below), 'game')}: a ratio there depends on where the game "
            "has its zero, and says less than normalized scores do."
        )
    return [Paragraph(note, warning=True) for note in notes]


def _games_below_zero(study: Study) -> set[str]:
    """Returns the games in which random play scores below zero, or a run did."""
    at_random = {game for game, (score, _) in (study.scale.endpoints or {}).items() if score < 0}
    return at_random | set(study.complete.loc[study.complete["score"] < 0, "game"])


def compare_variants(study: Study, seed: int) -> pd.DataFrame:
    """Compares variants with the primary method, where there are any beside it and the baseline. A method with other source games
    is none: games differ then, not parts of the method."""
    primary, transfers = primary_method(study), {method.name: method.transfer for method in study.record.methods}
    own = None if primary is None or (transfer := transfers[primary]) is None else transfer.sources
    others = [
        name
        for name in study.learners
        if name != primary and (own is None or (transfer := transfers[name]) is None or transfer.sources == own)
    ]
    if primary is None or primary == study.baseline or not set(others) - {study.baseline}:
        return pd.DataFrame(columns=COMPARISON_COLUMNS)
    return compare(study.scores[study.scores["method"].isin([primary, *others])], primary, seed)


def plot_ablations(table: pd.DataFrame) -> Figure:
    """Draws `compare`'s rows: how far each variant falls below (or rises above) the full method, in suite order."""
    rows = table[table["statistic"] == "mean_ratio"].reset_index(drop=True)
    methods = list(rows["method"])
    change = rows.assign(**{column: 100 * (rows[column] - 1) for column in BOUNDS})
    with xtra_style():
        figure = new_figure(7.2, 1.0 + 0.36 * len(methods))
        axes = figure.subplots()
        axes.barh(range(len(methods)), change["estimate"], height=0.62, color=RULE, zorder=0.6)
        interval_rows(axes, change, methods)
        reference_line(axes, 0.0)
        axes.set_xlabel(f"Change against {short(str(table['baseline'].iloc[0]))}, %")
    return figure


def ablations_section(findings: Findings) -> Section | None:
    """Shows what each variant loses or gains against the method the question is about."""
    table = findings.ablations[findings.ablations["statistic"] == "mean_ratio"]
    if table.empty:
        return None
    improvement = findings.ablations[findings.ablations["statistic"] == "probability_of_improvement"]
    frame = table.drop(columns=["p_value", "p_holm"]).merge(improvement[["method", "p_value", "p_holm"]], on="method", how="left")
    frame["most_games"] = frame["num_games"].max()
    columns = [
        METHOD,
        Column(
            "Change",
            lambda row: percent(row.estimate - 1),
            value=lambda row: in_most_games(row.estimate, row.num_games, row.most_games),
        ),
        Column("95 % interval", lambda row: f"{percent(row.low - 1)} to {percent(row.high - 1)}"),
        Column("p, corrected", lambda row: probability(row.p_holm)),
        SEEDS,
        GAMES,
    ]
    notes = [f"A mean of ratios leans upwards, by about (relative spread of {findings.primary})² / seeds."]
    if findings.study.looks > 1:
        notes.append(looks_note(findings.study))
    blocks: list[Table | Picture | Paragraph] = [
        Paragraph(
            f"Each row is another method, in the suite's order; zero is {findings.primary} itself. Bars to the left scored less "
            "in these runs; p tells whether that is more than the seeds explain."
        ),
        Picture(
            "ablations",
            plot_ablations(findings.ablations),
            f"Horizontal bars: mean change of score of each variant against {findings.primary}. Ratios: {spoken(table)}",
            f"Mean over games of the score over {findings.primary}'s, as a change in per cent. Thin line: 95 % interval that "
            f"allows for few seeds; thick line: rliable's. {sample_text(table)}",
            table,
        ),
        Table("ablations", f"Change against {findings.primary}", frame, columns, notes),
    ]
    return Section("ablations", "Components and ablations", blocks)
