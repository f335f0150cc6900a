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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import CommandFunction, FailedJobError, FailedSubmissionError

from xtra.execute import slurm_task
from xtra.execute.slurm_arrays import Batch, batches, kinds
from xtra.execute.slurm_profile import SlurmProfile, StageProfile
from xtra.execute.slurm_queue import NAME_PREFIX, Queued, SlurmError, Submissions, max_array_size
from xtra.execute.slurm_task import SlurmTask
from xtra.execute.snapshot import take_snapshot
from xtra.execute.worker import STAGES
from xtra.store.claim import acquire
from xtra.store.errors import DamagedError
from xtra.store.job import Job, Resources
from xtra.store.store import State, Store

WORKER = "xtra.execute.worker"
CONCLUDE = "xtra.execute.conclude"

REQUEUES = 1_000
"""Time limits that a job may reach, each time going on from its checkpoint."""

SIGNAL_SECONDS = 90
"""Before the time limit, SLURM tells submitit, which requeues the job; a quarter of the limit where that is less."""


@dataclass
class Submitted:
    """What a launch did with each job.

    held: not submitted, because another process computes it or an input, or the queue is full.  blocked: an input has diverged.
    """

    new: dict[str, str] = field(default_factory=dict)
    queued: dict[str, Queued] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
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
        """What has to be submitted, with room in the queue; fills in what has not to."""
        missing: dict[str, Job] = {}
        room = math.inf if self.profile.max_queued is None else self.profile.max_queued - len(done.queued)
        for key, job in jobs.items():
            self.store.add(job)
            state = self._state(key)
            if key in done.queued:
                continue
            if state.final:
                done.finished.append(key)
            elif any(needed in done.blocked or self._state(needed) is State.DIVERGED for needed in job.input_keys):
                done.blocked.append(key)
            elif len(missing) >= room or state is State.RUNNING or any(needed in done.held for needed in job.input_keys):
                done.held.append(key)
            else:
                missing[key] = job
        return missing

    def _state(self, key: str) -> State:
        try:
            self.store.verify(key, quick=True)
        except DamagedError:
            return State.DAMAGED
        return self.store.state(key, time.time())

    def _submit_by_level(self, missing: Mapping[str, Job], done: Submitted, bootstrap: Path) -> None:
        slurm_ids = {key: entry.slurm_id for key, entry in done.queued.items()}
        size = min(max_array_size(), self.profile.max_array_size or sys.maxsize)
        for kind in kinds(missing):
            for batch in batches(kind, slurm_ids, size):
                array = self._submit_batch(batch, bootstrap)
                done.calls += 1
                slurm_ids |= array
                done.new |= array

    def _submit_batch(self, batch: Batch, bootstrap: Path) -> dict[str, str]:
        """One call of sbatch. Returns the SLURM id of each job."""
        keys = [job.key for job in batch.jobs]
        for key in keys:
            self.store.work(key).mkdir(exist_ok=True)
        logs = [str(self.store.log_file(key)) for key in keys]
        task = SlurmTask([sys.executable, str(bootstrap), WORKER, "--stages", self._stages])
        asked, site = batch.jobs[0].resources, self.profile.of(batch.jobs[0].stage)
        slurm_ids = self._sbatch(
            keys, parameters(asked, site, batch.dependency), task, [str(self.store.root)] * len(keys), keys, logs
        )
        return dict(zip(keys, slurm_ids, strict=True))

    def submit_conclusion(self, request: Path, after: Sequence[str]) -> None:
        """Submits a launch's last job: collects and reports when the jobs of SLURM ids `after` are over, however they ended."""
        bootstrap = take_snapshot(self.directory / "code")
        arrays = sorted({slurm_id.partition("_")[0] for slurm_id in after})
        asked = parameters(Resources(hours=1.0), self.profile.of("report"), f"afterany:{':'.join(arrays)}")
        command = CommandFunction([sys.executable, str(bootstrap), CONCLUDE])
        self._sbatch([], asked, command, [str(request)])

    def _sbatch(self, keys: Sequence[str], asked: dict[str, Any], task: Callable[..., Any], *columns: Sequence[str]) -> list[str]:
        """Calls sbatch once: element i calls `task` with the i-th of each column. Raises SlurmError with sbatch's words."""
        import_module("cloudpickle").register_pickle_by_value(slurm_task)
        identity = secrets.token_hex(6)
        folder = self.submissions.record(identity, keys)
        # A fresh executor for every call: parameters are sticky, and the next array would inherit the dependency.
        executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=REQUEUES, python=shlex.quote(sys.executable))
        executor.update_parameters(job_name=f"{NAME_PREFIX}{identity}", **asked)
        try:
            return [slurm_job.job_id for slurm_job in executor.map_array(task, *columns)]
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            shutil.rmtree(folder)
            kept = "what was submitted before stays queued, and the same command goes on from there"
            raise SlurmError(f"sbatch refused {len(columns[0])} jobs: {error}; {kept}") from None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        while (claim := acquire(self.directory)) is None:
            time.sleep(0.5)
        try:
            with claim.kept_alive(beat=lambda: None, lost=lambda: None):
                yield
        finally:
            claim.release()


def parameters(asked: Resources, site: StageProfile, dependency: str | None) -> dict[str, Any]:
    """submitit's words for what a job asks for. `kill-on-invalid-dep`: what can never start leaves the queue."""
    minutes = max(1, math.ceil(asked.hours * 60))
    chosen = {
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
