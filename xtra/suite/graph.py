"""The graph of jobs: order, completeness, and the part of it that some jobs stand on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from xtra.store.job import Job


def topological(jobs: Mapping[str, Job]) -> dict[str, Job]:
    """The same jobs, each after its inputs, otherwise in the order given. Raises ValueError for a missing input or a cycle."""
    for key, job in jobs.items():
        absent = [name for name in job.input_keys if name not in jobs]
        if absent:
            raise ValueError(f"job {key} reads {absent[0]}, which is not in the plan")
    try:
        order = list(TopologicalSorter({key: job.input_keys for key, job in jobs.items()}).static_order())
    except CycleError as error:
        raise ValueError(f"jobs wait for one another: {' -> '.join(error.args[1])}") from None
    return {key: jobs[key] for key in order}


def closure(jobs: Mapping[str, Job], keys: Iterable[str]) -> dict[str, Job]:
    """The jobs of `keys` and everything they stand on, in the order of `jobs`."""
    needed: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting.extend(jobs[key].input_keys)
    return {key: job for key, job in jobs.items() if key in needed}
