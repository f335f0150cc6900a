"""`estimate`: the aggregates of each method with both intervals, from tidy rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from xtra_analysis.aggregates import AGGREGATES, Array, Statistic
from xtra_analysis.bootstrap import SeededStratifiedBootstrap, generator
from xtra_analysis.intervals import UNKNOWN, percentile_interval, pool_spread, small_sample_interval
from xtra_analysis.matrices import games_with_values, runs_per_game, score_matrix

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
    """One row per (method, statistic) of a frame as `load` gives it; only complete cells count.

    `low` and `high` bound the small-sample interval, `percentile_low` and `percentile_high` rliable's, both 95 %. They are NaN
    where a game has a single run: one run has no spread. Games in which a method has no value are left out of its row, as its
    `num_games` says.
    """
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
