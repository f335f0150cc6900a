"""A private SLURM cluster, with and without accounting, and a bench of light jobs on it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIGHT = HERE.parent / "execute"
sys.path.insert(0, str(LIGHT))

from light_bench import Bench  # noqa: E402 - found through the line above

from xtra.execute.slurm.launch import LaunchResult, SlurmLauncher  # noqa: E402
from xtra.execute.slurm.profile import SlurmProfile  # noqa: E402
from xtra.store.job import Job, Resources  # noqa: E402
from xtra.store.store import State  # noqa: E402
from xtra.suite.resources import SlurmSettings  # noqa: E402


class Cluster:
    """The daemons under one directory."""

    def __init__(self, accounting: bool) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="xs-", dir="/tmp"))  # short: it holds UNIX sockets
        self.accounting = accounting

    def up(self) -> None:
        """Starts whatever is not running."""
        command = [HERE / "slurm-up", "--dir", self.directory, *(["--accounting"] if self.accounting else [])]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=180)

    def down(self) -> None:
        subprocess.run([HERE / "slurm-down", "--dir", self.directory, "--purge"], check=True, timeout=60)

    def stop_controller(self) -> None:
        pid = int((self.directory / "run" / "slurmctld.pid").read_text().split()[0])
        os.kill(pid, 15)
        while Path(f"/proc/{pid}").exists() and "Z (" not in Path(f"/proc/{pid}/status").read_text():
            time.sleep(0.1)


class SlurmBench(Bench):
    """Light jobs, submitted to the cluster."""

    profile = SlurmProfile()

    def job(self, name: str, *before: Job, cpus: int = 1, sharers: int = 0, **config: object) -> Job:
        """With `sharers`, so many such jobs go onto one GPU."""
        light = super().job(name, *before, cpus=cpus, **config)
        gpu = {"gpus": 1, "jobs_per_gpu": sharers} if sharers else {}
        job = Job(light.stage, light.version, light.config, light.inputs, Resources(cpus, memory_gb=0.1, hours=0.5, **gpu))
        self.store.add(job)
        return job

    def slurm(self) -> SlurmLauncher:
        return SlurmLauncher(self.store, self.store.root.parent / "slurm", self.profile, self.stages)

    def submit(self, *jobs: Job) -> LaunchResult:
        return self.slurm().submit({job.key: job for job in jobs})

    def wait(self, *jobs: Job, seconds: float = 60) -> list[State]:
        """Waits until SLURM has none of the jobs any more. Their states."""
        deadline = time.monotonic() + seconds
        while self.slurm().submissions.queued():
            assert time.monotonic() < deadline, subprocess.check_output(["squeue"], text=True)
            self._release_held()
            time.sleep(0.3)
        return [self.state(job) for job in jobs]

    def _release_held(self) -> None:
        """What an operator does when a requeued job came back to its node before its old processes had died there.

        It happens on this cluster alone, whose nodes are one busy host: SLURM holds the job as "launch failed requeued held".
        """
        pending = subprocess.check_output(["squeue", "--noheader", "--states=PD", "--format=%A %r"], text=True)
        for line in pending.splitlines():
            number, reason = line.split(maxsplit=1)
            if reason == "launch failed requeued held":
                subprocess.run(["scontrol", "release", number], check=True)

    def wait_for_steps(self, name: str, steps: int = 1, seconds: float = 60) -> None:
        """Waits until a job has done so many steps."""
        deadline = time.monotonic() + seconds
        while sum(step.split()[0] == name for step in self.computed()) < steps:
            assert time.monotonic() < deadline, subprocess.check_output(["squeue"], text=True)
            time.sleep(0.05)

    def use(self, partition: str, **sbatch: str | int) -> None:
        self.profile = SlurmProfile(default=SlurmSettings(partition=partition, sbatch=sbatch))


@pytest.fixture(scope="session", params=["with accounting", "without accounting"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    cluster = Cluster(accounting=request.param == "with accounting")
    try:
        cluster.up()
        os.environ["SLURM_CONF"] = str(cluster.directory / "etc" / "slurm.conf")
        yield cluster
    finally:
        os.environ.pop("SLURM_CONF", None)
        cluster.down()


@pytest.fixture
def bench(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmBench]:
    monkeypatch.setenv("PYTHONPATH", str(LIGHT), prepend=os.pathsep)
    yield SlurmBench(tmp_path)
    subprocess.run(["scancel", "--user", str(os.getuid())], check=True)


@pytest.fixture
def undisturbed(tmp_path: Path) -> Callable[..., str]:
    """The result that a chain of that name and length has when nothing goes wrong."""

    def compute(name: str, steps: int) -> str:
        (tmp_path / "undisturbed").mkdir()
        bench = Bench(tmp_path / "undisturbed")
        job = bench.job(name, steps=steps)
        bench.run(job)
        return bench.result(job)

    return compute
