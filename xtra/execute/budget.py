"""The wall-clock time that a run may take: jobs that would not end in it, judged by finished jobs of the same kind, are not
started."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from xtra.store.job import Job
from xtra.suite.summary import Cost, kind

UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
"""Seconds of each unit."""


class Budget:
    """A budget of `seconds` from now on. costs: seconds that jobs of each kind took; see `xtra.suite.summary.finished_costs`."""

    def __init__(self, seconds: float, costs: Mapping[str, Cost]) -> None:
        self._deadline = time.monotonic() + seconds
        self._expected = {name: cost.seconds for name, cost in costs.items()}
        self._kinds: dict[str, str] = {}

    @property
    def spent(self) -> bool:
        """True if the time is over."""
        return time.monotonic() >= self._deadline

    def fits(self, job: Job, done_seconds: float) -> bool:
        """Tells whether a job that has taken `done_seconds` before will end in time.

        A job of a kind that has never finished is started, as there is nothing to judge it by.
        """
        expected = self._expected.get(self._kind(job), 0.0)
        return time.monotonic() + max(0.0, expected - done_seconds) < self._deadline

    def learn(self, job: Job, seconds: float) -> None:
        """Records the seconds that a job has taken, where nothing was known of its kind."""
        self._expected.setdefault(self._kind(job), seconds)

    def _kind(self, job: Job) -> str:
        if job.key not in self._kinds:
            self._kinds[job.key] = kind(job)
        return self._kinds[job.key]


def parse_duration(text: str) -> float:
    """Parses `6h`, `90m`, `1.5d` or `2h30m` to seconds. Raises ValueError."""
    number = r"(\d+(?:\.\d+)?)"
    parts = re.findall(rf"{number}([dhms])", text, re.ASCII)
    if not parts or not re.fullmatch(rf"(?:{number}[dhms])+", text, re.ASCII):
        raise ValueError(f"{text!r} is not a time; for example 6h, 90m, 1.5d or 2h30m")
    return sum(float(value) * UNITS[unit] for value, unit in parts)
