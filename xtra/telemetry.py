"""Telemetry of a running job: metrics as JSON lines (the record), the same for TensorBoard where it is installed and for Weights
& Biases where a project is named, and progress as one small file (all for people who watch).

All live in the job's work directory. Nothing that is computed depends on them.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

COUNTERS = ("env_steps", "updates")
"""Counters that metrics are drawn over, each under a heading of its own: after the last env step updates go on alone."""

PROJECT_VARIABLE = "XTRA_WANDB_PROJECT"
"""The environment variable that names the project of Weights & Biases that metrics go to; without it they go to none."""


class Curves(Protocol):
    """Shows metrics to people."""

    def add(self, values: Mapping[str, Any]) -> None:
        """Takes one line of the metrics."""

    def close(self) -> None:
        """Writes what is still held back."""


class Telemetry:
    """Writes `metrics.jsonl`, `tensorboard/` and `wandb/` (with the extras of these names) and `progress.json` under `directory`.

    After a resume, `rewind` drops the metric lines that the interrupted attempt wrote past its last checkpoint.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._metrics = directory / "metrics.jsonl"
        self._started = time.monotonic()
        self._last_progress = 0.0
        self._progress: Mapping[str, Any] = {}
        self._curves: list[Curves] | None = None

    def metrics(self, **values: Any) -> None:
        """Appends one line. Values are JSON scalars; by convention `updates` and `env_steps` say when."""
        if self._curves is None:
            self._curves = [TensorBoard(self.directory / "tensorboard", self._metrics)]
            if project := os.environ.get(PROJECT_VARIABLE):
                self._curves.append(WeightsAndBiases(self.directory, self._metrics, project))
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values, sort_keys=True) + "\n")
        for curves in self._curves:
            curves.add(values)

    def size(self) -> int:
        """Returns the bytes of metrics written so far; stored in checkpoints for `rewind`. Synced: a checkpoint that outlives a
        power cut must not count lines that did not."""
        if not self._metrics.exists():
            return 0
        for path in (self._metrics, self.directory):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return self._metrics.stat().st_size

    def rewind(self, size: int) -> None:
        """Cuts the metrics back to `size` bytes."""
        if self._metrics.exists() and self._metrics.stat().st_size > size:
            os.truncate(self._metrics, size)
        for curves in self._curves or ():
            curves.close()
        self._curves = None

    def progress(
        self,
        done: int,
        total: int,
        unit: str,
        figures: Mapping[str, float] | None = None,
        *,
        totals: Mapping[str, int] | None = None,
        activity: str = "",
        force: bool = False,
    ) -> None:
        """Publishes how far the job is, at most four times a second unless `force`.

        totals: for figures that count towards one. activity: what is being done where the bar does not move; shown beside it, as
        `figures` are.
        """
        now = time.monotonic()
        self._progress = {
            "done": done,
            "total": total,
            "unit": unit,
            "seconds": round(now - self._started, 3),
            "figures": dict(figures or {}),
            "totals": dict(totals or {}),
            "activity": activity,
        }
        if force or now - self._last_progress >= 0.25:
            self._last_progress = now
            self.keep_progress(self.directory)

    def keep_progress(self, directory: Path) -> None:
        """Writes the progress that was published last into a directory, such as a checkpoint's; nothing before the first."""
        if self._progress:
            temporary = directory / "progress.json.tmp"
            temporary.write_text(json.dumps(self._progress), encoding="utf-8")
            temporary.replace(directory / "progress.json")


@dataclass(frozen=True)
class Progress:
    """`done` of `total` `unit`s, `seconds` into this attempt; `figures` are the numbers worth watching, by name.

    activity: what is being done where `done` does not grow: `evaluating 3/10`. totals: for figures that count towards one.
    """

    done: int
    total: int
    unit: str
    seconds: float
    figures: Mapping[str, float]
    activity: str = ""
    totals: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        figures = "".join(f"  {name} {value:.4g}" for name, value in self.figures.items() if name not in self.totals)
        activity = f"  {self.activity}" if self.activity else ""
        return f"{self.position}{activity}{figures}"

    @property
    def position(self) -> str:
        """How far it is: `3/10 games`, or `39 %  env_steps 512/1,200  updates 32/188` where it counts several things."""
        if not self.totals:
            return f"{self.done:,}/{self.total:,} {self.unit}"
        counts = "".join(f"  {name} {self.figures[name]:,}/{total:,}" for name, total in self.totals.items())
        return f"{100 * self.done / max(self.total, 1):.0f} %{counts}"


def read_progress(work: Path) -> Progress | None:
    """Reads a job's progress; None when it has not written any yet, or something that makes no sense."""
    try:
        progress = Progress(**json.loads((work / "progress.json").read_bytes()))
        return progress if str(progress).isprintable() else None  # the file may hold anything, and this is printed on a terminal
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


class TensorBoard:
    """Metrics as TensorBoard reads them, written again from the JSON lines at each start: so a resumed job repeats no point."""

    def __init__(self, directory: Path, metrics: Path) -> None:
        self._writer: Any = None
        if find_spec("tensorboard") is not None:
            shutil.rmtree(directory, ignore_errors=True)
            self._writer = import_module("tensorboard.summary").Writer(str(directory))
            for values in _lines(metrics):
                self._write(values)

    def add(self, values: Mapping[str, Any]) -> None:
        """Draws every figure of one line of the metrics over every counter in it."""
        if self._writer is not None:
            self._write(values)
            self._writer.flush()

    def close(self) -> None:
        """Closes the writer; nothing is held back."""

    def _write(self, values: Mapping[str, Any]) -> None:
        for counter in COUNTERS:
            for name, value in values.items() if counter in values else ():
                if name not in COUNTERS and isinstance(value, int | float):
                    self._writer.add_scalar(f"by_{counter}/{name}", value, values[counter])


class WeightsAndBiases:
    """Metrics as a run of Weights & Biases, whose id is the job's key: offline unless `WANDB_MODE` says otherwise.

    As for TensorBoard all lines are written again at each start; line i is step i, so that a run which is on the server already
    takes up where it was. A tracker that fails is given up with a word in the log: no result depends on it.
    """

    def __init__(self, directory: Path, metrics: Path, project: str) -> None:
        self._run: Any = None
        self._step = 0
        try:
            wandb = import_module("wandb")
            shutil.rmtree(directory / "wandb", ignore_errors=True)
            self._run = wandb.init(
                project=project,
                id=directory.parent.name,
                name=directory.parent.name,
                config=_job_record(directory.parent),
                dir=str(directory),
                mode=os.environ.get("WANDB_MODE", "offline"),
                resume="allow",
                settings=wandb.Settings(console="off", silent=True, disable_git=True, save_code=False),
            )
        except Exception as error:  # a tracker may raise anything
            self._give_up(error)
        for values in _lines(metrics):
            self.add(values)

    def add(self, values: Mapping[str, Any]) -> None:
        """Logs one line of the metrics."""
        if self._run is not None:
            try:
                self._run.log(dict(values), step=self._step)
                self._step += 1
            except Exception as error:  # a tracker may raise anything
                self._give_up(error)

    def close(self) -> None:
        """Ends the run on this machine."""
        if self._run is not None:
            self._run.finish()

    def _give_up(self, error: Exception) -> None:
        self._run = None
        remedy = ": pip install 'xtra-bench[wandb]'" if isinstance(error, ModuleNotFoundError) else ""
        print(f"{PROJECT_VARIABLE} is set, and Weights & Biases fails: {type(error).__name__}: {error}{remedy}", flush=True)


def _lines(metrics: Path) -> Iterator[Mapping[str, Any]]:
    """Yields the lines of the metrics so far."""
    for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else ():
        yield json.loads(line)


def _job_record(directory: Path) -> Mapping[str, Any]:
    """Returns the record of the job that is computed; nothing where that is not known."""
    try:
        record: Mapping[str, Any] = json.loads((directory / "job.json").read_bytes())
        return record
    except (OSError, ValueError):
        return {}
