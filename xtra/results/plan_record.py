"""`plan.json`, as it lies in a run's directory: the cells that were asked for, read without the suite."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from xtra.store.rows import Cell

PLAN_FILE = "plan.json"


class _PlanRecord(BaseModel):
    """The part of a plan that is read here."""

    model_config = ConfigDict(strict=True)

    cells: tuple[Cell, ...]


def read_cells(run: Path) -> tuple[Cell, ...]:
    """Returns the cells of a run's plan. Raises OSError, and ValueError for what is no plan."""
    return _PlanRecord.model_validate_json((run / PLAN_FILE).read_bytes()).cells
