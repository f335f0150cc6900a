"""Cells without a score, by name."""

from __future__ import annotations

from xtra_analysis.content import Column, Section, Table
from xtra_analysis.findings import Findings


def missing(findings: Findings) -> Section | None:
    """The list of cells that are missing, failed or diverged."""
    frame = findings.study.missing[["method", "game", "seed", "status"]]
    if frame.empty:
        return None
    columns = [
        Column("Method", lambda row: row.method, numeric=False),
        Column("Game", lambda row: row.game, numeric=False),
        Column("Seed", lambda row: str(row.seed)),
        Column("Status", lambda row: row.status, numeric=False),
    ]
    return Section("missing", "What is missing", [Table("missing", "Runs without a score", frame, columns)])
