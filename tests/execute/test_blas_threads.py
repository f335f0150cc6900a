"""NumPy's linear algebra has one thread in every worker, whatever machine it runs on and whoever starts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from xtra.execute.machine import ONE_BLAS_THREAD
from xtra.execute.slurm.launch import SlurmLauncher
from xtra.execute.worker import Exit, run_job
from xtra.store.job import Job, Resources


def test_a_worker_of_the_queue_begins_with_one_blas_thread(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    job = bench.job("a", num_threads=3)
    bench.run(job)
    assert "OpenBLAS began with 1 threads" in bench.store.log_file(job.key).read_text().splitlines()


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_worker_of_slurm_begins_with_one_blas_thread(slurm: SlurmLauncher, monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    environments: list[dict[str, str]] = []

    def sbatch(elements: object, request: object, task: Any, *columns: object) -> list[str]:
        environments.append(task.environment)
        return ["12_0"]

    monkeypatch.setattr(slurm, "_sbatch", sbatch)
    job = Job("count", 1, {"name": "a"}, resources=Resources(gpus=gpus))
    slurm.submit({job.key: job})
    assert [found.items() >= ONE_BLAS_THREAD.items() for found in environments] == [True]


def test_what_is_loaded_after_numpy_gets_one_blas_thread_too(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    assert run_job(str(bench.store.root), bench.job("a", num_threads=3).key, bench.stages) is Exit.DONE
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == ("3", "1")
