"""Submits what is missing of a plan to SLURM, through submitit, and leaves: no process stays behind.

Jobs that can run under the same terms become one array. A job waits (`afterok`, `aftercorr`) only for inputs that are not yet
complete; its worker looks at them again, because sbatch may ignore a dependency on a job that has failed already.
"""

from __future__ import annotations

import math
import secrets
import shlex
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from xtra.execute.slurm_profile import SlurmProfile, StageProfile
from xtra.execute.slurm_queue import NAME_PREFIX, Queued, SlurmError, Submissions, max_array_size
from xtra.execute.snapshot import take_snapshot
from xtra.execute.worker import STAGES
from xtra.store.claim import acquire
from xtra.store.errors import DamagedError
from xtra.store.job import Job
from xtra.store.store import State, Store

MAX_DEPENDENCIES = 50
"""SLURM ids in one dependency; beyond it a job waits for whole arrays."""

MAX_SPLIT = 20
"""Arrays that one kind of job is split into for exact dependencies; beyond it, its jobs wait for all their inputs together."""

REQUEUES = 1_000
"""Time limits that a job may reach, each time going on from its checkpoint."""

SIGNAL_SECONDS = 90
"""Before the time limit, SLURM tells submitit, which requeues the job; a quarter of the limit where that is less."""


@dataclass(frozen=True)
class Batch:
    """Jobs of one `sbatch` call, and what they wait for in sbatch's words."""

    jobs: Sequence[Job]
    dependency: str | None = None


@dataclass
class Submitted:
    """What a launch did. `held`: not submitted, because another process computes them or their inputs, or the queue is full."""

    new: dict[str, str] = field(default_factory=dict)
    queued: dict[str, Queued] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    calls: int = 0


class SlurmLauncher:
    """Submits jobs of `store`; its records and the snapshots of the code lie in `directory`, which compute nodes must see too."""

    def __init__(self, store: Store, directory: Path, profile: SlurmProfile, stages: str = STAGES) -> None:
        self.store = Store(store.root.resolve())
        self.directory = directory.resolve()
        self.submissions = Submissions(self.directory)
        self.profile = profile
        self._stages = stages

    def submit(self, jobs: Mapping[str, Job]) -> Submitted:
        """Submits exactly what is neither complete nor queued; `jobs` are in topological order. Raises SlurmError.

        Launchers on one store take turns, so that the second finds in the queue what the first has submitted.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        done = Submitted()
        with self._turn():
            done.queued = {key: entry for key, entry in self.submissions.queued().items() if key in jobs}
            missing = self._missing(jobs, done)
            if missing:
                bootstrap = take_snapshot(self.directory / "code")
                self._submit_by_level(missing, done, bootstrap)
        return done

    def _missing(self, jobs: Mapping[str, Job], done: Submitted) -> dict[str, Job]:
        """What has to be submitted, with room in the queue; fills in what is finished and what is held back."""
        missing: dict[str, Job] = {}
        room = math.inf if self.profile.max_queued is None else self.profile.max_queued - len(done.queued)
        for key, job in jobs.items():
            self.store.add(job)
            if key in done.queued:
                continue
            if self._finished(key):
                done.finished.append(key)
            elif (
                len(missing) >= room
                or self.store.state(key, time.time()) is State.RUNNING
                or any(needed in done.held for needed in job.input_keys)
            ):
                done.held.append(key)
            else:
                missing[key] = job
        return missing

    def _finished(self, key: str) -> bool:
        try:
            return self.store.verify(key, quick=True) is not None
        except DamagedError:
            return False

    def _submit_by_level(self, missing: Mapping[str, Job], done: Submitted, bootstrap: Path) -> None:
        slurm_ids = {key: entry.slurm_id for key, entry in done.queued.items()}
        size = min(max_array_size(), self.profile.max_array_size or sys.maxsize)
        for kind in kinds(missing):
            for batch in batches(kind, slurm_ids, size):
                array = self._sbatch(batch, bootstrap)
                done.calls += 1
                slurm_ids |= array
                done.new |= array

    def _sbatch(self, batch: Batch, bootstrap: Path) -> dict[str, str]:
        """One call of sbatch. Returns the SLURM id of each job. Raises SlurmError with sbatch's words."""
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        from xtra.execute import slurm_task

        import_module("cloudpickle").register_pickle_by_value(slurm_task)
        identity = secrets.token_hex(6)
        keys = [job.key for job in batch.jobs]
        folder = self.submissions.record(identity, keys)
        for key in keys:
            self.store.work(key).mkdir(exist_ok=True)
        task = slurm_task.SlurmTask([sys.executable, str(bootstrap), "--stages", self._stages])
        # A fresh executor for every call: parameters are sticky, and the next array would inherit the dependency.
        executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=REQUEUES, python=shlex.quote(sys.executable))
        job = batch.jobs[0]
        executor.update_parameters(**parameters(job, self.profile.of(job.stage), f"{NAME_PREFIX}{identity}", batch.dependency))
        try:
            submitted = executor.map_array(
                task, [str(self.store.root)] * len(keys), keys, [str(self.store.log_file(key)) for key in keys]
            )
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            shutil.rmtree(folder)
            raise SlurmError(f"sbatch refused {len(keys)} jobs of stage {job.stage}: {error}") from None
        return {key: slurm_job.job_id for key, slurm_job in zip(keys, submitted, strict=True)}

    @contextmanager
    def _turn(self) -> Iterator[None]:
        while (claim := acquire(self.directory)) is None:
            time.sleep(0.5)
        try:
            with claim.kept_alive(beat=lambda: None, lost=lambda: None):
                yield
        finally:
            claim.release()


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


def parameters(job: Job, site: StageProfile, name: str, dependency: str | None) -> dict[str, Any]:
    """submitit's words for what a job asks for. `kill-on-invalid-dep`: what can never start leaves the queue."""
    asked = job.resources
    minutes = max(1, math.ceil(asked.hours * 60))
    chosen = {
        "job_name": name,
        "time": minutes,
        "cpus_per_task": asked.cpus,
        "mem": f"{math.ceil(asked.memory_gb * 1024)}M",
        "srun_args": [f"--cpus-per-task={asked.cpus}"],  # since 22.05 srun does not take it over from sbatch
        "gpus_per_node": asked.gpus or None,
        "partition": site.partition,
        "account": site.account,
        "qos": site.qos,
        "constraint": site.constraint,
        "array_parallelism": site.max_running,
        "dependency": dependency,
        "setup": list(site.setup) or None,
        "signal_delay_s": min(SIGNAL_SECONDS, minutes * 15),
        "stderr_to_stdout": True,
        "additional_parameters": {"kill-on-invalid-dep": "yes", "requeue": True, **site.sbatch},
    }
    return {name: value for name, value in chosen.items() if value is not None}
