"""What a job says while it runs: metrics as JSON lines (the record) and progress as one small file (for whoever watches).

Both live in the job's work directory. Nothing that is computed depends on them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Telemetry:
    """Writes `metrics.jsonl` and `progress.json` under `directory`.

    After a resume, `rewind` drops the metric lines that the interrupted attempt wrote past its last checkpoint.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._metrics = directory / "metrics.jsonl"
        self._started = time.monotonic()
        self._last_progress = 0.0

    def metrics(self, **values: Any) -> None:
        """Appends one line. Values are JSON scalars; by convention `updates` and `env_steps` say when."""
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values, sort_keys=True) + "\n")

    def size(self) -> int:
        """Bytes of metrics written so far; stored in checkpoints for `rewind`."""
        return self._metrics.stat().st_size if self._metrics.exists() else 0

    def rewind(self, size: int) -> None:
        """Cuts the metrics back to `size` bytes."""
        if self._metrics.exists() and self._metrics.stat().st_size > size:
            os.truncate(self._metrics, size)

    def progress(
        self, done: int, total: int, unit: str, figures: Mapping[str, float] | None = None, *, force: bool = False
    ) -> None:
        """Publishes how far the job is, at most four times a second unless `force`; `figures` are shown beside the bar."""
        now = time.monotonic()
        if not force and now - self._last_progress < 0.25:
            return
        self._last_progress = now
        state: Mapping[str, Any] = {
            "done": done,
            "total": total,
            "unit": unit,
            "seconds": round(now - self._started, 3),
            "figures": dict(figures or {}),
        }
        temporary = self.directory / "progress.json.tmp"
        temporary.write_text(json.dumps(state), encoding="utf-8")
        temporary.replace(self.directory / "progress.json")
