"""Learning curves: the score at each number of env steps, per game and over all games."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from xtra_analysis.aggregates import Array, interquartile_mean
from xtra_analysis.bootstrap import generator, joint_distribution
from xtra_analysis.compare import games_with_positive_scores, mean_ratio, split_off
from xtra_analysis.intervals import UNKNOWN, JointStatistic, percentile_interval, small_sample_interval
from xtra_analysis.matrices import games_with_values, runs_per_game, score_matrix

CURVE_REPS = 2_000
"""Resamples for each point of a curve, as in rliable."""

CURVE_COLUMNS = [
    "method", "env_steps", "estimate", "low", "high", "percentile_low", "percentile_high", "num_games", "min_runs", "max_runs",
]  # fmt: skip


def sample_efficiency(curves: pd.DataFrame, value: str = "normalized", reps: int = CURVE_REPS, seed: int = 0) -> pd.DataFrame:
    """IQM over runs × games of each method at each number of env steps that all its runs reached, with 95 % intervals."""
    rows = []
    for method, env_steps, point in _points(curves[curves[value].notna()]):
        matrix = score_matrix(point, games_with_values(point, value), value)
        random = generator(seed, "curve", method, str(env_steps))
        rows.append(_point(method, env_steps, interquartile_mean, [matrix], reps, random))
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def relative_efficiency(
    curves: pd.DataFrame, scores: pd.DataFrame, baseline: str, reps: int = CURVE_REPS, seed: int = 0
) -> pd.DataFrame:
    """Score over the baseline's final mean score, averaged over games, at each number of env steps: the paper's Figure 1.

    The baseline's final scores are resampled too. Games in which a run of the baseline is not positive are left out.
    Raises InputError for a baseline that is no method of `scores`.
    """
    _, final = split_off(scores, baseline)
    rows = []
    for method, env_steps, point in _points(curves[curves["game"].isin(games_with_positive_scores(final))]):
        games = games_with_values(point, "score")
        samples = [score_matrix(point, games, "score"), score_matrix(final, games, "score")]
        random = generator(seed, "relative curve", method, str(env_steps))
        rows.append(_point(method, env_steps, mean_ratio, samples, reps, random))
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def _points(curves: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    for method, part in curves.groupby("method", sort=False):
        for env_steps, point in common_points(part).groupby("env_steps"):
            yield str(method), int(env_steps), point


def _point(
    method: str, env_steps: int, statistic: JointStatistic, samples: Sequence[Array], reps: int, random: np.random.Generator
) -> tuple[object, ...]:
    counts = [runs_per_game(sample) for sample in samples]
    fewest, most = min(count[0] for count in counts), max(count[1] for count in counts)
    distribution = joint_distribution(statistic, samples, reps, random)
    honest = small_sample_interval(statistic, samples, distribution)
    percentile = percentile_interval(distribution) if fewest > 1 else UNKNOWN
    bounds = (honest.low, honest.high, percentile.low, percentile.high)
    return (method, env_steps, float(statistic(*samples)), *bounds, samples[0].shape[1], fewest, most)


def common_points(curves: pd.DataFrame) -> pd.DataFrame:
    """The rows at env steps at which every run of the frame was evaluated; all rows where there is no such point."""
    num_runs = curves[["game", "seed"]].drop_duplicates().shape[0]
    evaluated = curves.groupby("env_steps")["seed"].count()
    common = evaluated.index[evaluated == num_runs]
    return curves[curves["env_steps"].isin(common)] if len(common) else curves
