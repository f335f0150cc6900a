"""Learning curves: the score at each number of env steps, per game and over all games."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.aggregates import interquartile_mean
from xtra_analysis.bootstrap import SeededStratifiedBootstrap, generator
from xtra_analysis.intervals import percentile_interval, small_sample_interval
from xtra_analysis.matrices import games_with_values, runs_per_game, score_matrix

CURVE_REPS = 2_000
"""Resamples for each point of a curve, as in rliable."""

CURVE_COLUMNS = [
    "method", "env_steps", "estimate", "low", "high", "percentile_low", "percentile_high", "num_games", "min_runs", "max_runs",
]  # fmt: skip


def sample_efficiency(curves: pd.DataFrame, value: str = "normalized", reps: int = CURVE_REPS, seed: int = 0) -> pd.DataFrame:
    """IQM over runs × games of each method at each number of env steps that all its runs reached, with 95 % intervals."""
    rows = []
    for method, part in curves[curves[value].notna()].groupby("method", sort=False):
        for env_steps, point in common_points(part).groupby("env_steps"):
            matrix = score_matrix(point, games_with_values(point, value), value)
            fewest, most = runs_per_game(matrix)
            bootstrap = SeededStratifiedBootstrap(matrix, generator(seed, "curve", str(method), str(env_steps)))
            distribution = bootstrap.distribution([interquartile_mean], reps)[:, 0]
            honest = small_sample_interval(interquartile_mean, [matrix], distribution)
            percentile = percentile_interval(distribution) if fewest > 1 else honest
            center = float(interquartile_mean(matrix))
            rows.append(
                (
                    method,
                    env_steps,
                    center,
                    honest.low,
                    honest.high,
                    percentile.low,
                    percentile.high,
                    matrix.shape[1],
                    fewest,
                    most,
                )
            )
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def common_points(curves: pd.DataFrame) -> pd.DataFrame:
    """The rows at env steps at which every run of the frame was evaluated; all rows where there is no such point."""
    num_runs = curves[["game", "seed"]].drop_duplicates().shape[0]
    evaluated = curves.groupby("env_steps")["seed"].count()
    common = evaluated.index[evaluated == num_runs]
    return curves[curves["env_steps"].isin(common)] if len(common) else curves
