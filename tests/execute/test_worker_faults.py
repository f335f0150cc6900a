"""A worker beside other processes, and on a file server that fails it: its exit status says what is in the store."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import pytest

from xtra.execute.slurm import task
from xtra.execute.slurm.task import SlurmTask
from xtra.execute.worker import Exit, run_job
from xtra.store.claim import Claim, ClaimLostError, acquire
from xtra.store.files import UnreadableError
from xtra.store.job import Job
from xtra.store.store import State, Store


@pytest.fixture(autouse=True)
def worker_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def run_here(bench: Any, job: Job) -> Exit:
    return run_job(str(bench.store.root), job.key, bench.stages)


def refused(*_: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system", "claim-1")


@pytest.mark.parametrize("damage", ["result.txt", "manifest.json"])
def test_a_damaged_result_that_another_process_sets_aside_is_not_done(bench: Any, damage: str) -> None:
    job = bench.job("a")
    assert run_here(bench, job) is Exit.DONE
    damaged = bench.store.directory(job.key) / damage if damage == "manifest.json" else bench.store.out(job.key) / damage
    damaged.write_text("{")
    assert acquire(bench.store.directory(job.key)) is not None
    assert run_here(bench, job) is Exit.CLAIMED_ELSEWHERE


@pytest.mark.parametrize("fault", [PermissionError(errno.EACCES, "no", "claim-1"), UnreadableError(Path("x"), OSError(13, "no"))])
def test_damage_is_told_also_where_it_cannot_be_set_aside(bench: Any, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    first = bench.job("first")
    second = bench.job("second", first)
    run_here(bench, first)
    (bench.store.out(first.key) / "result.txt").write_text("0" * 64)

    def fail(store: Store, key: str) -> None:
        raise fault

    monkeypatch.setattr(Store, "discard_if_damaged", fail)
    assert run_here(bench, second) is Exit.FAILED
    assert "result.txt: does not match its checksum" in bench.error(second)


def test_a_result_in_place_is_done_though_nothing_can_be_cleared_away_any_more(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.job("a")
    monkeypatch.setattr(Claim, "release", refused)
    unlink = Path.unlink
    monkeypatch.setattr(
        Path, "unlink", lambda path, missing_ok=False: (refused if path.name == "progress.json" else unlink)(path, missing_ok)
    )
    assert run_here(bench, job) is Exit.DONE
    assert bench.state(job) is State.COMPLETE


def test_an_element_whose_job_was_taken_over_waits_for_its_result(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "AGAIN_SECONDS", 0.0)
    seen = tmp_path / "seen"
    program = f"import sys, pathlib; seen = pathlib.Path({str(seen)!r}); there = seen.exists(); seen.touch()"
    job = bench.job("a")
    for status in (Exit.CLAIMED_ELSEWHERE, Exit.CLAIM_LOST):
        seen.unlink(missing_ok=True)
        element = SlurmTask([sys.executable, "-c", f"{program}; sys.exit(0 if there else {int(status)})"], {})
        element(str(bench.store.root), {job.key: str(bench.store.log_file(job.key))})
        assert seen.exists()


def test_a_job_that_is_taken_over_while_its_old_result_is_hashed_is_lost_and_has_not_failed(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(store: Store, key: str) -> None:
        raise ClaimLostError(f"{key}: was taken over")

    monkeypatch.setattr(Store, "begin", lost)
    job = bench.job("a")
    assert run_here(bench, job) is Exit.CLAIM_LOST
    assert not bench.store.error_file(job.key).exists()
