"""The four aggregates of rliable (Agarwal et al., 2021): how they are computed, estimated, drawn and told.

Each takes an array `[..., runs, games]` of normalized scores and returns `[...]`. Where games have different numbers of runs,
columns are padded below with NaN and every game counts equally; on full matrices the values are rliable's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.columns import GAMES, LOWER_IS_BETTER, METHOD, SEEDS, estimate_columns, sample_text, spoken, wide_estimates
from xtra_analysis.drawing import interval_rows, new_figure, xtra_style
from xtra_analysis.findings import Findings
from xtra_analysis.intervals import (
    UNKNOWN,
    SeededStratifiedBootstrap,
    generator,
    percentile_interval,
    pool_spread,
    small_sample_interval,
)
from xtra_analysis.matrices import (
    Array,
    Statistic,
    game_means,
    games_with_values,
    is_ragged,
    require_columns,
    runs_per_game,
    score_matrix,
)
from xtra_analysis.page import Paragraph, Picture, Section, Table
from xtra_analysis.text import listed

TRIMMED_SHARE = 0.25
"""The interquartile mean leaves out a quarter of the runs at each end."""
IQM_OF_FEW_GAMES = (
    "The 95 % interval of an IQM of 2 to 4 games can hold the truth far less often than that, as little as 18 % in simulated "
    "studies; that of the mean holds it more often."
)
"""A note where a report shows such an IQM; docs/explanation/intervals.md says why."""


def interquartile_mean(scores: Array) -> Array:
    """Computes the mean of the middle half of all runs × games, `[...]` (rliable: `trim_mean(x, 0.25)`)."""
    if is_ragged(scores):
        return _weighted_interquartile_mean(scores)
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = int(TRIMMED_SHARE * flat.shape[-1])
    return np.asarray(flat[..., cut : flat.shape[-1] - cut].mean(axis=-1))


def mean(scores: Array) -> Array:
    """Computes the mean over games of the mean over runs, `[...]`."""
    return np.asarray(game_means(scores).mean(axis=-1))


def median(scores: Array) -> Array:
    """Computes the median over games of the mean over runs, `[...]`."""
    return np.asarray(np.median(game_means(scores), axis=-1))


def optimality_gap(scores: Array) -> Array:
    """Computes how far the runs stay below 1 on average, `[...]`; a score above 1 counts as 1."""
    return np.asarray(1.0 - game_means(np.minimum(scores, 1.0)).mean(axis=-1))


AGGREGATES: dict[str, Statistic] = {
    "iqm": interquartile_mean,
    "median": median,
    "mean": mean,
    "optimality_gap": optimality_gap,
}


def _weighted_interquartile_mean(scores: Array) -> Array:
    """Computes the interquartile mean where each run weighs 1/(runs of its game): floor(N/4)/N of all weight is trimmed at each
    end, as scipy trims N equal ones."""
    counts = (~np.isnan(scores.reshape(-1, *scores.shape[-2:])[0])).sum(axis=0)
    weights = np.where(np.isnan(scores), 0.0, 1.0 / (counts * len(counts)))
    flat, flat_weights = (array.reshape(*array.shape[:-2], -1) for array in (scores, weights))
    order = np.argsort(flat, axis=-1, kind="stable")  # NaN goes last, with weight 0
    ordered = np.nan_to_num(np.take_along_axis(flat, order, axis=-1))
    upper = np.cumsum(np.take_along_axis(flat_weights, order, axis=-1), axis=-1)
    lower = np.concatenate([np.zeros_like(upper[..., :1]), upper[..., :-1]], axis=-1)
    share = int(TRIMMED_SHARE * counts.sum()) / counts.sum()
    kept = np.clip(np.minimum(upper, 1.0 - share) - np.maximum(lower, share), 0.0, None)
    return np.asarray((kept * ordered).sum(axis=-1) / kept.sum(axis=-1))


AGGREGATE_REPS = 50_000
"""Resamples for aggregates, as in rliable."""
POOLED = ("mean", "median")
"""Statistics that outliers rule; their small-sample interval takes the games' spreads together (`pool_spread`)."""
ESTIMATE_COLUMNS = [
    "method", "statistic", "estimate", "low", "high", "percentile_low", "percentile_high",
    "num_games", "num_runs", "min_runs", "max_runs",
]  # fmt: skip


def estimate(
    frame: pd.DataFrame,
    value: str = "normalized",
    statistics: Mapping[str, Statistic] = AGGREGATES,
    reps: int = AGGREGATE_REPS,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimates statistics: one row per (method, statistic) of a frame as `load` gives it; only complete cells count.

    `low` and `high` bound the small-sample interval, `percentile_low` and `percentile_high` rliable's, both 95 %. They are NaN
    where a game has a single run: one run has no spread. Games in which a method has no value are left out of its row, as its
    `num_games` says. Raises InputError for a frame without one of the columns.
    """
    require_columns(frame, "method", "game", "seed", value)
    complete = frame[frame["status"] == "complete"] if "status" in frame else frame
    rows = []
    for method, part in complete.groupby("method", sort=False):
        games = games_with_values(part, value)
        if games:
            rows += _estimates(str(method), score_matrix(part, games, value), statistics, reps, seed)
    return pd.DataFrame(rows, columns=ESTIMATE_COLUMNS)


def _estimates(method: str, matrix: Array, statistics: Mapping[str, Statistic], reps: int, seed: int) -> list[dict[str, object]]:
    fewest, most = runs_per_game(matrix)
    functions = list(statistics.values())
    reps = reps if fewest > 1 else 1
    drawn = SeededStratifiedBootstrap(matrix, generator(seed, "aggregates", method)).distribution(functions, reps)
    pooled = pool_spread(matrix)
    drawn_pooled = SeededStratifiedBootstrap(pooled, generator(seed, "pooled", method)).distribution(functions, reps)
    rows = []
    for index, (name, statistic) in enumerate(statistics.items()):
        estimate = float(statistic(matrix))
        sample, distribution = (pooled, drawn_pooled) if name in POOLED else (matrix, drawn)
        honest = small_sample_interval(statistic, [sample], distribution[:, index], estimate, longer_arm=name in POOLED)
        if name == LOWER_IS_BETTER:
            honest = honest.clip(0.0, np.inf)  # scores above 1 count as 1
        percentile = percentile_interval(drawn[:, index]) if fewest > 1 else UNKNOWN
        rows.append(
            {
                "method": method,
                "statistic": name,
                "estimate": estimate,
                "low": honest.low,
                "high": honest.high,
                "percentile_low": percentile.low,
                "percentile_high": percentile.high,
                "num_games": matrix.shape[1],
                "num_runs": int((~np.isnan(matrix)).sum()),
                "min_runs": fewest,
                "max_runs": most,
            }
        )
    return rows


TITLES = {"iqm": "IQM", "median": "Median", "mean": "Mean", "optimality_gap": "Optimality gap ↓"}


def plot_aggregates(estimates: pd.DataFrame) -> Figure:
    """Draws one panel per statistic of `estimate`'s rows: thin lines are small-sample intervals, thick ones rliable's."""
    statistics = [name for name in TITLES if name in set(estimates["statistic"])]
    methods = list(dict.fromkeys(estimates["method"]))
    with xtra_style():
        figure = new_figure(2.45 * len(statistics) + 1.2, 0.95 + 0.32 * len(methods))
        panels = figure.subplots(1, len(statistics), sharey=True, squeeze=False)[0]
        for axes, statistic in zip(panels, statistics, strict=True):
            interval_rows(axes, estimates[estimates["statistic"] == statistic], methods)
            axes.set_title(TITLES[statistic])
            axes.locator_params(axis="x", nbins=4)
    return figure


def aggregates_section(findings: Findings) -> Section | None:
    """Shows the four aggregates, in a figure and a table."""
    if findings.estimates.empty:
        return None
    lead = f"Scores are normalized per game: {findings.study.scale.meaning}."
    if findings.study.scale.endpoints is None:
        lead = "Scores are taken as they were given. Aggregates over games mean something where games share a scale; the "
        lead += "optimality gap is what is missing to 1."
    unknown = sorted(set(findings.study.complete.loc[findings.study.complete["normalized"].isna(), "game"]))
    if unknown:
        lead += f" Left out here, for want of such a reference: {listed(unknown)}."
    iqm = findings.estimates[findings.estimates["statistic"] == "iqm"]
    picture = Picture(
        "aggregates",
        plot_aggregates(findings.estimates),
        f"Points with intervals for four aggregates of the normalized score of each method. IQM: {spoken(iqm)}",
        "Thin line: 95 % interval that allows for few seeds. Thick line: rliable's percentile interval, too narrow at few seeds. "
        + sample_text(findings.estimates),
        findings.estimates,
    )
    columns = [METHOD]
    for statistic, heading in TITLES.items():
        columns += estimate_columns(statistic, heading)
    notes = ["Seeds are per game."]
    if findings.estimates["num_games"].isin([2, 3, 4]).any():
        notes.append(IQM_OF_FEW_GAMES)
    wide = wide_estimates(findings.estimates)
    table = Table(
        "aggregates", "Aggregates", wide, [*columns, SEEDS, GAMES], notes, findings.estimates, "with rliable's intervals"
    )
    return Section("aggregates", "Aggregate scores", [Paragraph(lead), picture, table])
