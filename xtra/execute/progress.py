"""How far a job is, as its telemetry published it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """`done` of `total` `unit`s, `seconds` into this attempt; `figures` are the numbers worth watching, by name."""

    done: int
    total: int
    unit: str
    seconds: float
    figures: Mapping[str, float]

    def __str__(self) -> str:
        figures = "".join(f"  {name} {value:.4g}" for name, value in self.figures.items())
        return f"{self.done:,}/{self.total:,} {self.unit}{figures}"


def read_progress(work: Path) -> Progress | None:
    """None when the job has not said anything yet."""
    try:
        return Progress(**json.loads((work / "progress.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
