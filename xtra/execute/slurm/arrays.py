"""Arrays of jobs and their dependencies: few calls of sbatch, and no job waits for what it does not read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xtra.store.job import Job

Element = tuple[Job, ...]
"""Jobs that run side by side in one element of an array: one, or as many as share a GPU."""

MAX_DEPENDENCIES = 50
"""SLURM ids in one dependency; beyond it a job waits for whole arrays."""

MAX_SPLIT = 20
"""Arrays that one kind of job is split into for exact dependencies; beyond it, those of its jobs that wait at all wait for
all their inputs together."""


@dataclass(frozen=True)
class JobArray:
    """Elements of one `sbatch` call, and what they wait for in sbatch's words."""

    elements: Sequence[Element]
    dependency: str | None = None


def submit_arrays(
    jobs: Mapping[str, Job], queued: Mapping[str, str], size: int, sbatch: Callable[[JobArray], Sequence[str]]
) -> dict[str, str]:
    """Hands all jobs to `sbatch`, inputs before readers, which returns the SLURM id of each element. Returns that of each job.

    `queued`: SLURM ids of what is in the queue already. At most `size` elements go into one array.
    """
    slurm_ids = dict(queued)
    for kind in kinds(jobs):
        waits = {job.key: _awaited(job, jobs, slurm_ids) for job in kind}
        for array in split_into_arrays(kind, waits, _array_sizes(slurm_ids), size):
            for element, slurm_id in zip(array.elements, sbatch(array), strict=True):
                slurm_ids |= {job.key: slurm_id for job in element}
    return {key: slurm_ids[key] for key in jobs}


def kinds(jobs: Mapping[str, Job]) -> Iterator[list[Job]]:
    """Yields groups of jobs that one array could hold, were it not for the jobs they wait for; inputs before readers.

    Those of a group have one depth, stage and resources, and are read by jobs of the same stages, so that readers can wait
    element by element.
    """
    depth: dict[str, int] = {}
    readers: dict[str, set[str]] = {key: set() for key in jobs}
    for key, job in jobs.items():
        inputs = [input_key for input_key in job.input_keys if input_key in depth]
        depth[key] = max((depth[input_key] + 1 for input_key in inputs), default=0)
        for input_key in inputs:
            readers[input_key].add(job.stage)
    groups: dict[Any, list[Job]] = defaultdict(list)
    for key, job in jobs.items():
        groups[depth[key], job.stage, job.resources, frozenset(readers[key])].append(job)
    for _, group in sorted(groups.items(), key=lambda item: item[0][0]):
        yield group


def split_into_arrays(
    kind: Sequence[Job], waits: Mapping[str, tuple[str, ...]], array_sizes: Mapping[str, int], size: int
) -> Iterator[JobArray]:
    """Splits jobs of one kind by what they wait for, then into arrays of at most `size`.

    waits: SLURM ids, by key of job.  array_sizes: elements of each array that is in the queue.
    """
    by_inputs: dict[tuple[str, ...], list[Element]] = defaultdict(list)
    for element in _elements(kind, waits):
        by_inputs[tuple(sorted({slurm_id for job in element for slurm_id in waits[job.key]}))].append(element)
    if len(by_inputs) > 1:
        yield from _matched(by_inputs, array_sizes)
    if len(by_inputs) > MAX_SPLIT:
        ready = by_inputs.pop((), None)  # what waits for nothing must not wait for what others read
        together = sorted({slurm_id for inputs in by_inputs for slurm_id in inputs})
        # afterany: one input that fails must not cancel the readers of the others; the workers look for themselves.
        merged = {tuple(together): [element for elements in by_inputs.values() for element in elements]}
        by_inputs = {**({(): ready} if ready else {}), **merged}
        word = "afterany"
    else:
        word = "afterok"
    for inputs, elements in by_inputs.items():
        dependency = _dependency(word, inputs)
        for start in range(0, len(elements), size):
            yield JobArray(elements[start : start + size], dependency)


def _awaited(job: Job, jobs: Mapping[str, Job], slurm_ids: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the SLURM ids that a job waits for: its inputs in the queue, but for those that another of them waits for
    anyway."""
    inputs = [key for key in job.input_keys if key in slurm_ids]
    implied = {input_key for key in inputs if key in jobs for input_key in jobs[key].input_keys}
    return tuple(sorted({slurm_ids[key] for key in inputs if key not in implied}))


def _array_sizes(slurm_ids: Mapping[str, str]) -> Counter[str]:
    return Counter(slurm_id.partition("_")[0] for slurm_id in set(slurm_ids.values()))


def _elements(kind: Sequence[Job], waits: Mapping[str, tuple[str, ...]]) -> Iterator[Element]:
    """Puts jobs of one kind together as far as they share GPUs: those that wait for the same first, then the rest in order.

    A job that waits for nothing is never put beside one that does.
    """
    sharers = kind[0].resources.num_sharers
    by_inputs: dict[tuple[str, ...], list[Job]] = defaultdict(list)
    for job in kind:
        by_inputs[waits[job.key]].append(job)
    rest: list[Job] = []
    for inputs, jobs in by_inputs.items():
        whole = len(jobs) - len(jobs) % sharers if inputs else len(jobs)
        yield from _cut(jobs[:whole], sharers)
        rest += jobs[whole:]
    yield from _cut(rest, sharers)


def _cut(jobs: Sequence[Job], size: int) -> Iterator[Element]:
    for start in range(0, len(jobs), size):
        yield tuple(jobs[start : start + size])


def _matched(by_inputs: dict[tuple[str, ...], list[Element]], array_sizes: Mapping[str, int]) -> Iterator[JobArray]:
    """Takes out those that read exactly one element each of one whole array: element i can wait for element i."""
    readers: dict[str, dict[int, Element]] = defaultdict(dict)
    for inputs, elements in by_inputs.items():
        if len(inputs) == 1 and len(elements) == 1 and "_" in inputs[0]:
            array, _, index = inputs[0].partition("_")
            readers[array][int(index)] = elements[0]
    for array, by_index in readers.items():
        if sorted(by_index) == list(range(array_sizes[array])):
            for number in by_index:
                del by_inputs[(f"{array}_{number}",)]
            yield JobArray([by_index[number] for number in sorted(by_index)], f"aftercorr:{array}")


def _dependency(word: str, slurm_ids: Sequence[str]) -> str | None:
    if not slurm_ids:
        return None
    if len(slurm_ids) > MAX_DEPENDENCIES:
        slurm_ids = sorted({slurm_id.partition("_")[0] for slurm_id in slurm_ids})
    return f"{word}:{':'.join(slurm_ids)}"
