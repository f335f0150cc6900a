"""After how many env steps a learning curve first reaches a set score.

A run that never does counts with its whole budget, so a mean is over "env steps until the score was reached, or the budget was
spent": the restricted mean of survival analysis (Royston and Parmar, 2013). It needs no guess about what lies beyond the budget.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from xtra_analysis.aggregates import Array, game_means, mean
from xtra_analysis.bootstrap import generator
from xtra_analysis.compare import joint_estimate
from xtra_analysis.estimates import estimate
from xtra_analysis.matrices import games_with_values, score_matrix

REACH_REPS = 10_000
"""Resamples for each mean and each difference, as for ratios."""

REACH_COLUMNS = ["method", "game", "seed", "env_steps", "reached"]
REACH_DIFFERENCE_COLUMNS = [
    "method", "baseline", "estimate", "low", "high", "percentile_low", "percentile_high", "num_games", "min_runs", "max_runs",
]  # fmt: skip


@dataclass(frozen=True)
class Reach:
    """When `score` was reached: by each run, by each method on average, and how many env steps sooner or later than the baseline.

    `differences` is empty where there is no baseline with a learning curve.
    """

    score: float
    runs: pd.DataFrame
    estimates: pd.DataFrame
    differences: pd.DataFrame

    def difference(self, method: str | None) -> pd.Series | None:
        """The row of `differences` of one method."""
        found = self.differences[self.differences["method"] == method]
        return found.iloc[0] if len(found) else None


def find_reach(curves: pd.DataFrame, score: float | None, baseline: str | None, seed: int = 0) -> Reach | None:
    """Everything about reaching `score`; None without a score or without curves."""
    if score is None or curves.empty:
        return None
    runs = env_steps_to_reach(curves, score)
    differences = compare_reach(runs, baseline, seed) if baseline is not None else pd.DataFrame(columns=REACH_DIFFERENCE_COLUMNS)
    return Reach(score, runs, estimate_reach(runs, float(curves["env_steps"].max()), seed), differences)


def env_steps_to_reach(curves: pd.DataFrame, score: float) -> pd.DataFrame:
    """One row per run of `curves`: the `env_steps` at which its raw score is first `score` or more, and whether it ever was.

    Between two evaluations the curve is taken to be straight. A run that never gets there has those of its last evaluation.
    """
    rows = []
    for run, part in curves.groupby(["method", "game", "seed"], sort=False):
        points = part.sort_values("env_steps")
        steps = points["env_steps"].to_numpy(dtype=np.float64)
        rows.append((*run, *_first_crossing(steps, points["score"].to_numpy(dtype=np.float64), score)))
    return pd.DataFrame(rows, columns=REACH_COLUMNS)


def _first_crossing(steps: Array, scores: Array, score: float) -> tuple[float, bool]:
    above = np.flatnonzero(scores >= score)
    if not len(above):
        return float(steps[-1]), False
    after = int(above[0])
    if after == 0:
        return float(steps[0]), True
    return float(np.interp(score, scores[after - 1 : after + 1], steps[after - 1 : after + 1])), True


def estimate_reach(runs: pd.DataFrame, budget: float, seed: int = 0) -> pd.DataFrame:
    """Of the rows of `env_steps_to_reach`: each method's mean over games of the mean over runs, as `estimate` gives it.

    `num_reached` counts the runs that got there. No interval reaches below zero or beyond the budget.
    """
    table = estimate(runs, "env_steps", {"mean": mean}, REACH_REPS, seed)
    bounds = ["low", "high", "percentile_low", "percentile_high"]
    table[bounds] = table[bounds].clip(0.0, budget)
    return table.assign(num_reached=table["method"].map(runs.groupby("method")["reached"].sum()))


def compare_reach(runs: pd.DataFrame, baseline: str, seed: int = 0) -> pd.DataFrame:
    """Env steps of each other method minus the baseline's, mean over the games that both have; below zero is sooner.

    Both sides are resampled; the interval is that of the ratios to a baseline.
    """
    reference = runs[runs["method"] == baseline]
    rows = []
    for method, part in runs[runs["method"] != baseline].groupby("method", sort=False):
        games = sorted(set(games_with_values(part, "env_steps")) & set(reference["game"]))
        if games:
            samples = [score_matrix(side, games, "env_steps") for side in (part, reference)]
            row = joint_estimate(mean_difference, samples, REACH_REPS, generator(seed, "reach", str(method)))
            rows.append({"method": method, "baseline": baseline, **row})
    return pd.DataFrame(rows, columns=REACH_DIFFERENCE_COLUMNS)


def mean_difference(values: Array, baseline: Array) -> Array:
    """The mean over games of mean minus the baseline's mean: (..., runs, games) of both → (...)."""
    return np.asarray((game_means(values) - game_means(baseline)).mean(axis=-1))
