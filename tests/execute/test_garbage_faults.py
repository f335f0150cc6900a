"""`gc` beside other processes: it removes nothing that it no longer holds, and one job that it cannot remove stops no other."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.execute import garbage
from xtra.execute.garbage import Garbage, remove, remove_trash
from xtra.store.claim import ClaimLostError
from xtra.store.job import Job
from xtra.store.store import Store


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Jobs that no run names, in `tmp_path/store`."""
    jobs = [Job("train", 1, {"seed": seed}) for seed in range(3)]
    for job in jobs:
        Store(tmp_path / "store").add(job)
    return jobs


def test_a_job_that_was_taken_over_while_plans_were_read_stays(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, (job, *_) = Store(tmp_path / "store"), jobs

    def long(home: Path, store: Store) -> frozenset[str]:
        (store.directory(job.key) / "claim-2").touch()
        return frozenset()

    monkeypatch.setattr(garbage, "_keys_under", long)
    with pytest.raises(ClaimLostError):
        remove(store, Garbage(job.key, 0), tmp_path)
    assert store.job(job.key) == job


def test_a_claim_is_kept_alive_while_plans_are_read_and_given_back_where_nothing_can_be_removed(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, (job, *_) = Store(tmp_path / "store"), jobs
    acquire, beats = garbage.acquire, list[float]()

    def long(home: Path, store: Store) -> frozenset[str]:
        claim = store.directory(job.key) / "claim-1"
        os.utime(claim, (0, 0))
        deadline = time.monotonic() + 10
        while claim.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        beats.append(claim.stat().st_mtime)
        return frozenset()

    def refused(path: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(garbage, "acquire", lambda directory: acquire(directory, 0.5))
    monkeypatch.setattr(garbage, "_keys_under", long)
    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        remove(store, Garbage(job.key, 0), tmp_path)
    assert beats[0] > 0
    assert not list(store.directory(job.key).glob("claim-*"))


def test_a_job_that_cannot_be_removed_is_named_and_the_others_go(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rename = Store(tmp_path / "store"), Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name == jobs[0].key:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    answer = CliRunner().invoke(app, ["gc", "--days", "0", "--yes", "--results", str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    assert f"kept {jobs[0].key}: {store.directory(jobs[0].key)}: Permission denied" in answer.stderr
    assert "removed 2 jobs" in answer.stdout
    assert store.keys() == [jobs[0].key]


def test_what_an_interrupted_removal_left_goes_with_the_next_but_not_under_another_ones_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    (store.root / ".0123456789abcdef.tmp" / "out").mkdir(parents=True)
    (store.root / "train").mkdir()
    remove_trash(store)
    assert len(list(store.root.iterdir())) == 2
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 1.1 * garbage.DAY)
    answer = CliRunner().invoke(app, ["gc", "--yes", "--results", str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    assert [path.name for path in store.root.iterdir()] == ["train"]
    remove_trash(Store(tmp_path / "absent"))


def test_a_file_that_vanishes_while_garbage_is_looked_for_is_none(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rglob = Store(tmp_path / "store"), Path.rglob

    def vanishing(path: Path, pattern: str) -> Iterator[Path]:
        (path / "work").mkdir(exist_ok=True)
        for name in ("progress.json", "log.txt"):
            (path / "work" / name).write_text("four")
        for found in sorted(rglob(path, pattern)):
            if found.name == "progress.json":
                found.unlink()
            yield found

    monkeypatch.setattr(Path, "rglob", vanishing)
    sizes = {found.key: found.size for found in garbage.find_garbage(store, frozenset(), -1.0)}
    assert sizes == {job.key: (store.directory(job.key) / "job.json").stat().st_size + 4 for job in jobs}
