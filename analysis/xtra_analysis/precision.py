"""Precision of a study of this size: the differences that it can see, and the seeds that smaller ones would need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from xtra_analysis.findings import Findings
from xtra_analysis.games import denominator_is_unstable
from xtra_analysis.intervals import STUDENT_LEVEL
from xtra_analysis.matrices import Array
from xtra_analysis.missing import worst_case_table
from xtra_analysis.page import Column, Paragraph, Section, Table
from xtra_analysis.text import counted, listed, percent

POWER = 0.8
"""The chance to find a difference that is there."""
EFFECTS = (0.05, 0.10, 0.20, 0.50)
"""Relative differences for which needed seeds are listed."""
MAX_SEEDS = 2_000
FEWEST_GAMES, FEWEST_SEEDS = 10, 4
"""Size from which on the formula is used. In simulated studies a difference that it calls visible was found in 70 to 82 % at 10
or 26 games with 4 or 5 seeds. With fewer, intervals are wider than it knows: 48 % at 5 games with 3 seeds, 52 % at 1 with 5."""


@dataclass(frozen=True)
class Spread:
    """Relative variance (variance / mean²) between runs in each game, averaged over the methods that learn.

    left_out: the games where every such method's runs differ too much for it.
    """

    games: tuple[str, ...]
    relative_variance: Array
    left_out: tuple[str, ...] = ()

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
        """Returns the smallest number of seeds, FEWEST_SEEDS at least, that can detect a relative difference of `effect`; None
        above MAX_SEEDS."""
        low, high = FEWEST_SEEDS, MAX_SEEDS
        if self.detectable_ratio(high) > effect:
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.detectable_ratio(middle) <= effect else (middle + 1, high)
        return low


def relative_spread(complete: pd.DataFrame, methods: list[str]) -> Spread | None:
    """Computes the spread of raw scores between runs of those methods, in each game over those whose mean is clear of 0; None
    where no game has two runs of such a method."""
    part = complete[complete["method"].isin(methods)]
    variances: dict[str, list[float]] = {}
    for (game, _), scores in part.groupby(["game", "method"])["score"]:
        if len(scores) > 1 and not denominator_is_unstable(scores.to_numpy()):
            with np.errstate(over="ignore"):
                variances.setdefault(str(game), []).append(float((scores.std() / scores.mean()) ** 2))
    relative = {game: float(np.mean(values)) for game, values in variances.items()}
    relative = {game: value for game, value in relative.items() if np.isfinite(value)}
    left_out = tuple(str(game) for game in part["game"].unique() if str(game) not in relative)
    return Spread(tuple(relative), np.array(list(relative.values())), left_out) if relative else None


def fewest_seeds(complete: pd.DataFrame, methods: list[str]) -> int:
    """Counts the runs of the game and method with the fewest."""
    return int(complete[complete["method"].isin(methods)].groupby(["game", "method"]).size().min())


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
        seeds = fewest_seeds(study.complete, study.learners)
        blocks.append(Paragraph(_sentence(spread, seeds)))
        blocks += [_needed(spread)] * _is_large_enough(spread, seeds)
    elif len(study.complete):
        blocks.append(Paragraph(_why_not(study.complete, spread)))
    if len(findings.worst_case):
        blocks.append(worst_case_table(findings))
    return Section("precision", "What this study can see", blocks) if blocks else None


def _why_not(complete: pd.DataFrame, spread: Spread | None) -> str:
    if spread is not None:
        return "All seeds scored alike, so their spread says nothing about which differences this study can see."
    if complete.groupby(["method", "game"]).size().max() < 2:
        return "One seed has no spread to reckon from: no game has two runs of a method."
    return (
        "Which differences this study can see is measured relative to mean scores, and no method has one that is clear of 0 "
        "on two runs."
    )


def _is_large_enough(spread: Spread, seeds: int) -> bool:
    return len(spread.games) >= FEWEST_GAMES and seeds >= FEWEST_SEEDS


def _sentence(spread: Spread, seeds: int) -> str:
    size = f"{counted(seeds, 'seed')} × {counted(len(spread.games), 'game')}"
    if not _is_large_enough(spread, seeds):
        return (
            f"The differences that a study can see are estimated from {FEWEST_SEEDS} seeds × {FEWEST_GAMES} games upwards, "
            f"counting games whose mean score is clear of 0. This one has {size}: too few to know how far seeds spread."
        )
    smallest = percent(spread.detectable_ratio(seeds), 1)
    return (
        f"With {size} this study can see differences of {smallest} between two methods at best. "
        "(Mean ratio over games, told from no difference by the intervals used here, in seven to eight studies of ten.)"
        + _of_what_is_left_out(spread)
    )


def _of_what_is_left_out(spread: Spread) -> str:
    if not spread.left_out:
        return ""
    return f" That leaves out {listed(list(spread.left_out))}, where no method's mean is clear of 0."


def _needed(spread: Spread) -> Table:
    columns = [
        Column("Difference to be seen", lambda row: percent(row.effect), numeric=False),
        Column("Seeds per game and method, at least", lambda row: _seeds(row.seeds)),
    ]
    note = f"From the spread between seeds seen here, on {counted(len(spread.games), 'game')} with a mean score clear of 0."
    return Table("seeds_needed", "Seeds needed", needed_seeds_table(spread), columns, [note])


def _seeds(count: object) -> str:
    return f"more than {MAX_SEEDS:,}" if pd.isna(count) else f"{count:,}"
