"""Submits what is missing of a plan to SLURM, through submitit, and leaves: no process stays behind.

Jobs that can run under the same terms become one array. A job waits (`afterok`, `aftercorr`) only for inputs that are not yet
complete; its worker looks at them again, because sbatch may ignore a dependency on a job that has failed already.
"""

from __future__ import annotations

import itertools
import math
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import CommandFunction, FailedJobError, FailedSubmissionError

from xtra.execute.machine import NO_GPU, ONE_BLAS_THREAD
from xtra.execute.slurm.arrays import JobArray, submit_arrays
from xtra.execute.slurm.profile import REPORT, SlurmProfile, parameters
from xtra.execute.slurm.queue import (
    NAME_PREFIX,
    NoSlurmError,
    QueueEntry,
    SlurmError,
    Submissions,
    UnknownFateError,
    max_array_size,
)
from xtra.execute.slurm.task import SlurmTask
from xtra.execute.snapshot import take_snapshot
from xtra.execute.worker import STAGES
from xtra.plugins import packages_of
from xtra.store.claim import Claim, acquire
from xtra.store.job import Job, Resources
from xtra.store.store import State, Store

Sbatch = Callable[[JobArray], Sequence[str]]
"""Submits an array and returns the SLURM id of each element."""

WORKER = "xtra.execute.worker"
CONCLUDE = "xtra.results.finish"

REQUEUES = 1_000
"""Time limits that a job may reach, each time going on from its checkpoint."""


@dataclass(frozen=True)
class PlannedArray:
    """An array that would be submitted. request: what it would ask for, in submitit's words (`request.parameters`).

    elements: their number; num_jobs: that of the jobs in them.
    """

    stage: str
    elements: int
    num_jobs: int
    request: Mapping[str, Any]


@dataclass
class LaunchResult:
    """The fate of each job in a launch.

    held: not submitted, because another process computes it or an input, or the queue is full. blocked: an input has diverged.
    arrays: of a launch that is only simulated, what would be submitted, in that order, the job that reports last.
    """

    new: dict[str, str] = field(default_factory=dict)
    queued: dict[str, QueueEntry] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    arrays: list[PlannedArray] = field(default_factory=list)
    calls: int = 0


class SlurmLauncher:
    """Submits jobs of `store`; its records and the snapshots of the code lie in `directory`, which compute nodes must see too."""

    def __init__(self, store: Store, directory: Path, profile: SlurmProfile, stages: str = STAGES) -> None:
        self.store = Store(store.root.resolve())
        self.directory = directory.resolve()
        self.submissions = Submissions(self.directory)
        self.profile = profile
        self._stages = stages
        self._array_size = 0

    def submit(self, jobs: Mapping[str, Job]) -> LaunchResult:
        """Submits exactly what is neither complete nor queued; `jobs` are in topological order. Raises SlurmError.

        Launchers on one store take turns, so that the second finds in the queue what the first has submitted.
        """
        self.check()
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._turn() as turn:
            self.submissions.withdraw_doubtful()
            done, missing = self._sort(jobs)
            for job in jobs.values():
                self.store.add(job)
            if missing:
                bootstrap = take_snapshot(self.directory / "code", packages_of(missing.values()))
                self._submit_missing(missing, done, partial(self._submit_array, bootstrap, turn))
        return done

    def dry_run(self, jobs: Mapping[str, Job]) -> LaunchResult:
        """Tells what `submit` would do now, without doing or writing any of it. Raises SlurmError."""
        self.check()
        return self.simulate(jobs)

    def simulate(self, jobs: Mapping[str, Job]) -> LaunchResult:
        """Tells what `dry_run` does, also on a machine without SLURM if the profile says how large an array may be.

        An array's number in the order of submission, from 0, stands for its SLURM id: `new0`.
        """
        self._array_size = self._array_size or self.profile.max_array_size or max_array_size()
        done, missing = self._sort(jobs)
        numbers = itertools.count()

        def number_elements(array: JobArray) -> list[str]:
            number, elements = next(numbers), array.elements
            done.arrays.append(PlannedArray(elements[0][0].stage, len(elements), sum(map(len, elements)), self._request(array)))
            return [f"new{number}_{index}" for index in range(len(elements))]

        self._submit_missing(missing, done, number_elements)
        if done.arrays:
            awaited = [*done.new.values(), *(entry.slurm_id for entry in done.queued.values())]
            done.arrays.append(PlannedArray(REPORT, 1, 1, self._conclusion_request(awaited)))
        return done

    def check(self) -> None:
        """Raises SlurmError, before anything is written, where nothing could be submitted."""
        if "%" in str(self.directory):
            raise SlurmError(f"{self.directory}: SLURM replaces `%` in the paths of logs; choose results without it (--results)")
        for program in ("sbatch", "srun"):
            if shutil.which(program) is None:
                raise NoSlurmError(f"nothing was submitted: {program} is not on this machine, as it is on a cluster's login node")
        self._array_size = self._array_size or self.profile.max_array_size or max_array_size()

    def _sort(self, jobs: Mapping[str, Job]) -> tuple[LaunchResult, dict[str, Job]]:
        """Sorts jobs into those that have to be submitted and find room in the queue, and the others."""
        entries = self.submissions.entries()
        done = LaunchResult(queued={key: entry for key, entry in entries if key in jobs})
        missing: dict[str, Job] = {}
        room = math.inf if self.profile.max_queued is None else self.profile.max_queued - len(entries) - 1  # for the report
        states = {key: self._state(key) for key in {*jobs, *(needed for job in jobs.values() for needed in job.input_keys)}}
        for key, job in jobs.items():
            if key in done.queued:
                continue
            if states[key].final:
                done.finished.append(key)
            elif any(needed in done.blocked or states[needed] is State.DIVERGED for needed in job.input_keys):
                done.blocked.append(key)
            elif len(missing) >= room or states[key] is State.RUNNING or any(needed in done.held for needed in job.input_keys):
                done.held.append(key)
            else:
                missing[key] = job
        return done, missing

    def _state(self, key: str) -> State:
        return self.store.state(key, time.time(), verify=True)

    def _submit_missing(self, missing: Mapping[str, Job], done: LaunchResult, sbatch: Sbatch) -> None:
        def counted(array: JobArray) -> Sequence[str]:
            try:
                slurm_ids = sbatch(array)
            except UnknownFateError:
                raise
            except SlurmError as error:
                kept = "what was submitted before stays queued, and the same command goes on from there"
                raise SlurmError(f"{error}; {kept if done.calls else 'nothing was submitted'}") from None
            done.calls += 1
            return slurm_ids

        queued = {key: entry.slurm_id for key, entry in done.queued.items()}
        done.new = submit_arrays(missing, queued, self._array_size, counted)

    def _submit_array(self, bootstrap: Path, turn: Claim, array: JobArray) -> list[str]:
        """One call of sbatch, in this launcher's turn. Returns the SLURM id of each element. Raises SlurmError."""
        asked = array.elements[0][0].resources
        logs = [{job.key: str(self.store.log_file(job.key)) for job in element} for element in array.elements]
        environment = {**ONE_BLAS_THREAD, **({} if asked.gpus else NO_GPU)}
        task = SlurmTask([sys.executable, str(bootstrap), WORKER, "--stages", self._stages], environment)
        request = self._request(array)
        if not turn.held():  # this process stood still for minutes, and the other one submits the same jobs
            raise SlurmError("another launcher on this store has taken its turn meanwhile")
        return self._sbatch([list(element) for element in logs], request, task, [str(self.store.root)] * len(logs), logs)

    def _request(self, array: JobArray) -> dict[str, Any]:
        first = array.elements[0][0]
        site = self.profile.of(first.stage, first.resources)
        return parameters(first.resources, max(map(len, array.elements)), site, array.dependency)

    def submit_conclusion(self, request: Path, after: Sequence[str]) -> None:
        """Submits a launch's last job: collects and reports when the jobs of SLURM ids `after` are over, however they ended.

        request: its file, named by the plan's id. Raises SlurmError.
        """
        bootstrap = take_snapshot(self.directory / "code")
        command = CommandFunction([sys.executable, str(bootstrap), CONCLUDE])
        try:
            self._sbatch([], self._conclusion_request(after), command, [str(request)], report=request.stem)
        except SlurmError as error:
            others = "it is the job that reports, the others stay queued, and the same command submits what is missing"
            raise SlurmError(f"{error}; {others}") from None

    def _conclusion_request(self, after: Sequence[str]) -> dict[str, Any]:
        arrays = sorted({slurm_id.partition("_")[0] for slurm_id in after})
        asked = Resources(hours=1.0)
        return parameters(asked, 1, self.profile.of(REPORT, asked), f"afterany:{':'.join(arrays)}")

    def _sbatch(
        self,
        elements: Sequence[Sequence[str]],
        asked: dict[str, Any],
        task: Callable[..., Any],
        *columns: Sequence[Any],
        report: str | None = None,
    ) -> list[str]:
        """Calls sbatch once: element i runs the jobs of keys `elements[i]` by calling `task` with the i-th of each column.

        report: the id of the plan that it reports on, if that is what it does.

        Raises SlurmError with sbatch's words, UnknownFateError where SLURM may have queued the jobs all the same.
        """
        import_module("cloudpickle").register_pickle_by_value(sys.modules[SlurmTask.__module__])
        identity = secrets.token_hex(6)
        folder = self.submissions.record(identity, elements, report)
        # A fresh executor for every call: parameters are sticky, and the next array would inherit the dependency.
        executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=REQUEUES, python=shlex.quote(sys.executable))
        executor.update_parameters(job_name=f"{NAME_PREFIX}{identity}", **asked)
        try:
            return [slurm_job.job_id for slurm_job in executor.map_array(task, *columns)]
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            jobs = "1 job" if len(columns[0]) == 1 else f"{len(columns[0])} jobs"
            try:
                self.submissions.withdraw(identity)
            except SlurmError as silence:
                fate = "they may be queued all the same; once SLURM answers, the same command cancels them and submits them anew"
                raise UnknownFateError(f"sbatch failed for {jobs}: {error}; {silence}; {fate}") from None
            raise SlurmError(f"sbatch refused {jobs}: {error}") from None

    @contextmanager
    def _turn(self) -> Iterator[Claim]:
        while (claim := acquire(self.directory)) is None:
            time.sleep(0.5)
        try:
            with claim.kept_alive():
                yield claim
        finally:
            claim.release()
