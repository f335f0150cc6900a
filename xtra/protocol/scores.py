"""Scores known beforehand, each with its provenance: random, human and maximum scores per game, and published results.

The tables are `results/reference/*.csv`, installed beside this module. `results/README.md` describes their columns.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Trust = Literal["published", "secondary", "recollected"]
"""published: read in the source itself or its data files; secondary: read in a transcription; recollected: read nowhere."""

_TRUSTS: dict[str, Trust] = {"published": "published", "secondary": "secondary", "recollected": "recollected"}
INSTALLED_TABLES = "reference"
"""The folder beside this module that an installed package has the tables in."""

_INSTALLED = Path(__file__).parent / INSTALLED_TABLES
_CHECKOUT = Path(__file__).parents[2] / "results" / "reference"


@dataclass(frozen=True)
class ReferenceScore:
    """The raw returns that 0 and 1 stand for in one game: a uniformly random agent's, and a human's or that of perfect play."""

    game: str
    random: float
    reference: float
    reference_kind: Literal["human", "maximum"]
    source: str
    note: str

    def normalize(self, score: float) -> float:
        """Maps the random agent's raw return to 0 and the reference's to 1."""
        return (score - self.random) / (self.reference - self.random)


@dataclass(frozen=True)
class PublishedScore:
    """One method's raw score on one game, as its source gives it. `std` is over training runs; None where not given."""

    method: str
    game: str
    score: float
    std: float | None
    num_seeds: int | None
    trust: Trust
    source: str
    note: str


@dataclass(frozen=True)
class PublishedAggregate:
    """A statistic over `num_games` games, as its source gives it."""

    method: str
    statistic: str
    value: float
    num_games: int
    num_seeds: int | None
    trust: Trust
    source: str
    note: str


@cache
def reference_scores() -> Mapping[str, ReferenceScore]:
    """Returns the scores that 0 and 1 stand for in each game. Games without a known human score (Carnival, Pooyan) are absent."""
    return {
        row["game"]: ReferenceScore(
            row["game"],
            float(row["random"]),
            float(row["reference"]),
            "maximum" if row["reference_kind"] == "maximum" else "human",
            row["source"],
            row["note"],
        )
        for row in _rows("reference_scores.csv")
    }


@cache
def published_scores() -> tuple[PublishedScore, ...]:
    """Returns the scores of other people's runs, by game. Those of trust `recollected` never enter an estimate."""
    return tuple(
        PublishedScore(
            row["method"],
            row["game"],
            float(row["score"]),
            _optional(row["std"]),
            _count(row["num_seeds"]),
            _trust(row["trust"]),
            row["source"],
            row["note"],
        )
        for row in _rows("published_scores.csv")
    )


@cache
def published_aggregates() -> tuple[PublishedAggregate, ...]:
    """Returns statistics over many games, as published."""
    return tuple(
        PublishedAggregate(
            row["method"],
            row["statistic"],
            float(row["value"]),
            int(row["num_games"]),
            _count(row["num_seeds"]),
            _trust(row["trust"]),
            row["source"],
            row["note"],
        )
        for row in _rows("published_aggregates.csv")
    )


def tables_directory() -> Path:
    """Returns the directory of the tables: beside this module, or in the checkout that it is part of."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def _rows(name: str) -> list[dict[str, str]]:
    with (tables_directory() / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _optional(text: str) -> float | None:
    return float(text) if text else None


def _count(text: str) -> int | None:
    return int(text) if text else None


def _trust(text: str) -> Trust:
    return _TRUSTS[text]
