"""How jobs become arrays, and what each array waits for: few calls of sbatch, and no job waits for what it does not read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xtra.store.job import Job

MAX_DEPENDENCIES = 50
"""SLURM ids in one dependency; beyond it a job waits for whole arrays."""

MAX_SPLIT = 20
"""Arrays that one kind of job is split into for exact dependencies; beyond it, its jobs wait for all their inputs together."""


@dataclass(frozen=True)
class Batch:
    """Jobs of one `sbatch` call, and what they wait for in sbatch's words."""

    jobs: Sequence[Job]
    dependency: str | None = None


def kinds(jobs: Mapping[str, Job]) -> Iterator[list[Job]]:
    """Jobs that one array could hold but for what they wait for: of one depth, stage and resources; inputs before readers."""
    depth: dict[str, int] = {}
    groups: dict[Any, list[Job]] = defaultdict(list)
    for key, job in jobs.items():
        depth[key] = max((depth[needed] + 1 for needed in job.input_keys if needed in depth), default=0)
        groups[depth[key], job.stage, job.resources].append(job)
    for _, group in sorted(groups.items(), key=lambda item: item[0][0]):
        yield group


def batches(kind: Sequence[Job], slurm_ids: Mapping[str, str], size: int) -> Iterator[Batch]:
    """Splits jobs of one kind by what they wait for, then into arrays of at most `size`. `slurm_ids`: of incomplete inputs."""
    by_inputs: dict[tuple[str, ...], list[Job]] = defaultdict(list)
    for job in kind:
        by_inputs[tuple(sorted({slurm_ids[key] for key in job.input_keys if key in slurm_ids}))].append(job)
    if len(by_inputs) > 1:
        yield from _matched(by_inputs, slurm_ids)
    if len(by_inputs) > MAX_SPLIT:
        together = sorted({slurm_id for inputs in by_inputs for slurm_id in inputs})
        # afterany: one input that fails must not cancel the readers of the others; the workers look for themselves.
        by_inputs = {tuple(together): [job for jobs in by_inputs.values() for job in jobs]}
        word = "afterany"
    else:
        word = "afterok"
    for inputs, jobs in by_inputs.items():
        dependency = _dependency(word, inputs)
        for start in range(0, len(jobs), size):
            yield Batch(jobs[start : start + size], dependency)


def _matched(by_inputs: dict[tuple[str, ...], list[Job]], slurm_ids: Mapping[str, str]) -> Iterator[Batch]:
    """Takes out the jobs that read exactly one element each of one whole array: element i can wait for element i."""
    array_sizes = Counter(slurm_id.partition("_")[0] for slurm_id in slurm_ids.values())
    readers: dict[str, dict[int, Job]] = defaultdict(dict)
    for inputs, jobs in by_inputs.items():
        if len(inputs) == 1 and len(jobs) == 1 and "_" in inputs[0]:
            array, _, index = inputs[0].partition("_")
            readers[array][int(index)] = jobs[0]
    for array, by_index in readers.items():
        if sorted(by_index) == list(range(array_sizes[array])):
            for element in by_index:
                del by_inputs[(f"{array}_{element}",)]
            yield Batch([by_index[element] for element in sorted(by_index)], f"aftercorr:{array}")


def _dependency(word: str, slurm_ids: Sequence[str]) -> str | None:
    if not slurm_ids:
        return None
    if len(slurm_ids) > MAX_DEPENDENCIES:
        slurm_ids = sorted({slurm_id.partition("_")[0] for slurm_id in slurm_ids})
    return f"{word}:{':'.join(slurm_ids)}"
