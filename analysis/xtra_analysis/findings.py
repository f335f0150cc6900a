"""Findings of a report: a study and its estimates."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from xtra_analysis.study import Study


@dataclass(frozen=True)
class TimeToThreshold:
    """The env steps until `score` was reached: by each run, by each method on average, and how much sooner or later than the
    baseline.

    budget: the env steps after which the last evaluation was made. `differences` is empty where there is no baseline with a
    learning curve.
    """

    score: float
    budget: float
    runs: pd.DataFrame
    estimates: pd.DataFrame
    differences: pd.DataFrame

    def difference(self, method: str | None) -> pd.Series | None:
        """Returns the row of `differences` of one method."""
        rows = self.differences[self.differences["method"] == method]
        return rows.iloc[0] if len(rows) else None

    def counts(self, method: str) -> tuple[int, int]:
        """Counts the runs of a method that reached the score, and all of them."""
        reached = self.runs.loc[self.runs["method"] == method, "reached"]
        return int(reached.sum()), len(reached)


CROWD = 5
"""Most methods of which a figure with bands stresses all; with more it stresses the two that the question is about."""


@dataclass(frozen=True)
class Findings:
    """The study and its estimates; frames are empty where there is nothing to estimate.

    `comparison`, `game_ratios`, `equivalence_by_game` and `transfer_matrix` are against the baseline, `ablations` against the
    primary method, `equivalence` against both.
    `time_to_threshold` is None where the suite names no score to be reached, or no run has a learning curve.
    """

    study: Study
    seed: int
    estimates: pd.DataFrame
    efficiency: pd.DataFrame
    relative_efficiency: pd.DataFrame
    comparison: pd.DataFrame
    game_ratios: pd.DataFrame
    ablations: pd.DataFrame
    equivalence: pd.DataFrame
    equivalence_by_game: pd.DataFrame
    profiles: pd.DataFrame
    worst_case: pd.DataFrame
    time_to_threshold: TimeToThreshold | None
    draws: pd.DataFrame
    draw_spread: pd.DataFrame
    transfer_matrix: pd.DataFrame

    @property
    def primary(self) -> str | None:
        """The method the question is about."""
        return primary_method(self.study)

    @property
    def emphasis(self) -> list[str] | None:
        """Methods to stress in crowded figures; None for all."""
        if len(self.study.methods) <= CROWD:
            return None
        return [name for name in self.study.methods if name in (self.primary, self.study.baseline)]

    def estimate(self, method: str, statistic: str) -> pd.Series | None:
        """Returns the row of one method and statistic of `estimate` or `compare`, or None."""
        for table in (self.estimates, self.comparison):
            rows = table[(table["method"] == method) & (table["statistic"] == statistic)]
            if len(rows):
                return rows.iloc[0]
        return None


def primary_method(study: Study) -> str | None:
    """Returns the first method, in suite order, that learns and is not the baseline; failing that, the first that has a score."""
    scored = set(study.complete["method"])
    challengers = [name for name in study.learners if name != study.baseline and name in scored]
    return next(iter(challengers or [name for name in study.methods if name in scored]), None)
