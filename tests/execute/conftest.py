"""The bench of light jobs, a SLURM that is pretended, and waiting with a limit."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from light_bench import Bench  # noqa: E402 - found through the line above
from pretended_slurm import put_program  # noqa: E402

from xtra.execute.slurm.launch import SlurmLauncher  # noqa: E402
from xtra.execute.slurm.profile import SlurmProfile  # noqa: E402


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    return Bench(tmp_path)


@pytest.fixture
def slurm(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmLauncher:
    """A launcher whose SLURM has an empty queue and keeps the last script as `tmp_path/script`."""
    programs = {"squeue": "", "srun": "", "scontrol": "echo MaxArraySize = 1001"}
    programs["sbatch"] = f"cp $1 '{tmp_path}/script'; echo Submitted batch job 12"
    for name, text in programs.items():
        put_program(tmp_path / "bin", name, text)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return SlurmLauncher(bench.store, tmp_path / "slurm", SlurmProfile())


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "waited for 20 seconds"
            time.sleep(0.01)

    return wait
