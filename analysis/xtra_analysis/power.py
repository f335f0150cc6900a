"""What a study of this size can see, and how many seeds it would need to see less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from xtra_analysis.aggregates import Array
from xtra_analysis.intervals import STUDENT_LEVEL

POWER = 0.8
"""The chance to find a difference that is there."""
EFFECTS = (0.05, 0.10, 0.20, 0.50)
"""Relative differences for which needed seeds are listed."""
MAX_SEEDS = 2_000


@dataclass(frozen=True)
class Spread:
    """Relative variance (variance / mean²) between runs in each game, averaged over the methods that learn."""

    games: tuple[str, ...]
    relative_variance: Array

    def detectable_ratio(self, seeds: int) -> float:
        """The smallest change of the mean ratio that a report's interval tells from none, with power 0.8, at so many seeds.

        Both methods are taken to spread alike. NaN below two seeds.
        """
        if seeds < 2:
            return float("nan")
        contributions = 2.0 * self.relative_variance / seeds
        if contributions.sum() == 0.0:
            return 0.0
        error = np.sqrt(contributions.sum()) / len(self.games)
        freedom = contributions.sum() ** 2 / (contributions**2 / (2.0 * (seeds - 1))).sum()
        return float((stats.t.ppf(0.5 * (1 + STUDENT_LEVEL), freedom) + stats.t.ppf(POWER, freedom)) * error)

    def seeds_needed(self, effect: float) -> int | None:
        """The smallest number of seeds that can detect a relative difference of `effect`; None above MAX_SEEDS."""
        low, high = 2, MAX_SEEDS
        if self.detectable_ratio(high) > effect:
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.detectable_ratio(middle) <= effect else (middle + 1, high)
        return low


def relative_spread(complete: pd.DataFrame, methods: list[str]) -> Spread | None:
    """The spread of raw scores between runs of those methods; None where no game has two runs with a positive mean."""
    part = complete[complete["method"].isin(methods)]
    grouped = part.groupby(["game", "method"])["score"].agg(["mean", "var", "count"])
    usable = grouped[(grouped["count"] > 1) & (grouped["mean"] > 0)]
    if usable.empty:
        return None
    relative = (usable["var"] / usable["mean"] ** 2).groupby("game").mean()
    return Spread(tuple(relative.index), relative.to_numpy(dtype=np.float64))


def needed_seeds_table(spread: Spread) -> pd.DataFrame:
    """Seeds per game and method for each of EFFECTS."""
    seeds = pd.array([spread.seeds_needed(effect) for effect in EFFECTS], dtype="Int64")
    return pd.DataFrame({"effect": EFFECTS, "seeds": seeds})
