"""A queue over this machine: starts a worker process for every job whose inputs are complete.

The queue knows nothing that is not in the store. Killed at any moment, it is started again and goes on; beside another queue on
the same store it waits for the jobs that the other one has claimed. Within a budget of wall-clock time, jobs that would not end
in it, judged by finished jobs of the same kind, are not started.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from xtra.execute.machine import ONE_BLAS_THREAD, Allocation, Machine
from xtra.execute.worker import STAGES, Exit
from xtra.store.claim import holder_of
from xtra.store.files import write_text_atomically
from xtra.store.job import Job
from xtra.store.store import State, Store
from xtra.suite.summary import Cost, kind

TICK_SECONDS = 0.1
"""Seconds between two looks at this queue's own processes."""

ELSEWHERE_SECONDS = 1.0
"""Seconds between two looks at jobs that another process computes."""

STOP_SECONDS = 10.0
"""Granted to workers between SIGTERM and SIGKILL."""

UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
"""Seconds of each unit of a budget."""


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


class QueueState(StrEnum):
    """The state of a job in the queue.

    starting: its worker has not claimed it yet. elsewhere: another process has. blocked: a job it needs failed or diverged.
    left: it, or a job that it needs, would not end within the budget.
    """

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    ELSEWHERE = "elsewhere"
    COMPLETE = "complete"
    DIVERGED = "diverged"
    FAILED = "failed"
    BLOCKED = "blocked"
    LEFT = "left"


END_STATES = frozenset({QueueState.COMPLETE, QueueState.DIVERGED, QueueState.FAILED, QueueState.BLOCKED, QueueState.LEFT})


@dataclass(frozen=True)
class _Worker:
    process: subprocess.Popen[bytes]
    allocation: Allocation


class LocalQueue:
    """Runs `jobs` (in topological order) within the room of `machine`, and within `budget` if there is one. `states` holds the
    state of each one."""

    def __init__(
        self, store: Store, jobs: Mapping[str, Job], machine: Machine, stages: str = STAGES, budget: Budget | None = None
    ) -> None:
        self.store = store
        self.jobs = jobs
        self._machine = machine
        self._budget = budget
        self.states: dict[str, QueueState] = {}
        self._stages = stages
        self._workers: dict[str, _Worker] = {}
        self._began = time.time()
        self._looked_elsewhere = 0.0
        self.interrupted: list[str] = []
        """Jobs that Ctrl-C or the end of the budget stopped; the last line of each one's log says from where it will go on."""
        self.reasons: dict[str, str] = {}
        """Why jobs failed whose workers did not say so themselves, by key."""
        self._order = critical_first(jobs)
        for key, job in jobs.items():
            store.add(job)
            self.states[key] = self._finished_state(key) or QueueState.WAITING

    def run(self, observe: Callable[[LocalQueue], None]) -> None:
        """Runs jobs until nothing is left to do, or the budget is spent. `observe` is called at every tick. An exception stops
        the workers first."""
        try:
            while not END_STATES.issuperset(self.states.values()) and not (self._budget and self._budget.spent):
                self._reap()
                self._look_at_claims()
                self._look_elsewhere()
                self._start_ready()
                observe(self)
                time.sleep(TICK_SECONDS)
        except KeyboardInterrupt:
            self.interrupted = self.keys_in(QueueState.RUNNING)
            raise
        finally:
            self._stop_workers()
        self._leave_unfinished()
        observe(self)

    def keys_in(self, state: QueueState) -> list[str]:
        """Returns the jobs in that state, in order."""
        return [key for key in self.jobs if self.states[key] is state]

    def _finished_state(self, key: str) -> QueueState | None:
        """Returns how the job ended; None while it has not, and for a damaged result: the worker that claims it sets that
        aside."""
        state = self.store.state(key, time.time(), verify=True)
        if state is State.UNREADABLE:
            return QueueState.FAILED
        return QueueState(state) if state.final else None

    def _start_ready(self) -> None:
        for key in self._order:
            if self.states[key] is not QueueState.WAITING:
                continue
            inputs = {self.states.get(input_key, QueueState.COMPLETE) for input_key in self.jobs[key].input_keys}
            if inputs & (END_STATES - {QueueState.COMPLETE, QueueState.LEFT}):
                self.states[key] = QueueState.BLOCKED
            elif QueueState.LEFT in inputs:
                self.states[key] = QueueState.LEFT
            elif inputs <= {QueueState.COMPLETE}:
                self._start(key)

    def _fits_budget(self, key: str) -> bool:
        return self._budget is None or self._budget.fits(self.jobs[key], self.store.seconds_spent(key))

    def _leave_unfinished(self) -> None:
        """Marks the jobs that were stopped, or had not begun, as left for another run, once the budget is spent."""
        for key in self.keys_in(QueueState.RUNNING):
            self.states[key] = self._finished_state(key) or QueueState.LEFT
            if self.states[key] is QueueState.LEFT:
                self.interrupted.append(key)
        for key, state in self.states.items():
            if state not in END_STATES:
                self.states[key] = self._finished_state(key) or QueueState.LEFT

    def _start(self, key: str) -> None:
        """Starts a worker, unless the machine is full, another process has the job, or it would not end within the budget.

        Room comes first: it is asked for ten times a second, and the budget's question reads a file.
        """
        allocation = self._machine.allocate(self.jobs[key].resources)
        if allocation is None:
            return
        if not self._fits_budget(key):
            self._machine.free(allocation)
            self.states[key] = QueueState.LEFT
            return
        try:
            if self.store.state(key, time.time()) is State.RUNNING:
                self._machine.free(allocation)
                self.states[key] = QueueState.ELSEWHERE
                return
            process = self._spawn(key, allocation)
        except OSError as error:
            self._machine.free(allocation)
            if error.filename is None:
                raise  # no process can be started, whatever the job
            self._fail(key, f"{error.filename}: {error.strerror}")  # a colleague's directory, a file in its place
            return
        self._workers[key] = _Worker(process, allocation)
        self.states[key] = QueueState.STARTING

    def _spawn(self, key: str, allocation: Allocation) -> subprocess.Popen[bytes]:
        """Starts the worker's process. Raises OSError where the job's files cannot be written."""
        self.store.work(key).mkdir(exist_ok=True)
        self.store.error_file(key).unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", "xtra.execute.worker", str(self.store.root), key]
        options = ["--stages", self._stages, "--parent", str(os.getpid())]
        with self.store.log_file(key).open("ab") as log:
            return subprocess.Popen(
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # the terminal's Ctrl-C reaches the queue alone, which then stops its workers
                env={**os.environ, "PYTHONHASHSEED": "0", **ONE_BLAS_THREAD, **allocation.environment()},
            )

    def _fail(self, key: str, reason: str) -> None:
        """Counts the job as failed, and writes down why if its directory can be written."""
        self.states[key], self.reasons[key] = QueueState.FAILED, reason
        with suppress(OSError):
            write_text_atomically(self.store.error_file(key), f"{reason}\n")

    def _look_at_claims(self) -> None:
        for key in self.keys_in(QueueState.STARTING):
            with suppress(OSError):  # the file server may be away for a moment
                holder = holder_of(self.store.directory(key))
                if holder is not None and holder.owner is not None and holder.owner.pid == self._workers[key].process.pid:
                    self.states[key] = QueueState.RUNNING

    def _reap(self) -> None:
        for key, worker in list(self._workers.items()):
            status = worker.process.poll()
            if status is None:
                continue
            del self._workers[key]
            self._machine.free(worker.allocation)
            if status in (Exit.CLAIMED_ELSEWHERE, Exit.CLAIM_LOST):
                self.states[key] = QueueState.ELSEWHERE
            else:
                self.states[key] = self._finished_state(key) or QueueState.FAILED
            if self._budget is not None and self.states[key] in (QueueState.COMPLETE, QueueState.DIVERGED):
                manifest = self.store.manifest(key)
                assert manifest is not None
                self._budget.learn(self.jobs[key], manifest.seconds)
            if self.states[key] is QueueState.FAILED and not self._failure_time(key):
                self._fail(key, _how_it_ended(status))

    def _look_elsewhere(self) -> None:
        if time.monotonic() - self._looked_elsewhere < ELSEWHERE_SECONDS:
            return
        self._looked_elsewhere = time.monotonic()
        for key in self.keys_in(QueueState.ELSEWHERE):
            state = self.store.state(key, time.time())
            if state is State.FAILED and self._failure_time(key) > self._began:
                self.states[key] = QueueState.FAILED
            elif state is not State.RUNNING:
                self.states[key] = self._finished_state(key) or QueueState.WAITING

    def _failure_time(self, key: str) -> float:
        """Returns when it was written down why the job failed; 0 if it was not, or another run has just removed it."""
        try:
            return self.store.error_file(key).stat().st_mtime
        except OSError:
            return 0.0

    def _stop_workers(self) -> None:
        try:
            self._signal_workers(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline and any(worker.process.poll() is None for worker in self._workers.values()):
                time.sleep(0.02)
        finally:  # also when Ctrl-C is pressed again
            self._signal_workers(signal.SIGKILL)

    def _signal_workers(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            if worker.process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(worker.process.pid, number)


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"the worker exited with status {status} and no error message; see the end of its log"
    name = signal.Signals(-status).name
    hint = " (out of memory? `dmesg` tells)" if name == "SIGKILL" else ""
    return f"the worker was killed by {name}{hint}; run again to go on from its last checkpoint"


def critical_first(jobs: Mapping[str, Job]) -> list[str]:
    """Sorts the keys by the longest chain of jobs that begins with each, the longest first, otherwise in the order given.

    `jobs` is in topological order, and so is what is returned.
    """
    behind = dict.fromkeys(jobs, 0)
    for key in reversed(behind):
        for input_key in jobs[key].input_keys:
            if input_key in behind:
                behind[input_key] = max(behind[input_key], behind[key] + 1)
    return sorted(jobs, key=lambda key: -behind[key])
