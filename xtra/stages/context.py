"""What the worker hands to a stage's `run(config, context)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xtra.telemetry import Telemetry


@dataclass(frozen=True)
class StageContext:
    """A job's directories.

    work: survives interruptions; checkpoints and scratch live here. A job started again finds it as it was left.
    out: what the job leaves; everything in it is hashed and committed when `run` returns. Emptied before each attempt.
    inputs: for each role, the committed `out` directories of the input jobs, in the job's order.
    """

    work: Path
    out: Path
    inputs: Mapping[str, tuple[Path, ...]]
    telemetry: Telemetry


class Diverged(Exception):
    """Raised by a stage whose loss became NaN or infinite: the job is committed with status `diverged`, not retried."""
