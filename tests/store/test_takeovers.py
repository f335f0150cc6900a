"""Who holds a job when processes stand still, SLURM requeues, a file server lags, or another one wakes up late."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xtra.store import claim as claims
from xtra.store.claim import Claim, ClaimLostError, holder_of
from xtra.store.files import write_text_atomically
from xtra.store.job import Job
from xtra.store.store import Attempt, State, Store

JOB = Job("train", 1, {"seed": 3})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.add(JOB)
    return store


def begin(store: Store) -> Attempt:
    attempt = store.begin(JOB.key)
    assert attempt is not None
    return attempt


def test_a_zombies_output_that_arrives_late_gives_way_to_that_of_the_holder(store: Store) -> None:
    attempt = begin(store)
    (attempt.out / "score.json").write_text("good")
    store.out(JOB.key).mkdir()
    (store.out(JOB.key) / "score.json").write_text("zombie")
    store.commit(attempt, "complete", 1.0, {})
    assert store.verify(JOB.key) is not None
    assert (store.out(JOB.key) / "score.json").read_text() == "good"
    assert not list(store.directory(JOB.key).glob("out-*"))


def test_a_start_before_a_requeue_takes_no_job_from_the_one_after_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_machine", lambda: "another node")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "10")
    attempt = begin(store)
    monkeypatch.undo()
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    for earlier in ("0", "9", "10", "many"):
        monkeypatch.setenv("SLURM_RESTART_COUNT", earlier)
        assert store.begin(JOB.key) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "11")
    assert begin(store).claim.number == attempt.claim.number + 1


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_numbers_that_a_stale_listing_still_shows_hold_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(claims, "_numbers", lambda directory: [3, 2])
    assert holder_of(store.directory(JOB.key)) is None
    open_path = Path.open

    def opened(path: Path, *arguments: str) -> object:
        if path.name == "claim-3":
            raise OSError(number, os.strerror(number), str(path))
        return open_path(path, *arguments)

    (store.directory(JOB.key) / "claim-2").touch()
    monkeypatch.setattr(Path, "open", opened)
    holder = holder_of(store.directory(JOB.key))
    assert holder is not None
    assert holder.number == 2


def test_a_file_server_that_goes_away_after_the_manifest_leaves_the_job_complete(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, held = begin(store), Claim.held

    def away(claim: Claim) -> bool:
        if store.manifest(JOB.key) is not None:
            raise OSError(errno.EIO, "Input/output error")
        return held(claim)

    monkeypatch.setattr(Claim, "held", away)
    store.commit(attempt, "complete", 1.0, {})
    assert store.state(JOB.key, 0.0) is State.COMPLETE


@pytest.mark.parametrize("act", [Store.begin, Store.discard_if_damaged])
def test_what_was_taken_over_while_it_was_hashed_is_not_set_aside(
    store: Store, monkeypatch: pytest.MonkeyPatch, act: Callable[[Store, str], object]
) -> None:
    attempt, verify = begin(store), Store.verify
    (attempt.out / "score.json").write_text("42")
    store.commit(attempt, "complete", 1.0, {})
    attempt.claim.release()
    (store.out(JOB.key) / "score.json").write_text("43")

    def taken_over(store: Store, key: str, *, quick: bool) -> object:
        (store.directory(key) / "claim-2").touch()
        return verify(store, key, quick=quick)

    monkeypatch.setattr(Store, "verify", taken_over)
    with pytest.raises(ClaimLostError, match="taken over"):
        act(store, JOB.key)
    assert store.manifest(JOB.key) is not None


def test_a_claim_is_kept_alive_while_a_result_is_hashed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    verify, beats = Store.verify, list[float]()

    def long(store: Store, key: str, *, quick: bool) -> object:
        (path,) = store.directory(key).glob("claim-*")
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        beats.append(path.stat().st_mtime)
        return verify(store, key, quick=quick)

    monkeypatch.setattr(Store, "verify", long)
    attempt = store.begin(JOB.key, lease_seconds=0.5)
    assert attempt is not None
    assert beats[0] > 0


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_clock_that_is_not_the_file_servers_makes_no_running_job_look_interrupted(
    store: Store, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    attempt, now = begin(store), time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead)
    assert store.state(JOB.key, time.time()) is State.RUNNING
    os.utime(attempt.claim.path, (now() - 1800,) * 2)
    assert store.state(JOB.key, time.time()) is State.INTERRUPTED


def test_in_a_store_that_can_only_be_read_claims_are_judged_by_this_machines_clock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store)

    def refused(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "touch", refused)
    assert Store(store.root).state(JOB.key, time.time()) is State.RUNNING
    assert Store(store.root).state(JOB.key, time.time() + 3600) is State.INTERRUPTED


def test_a_text_that_finds_the_disk_full_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, encoding: str) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_text_atomically(tmp_path / "plan.json", "{}")
    assert not list(tmp_path.iterdir())
