"""Precision of a study of this size: the differences that it can see, and the seeds that smaller ones would need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from xtra_analysis.findings import Findings
from xtra_analysis.intervals import STUDENT_LEVEL
from xtra_analysis.matrices import Array
from xtra_analysis.missing import worst_case_table
from xtra_analysis.page import Column, Paragraph, Section, Table
from xtra_analysis.text import counted, percent

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
        """Returns the smallest change of the mean ratio that a report's interval tells from none, with power 0.8, at so many
        seeds.

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
        """Returns the smallest number of seeds that can detect a relative difference of `effect`; None above MAX_SEEDS."""
        low, high = 2, MAX_SEEDS
        if self.detectable_ratio(high) > effect:
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.detectable_ratio(middle) <= effect else (middle + 1, high)
        return low


def relative_spread(complete: pd.DataFrame, methods: list[str]) -> Spread | None:
    """Computes the spread of raw scores between runs of those methods; None where no game has two runs with a positive mean."""
    part = complete[complete["method"].isin(methods)]
    grouped = part.groupby(["game", "method"])["score"].agg(["mean", "std", "count"])
    usable = grouped[(grouped["count"] > 1) & (grouped["mean"] > 0)]
    if usable.empty:
        return None
    with np.errstate(over="ignore"):
        relative = ((usable["std"] / usable["mean"]) ** 2).groupby("game").mean()
    relative = relative[np.isfinite(relative)]
    if relative.empty:
        return None
    return Spread(tuple(relative.index), relative.to_numpy(dtype=np.float64))


def needed_seeds_table(spread: Spread) -> pd.DataFrame:
    """Tabulates seeds per game and method for each of EFFECTS."""
    seeds = pd.array([spread.seeds_needed(effect) for effect in EFFECTS], dtype="Int64")
    return pd.DataFrame({"effect": EFFECTS, "seeds": seeds})


def precision_section(findings: Findings) -> Section | None:
    """Shows the smallest difference this study can see, the seeds needed for others, and how far missing runs could move it.

    None for a run that proves the wiring: its spread between seeds says nothing about methods that learn.
    """
    study = findings.study
    if study.record.proves == "wiring":
        return None
    blocks: list[Table | Paragraph] = []
    spread = relative_spread(study.complete, study.learners)
    if spread is not None and spread.relative_variance.sum() > 0:
        blocks += [Paragraph(_sentence(spread, len(study.record.seeds))), _needed(spread)]
    elif len(study.complete):
        blocks.append(Paragraph(_why_not(study.complete, spread)))
    if len(findings.worst_case):
        blocks.append(worst_case_table(findings))
    return Section("precision", "What this study can see", blocks) if blocks else None


def _why_not(complete: pd.DataFrame, spread: Spread | None) -> str:
    if spread is not None:
        return "All seeds scored alike, so their spread says nothing about which differences this study can see."
    if complete.groupby(["method", "game"]).size().max() < 2:
        return "One seed cannot tell a difference from chance: no game has two runs of a method."
    return (
        "Which differences this study can see is measured relative to mean scores, and no method has a positive one, "
        "of a size to compare a spread with, on two runs."
    )


def _sentence(spread: Spread, seeds: int) -> str:
    size = f"{counted(seeds, 'seed')} × {counted(len(spread.games), 'game')}"
    smallest = percent(spread.detectable_ratio(seeds), 1)
    return (
        f"With {size} this study can see differences of {smallest} or more between two methods. "
        "(Mean ratio over games, told from no difference by the intervals used here, four times in five.)"
    )


def _needed(spread: Spread) -> Table:
    columns = [
        Column("Difference to be seen", lambda row: percent(row.effect), numeric=False),
        Column("Seeds per game and method", lambda row: f"more than {MAX_SEEDS:,}" if pd.isna(row.seeds) else f"{row.seeds:,}"),
    ]
    note = f"From the spread between seeds seen here, on {counted(len(spread.games), 'game')}."
    return Table("seeds_needed", "Seeds needed", needed_seeds_table(spread), columns, [note])
