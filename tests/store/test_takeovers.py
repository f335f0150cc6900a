"""Who holds a job when processes stand still, SLURM requeues, a file server lags, or another one wakes up late."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from xtra.store import claim as claims
from xtra.store.claim import Claim, holder_of
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
