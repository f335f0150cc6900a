"""Columns that several tables share."""

from __future__ import annotations

from typing import Any

from xtra_analysis.content import Column
from xtra_analysis.formatting import number, runs, span

METHOD = Column("Method", lambda row: row.method, numeric=False)
ESTIMATE = Column("Estimate", lambda row: number(row.estimate))
INTERVAL = Column("95 % interval", lambda row: span(row.low, row.high))
PERCENTILE = Column("rliable's interval", lambda row: span(row.percentile_low, row.percentile_high))
GAMES = Column("Games", lambda row: str(row.num_games))


def seeds_text(row: Any) -> str:
    """Runs per game."""
    return runs(row.min_runs, row.max_runs)


SEEDS = Column("Seeds", seeds_text)
