"""Which job to start first where several could: the one that most depends on."""

from __future__ import annotations

from collections.abc import Mapping

from xtra.store.job import Job


def critical_first(jobs: Mapping[str, Job]) -> list[str]:
    """The keys by the longest chain of jobs that begins with each, the longest first, otherwise in the order given.

    `jobs` is in topological order, and so is what is returned.
    """
    behind = dict.fromkeys(jobs, 0)
    for key in reversed(behind):
        for needed in jobs[key].input_keys:
            if needed in behind:
                behind[needed] = max(behind[needed], behind[key] + 1)
    return sorted(jobs, key=lambda key: -behind[key])
