"""A store, a ledger of what was computed, and jobs that take milliseconds."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from xtra.execute.local import Budget, LocalQueue, QueueState
from xtra.execute.machine import Machine
from xtra.store.job import Job, Resources
from xtra.store.store import State, Store

HERE = Path(__file__).parent


def heed_interrupts() -> None:
    """In a child before it starts: Ctrl-C counts, also where the tests themselves run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Bench:
    """A store in a temporary directory, and ways to run light jobs in it."""

    stages = "light_stages:STAGES"

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory / "store with space's")
        self.ledger = directory / "ledger"
        self.ledger.touch()

    def job(self, name: str, *before: Job, cpus: int = 1, **config: object) -> Job:
        settings = {"name": name, "ledger": str(self.ledger), **config}
        inputs = {"before": tuple(job.key for job in before)} if before else {}
        job = Job("count", 1, settings, inputs, Resources(cpus=cpus))
        self.store.add(job)
        return job

    def queue(self, *jobs: Job, cpus: int = 2, budget: Budget | None = None) -> LocalQueue:
        return LocalQueue(self.store, {job.key: job for job in jobs}, Machine(cpus, 1000.0), self.stages, budget)

    def run(self, *jobs: Job, cpus: int = 2) -> dict[str, QueueState]:
        """Runs the jobs to the end; where each one stands then, by name."""
        queue = self.queue(*jobs, cpus=cpus)
        queue.run(lambda _: None)
        return {str(job.config["name"]): queue.states[job.key] for job in jobs}

    def launcher(self, *jobs: Job, cpus: int = 2) -> subprocess.Popen[bytes]:
        """Another process that runs the jobs."""
        command = [sys.executable, str(HERE / "light_stages.py"), str(self.store.root), str(cpus), *(job.key for job in jobs)]
        return subprocess.Popen(command, process_group=0, preexec_fn=heed_interrupts)

    def worker(self, job: Job, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "xtra.execute.worker", str(self.store.root), job.key, "--stages", self.stages]
        return subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)

    def state(self, job: Job) -> State:
        return self.store.state(job.key, time.time())

    def result(self, job: Job) -> str:
        assert self.store.verify(job.key) is not None
        return (self.store.out(job.key) / "result.txt").read_text()

    def computed(self) -> Counter[str]:
        """How often each step was done: {"a 1": 1, ...}."""
        return Counter(line.rpartition(" ")[0] for line in self.ledger.read_text().splitlines())

    def error(self, job: Job) -> str:
        return self.store.error_file(job.key).read_text()
