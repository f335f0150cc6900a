"""The context that the worker hands to a stage's `run(config, context)`: directories, telemetry, and requests to stop."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from xtra.telemetry import Telemetry

SAVE_SECONDS = 8.0
"""Seconds between the signal and the stage's end: enough for one move and a checkpoint. Launchers kill after 10, SLURM after
30."""

CHECKPOINT_SECONDS = 300.0
"""Seconds between checkpoints, unless a job's resources say otherwise: the work that a kill -9 or a power cut may lose."""


class Stopped(BaseException):
    """Ends a job that was asked to stop. Like KeyboardInterrupt no Exception, so that no stage swallows it.

    resumes_from: where the next attempt goes on.
    """

    def __init__(self, signal_number: int, resumes_from: str) -> None:
        super().__init__(signal_number, resumes_from)
        self.signal_number = signal_number
        self.resumes_from = resumes_from


class StopRequest:
    """SIGTERM or SIGINT as a stage meets it: as Stopped, raised at once or, after `defer`, between two of its moves.

    Only the first signal counts: SLURM and a dying launcher each send one, and the second must not interrupt the saving.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.resumes_from = "its beginning"
        self._deferred = False

    def listen(self) -> None:
        """Handles the process's signals from here on; for the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, self._receive)

    def defer(self) -> None:
        """Leaves stops to the stage, which from here on calls `check` between its moves.

        A stage that does not call it within SAVE_SECONDS is ended all the same.
        """
        self._deferred = True

    @property
    def requested(self) -> bool:
        return self.signal_number is not None

    def check(self) -> None:
        """Raises Stopped if the job was asked to stop."""
        if self.signal_number is not None:
            raise Stopped(self.signal_number, self.resumes_from)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        late = number == signal.SIGALRM
        if self.requested and not late:
            return
        self.signal_number = self.signal_number or number
        if late or not self._deferred:
            self.check()
        signal.setitimer(signal.ITIMER_REAL, SAVE_SECONDS)


@dataclass(frozen=True)
class StageContext:
    """A job's directories, and how it is to be saved.

    work: survives interruptions; checkpoints and scratch live here. A job started again finds it as it was left.
    out: what the job leaves; everything in it is hashed and committed when `run` returns. Emptied before each attempt.
    inputs: for each role, the committed `out` directories of the input jobs, in the job's order.
    checkpoint_seconds: between checkpoints by time; when they come never changes a result.
    """

    work: Path
    out: Path
    inputs: Mapping[str, tuple[Path, ...]]
    telemetry: Telemetry
    stop: StopRequest = field(default_factory=StopRequest)
    checkpoint_seconds: float = CHECKPOINT_SECONDS


class Diverged(Exception):
    """Raised by a stage whose loss became NaN or infinite: the job is committed with status `diverged`, not retried."""
