"""A job is complete when its manifest is in place; until then, and after damage, it is made again."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtra.store import claim as claims
from xtra.store.claim import ClaimLostError
from xtra.store.files import DamagedError, OtherReleaseError, UnreadableError
from xtra.store.job import Job, Resources, digest
from xtra.store.store import Attempt, State, Store

JOB = Job("train", 1, {"seed": 3})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.add(JOB)
    return store


def begin(store: Store, lease_seconds: float = claims.LEASE_SECONDS) -> Attempt:
    attempt = store.begin(JOB.key, lease_seconds)
    assert attempt is not None
    return attempt


def finish(store: Store, text: str = "42") -> None:
    attempt = begin(store)
    (attempt.out / "deep").mkdir()
    (attempt.out / "deep" / "score.json").write_text(text)
    store.commit(attempt, "complete", 1.5, {"code": None})
    attempt.claim.release()


def state(store: Store) -> State:
    return store.state(JOB.key, time.time())


def abandon(attempt: Attempt) -> None:
    """Makes the claim look as if its machine had stopped an hour ago."""
    os.utime(attempt.claim.path, (time.time() - 3600,) * 2)


def test_what_only_a_resumption_needs_goes_once_the_job_is_complete(store: Store) -> None:
    attempt = begin(store)
    for name in ("checkpoints", "tensorboard"):
        (attempt.work / name).mkdir()
    (attempt.work / "checkpoints" / "100").write_text("large")
    store.log_file(JOB.key).write_text("said")
    store.commit(attempt, "complete", 1.0, {})
    assert sorted(path.name for path in attempt.work.iterdir()) == ["log.txt", "tensorboard"]


def test_a_job_is_complete_only_once_committed(store: Store) -> None:
    assert state(store) is State.WAITING
    attempt = begin(store)
    assert state(store) is State.RUNNING
    attempt.claim.release()
    assert state(store) is State.INTERRUPTED
    finish(store)
    assert state(store) is State.COMPLETE
    manifest = store.verify(JOB.key)
    assert manifest is not None
    assert manifest.seconds == 1.5
    assert list(manifest.files) == ["deep/score.json"]
    assert store.begin(JOB.key) is None


def test_what_an_interrupted_attempt_left_in_out_is_not_committed(store: Store) -> None:
    attempt = begin(store)
    (attempt.out / "stray").write_text("from the first attempt")
    attempt.claim.release()
    finish(store)
    assert [path.name for path in store.out(JOB.key).rglob("*") if path.is_file()] == ["score.json"]
    assert not list(store.directory(JOB.key).glob("out-*"))


def test_resources_are_kept_with_the_job_but_not_in_its_key(store: Store) -> None:
    bigger = Job(JOB.stage, JOB.version, JOB.config, resources=Resources(cpus=8))
    store.add(bigger)
    assert bigger.key == JOB.key
    assert store.job(JOB.key).resources.cpus == 8


@given(cut=st.floats(0, 0.98))
def test_a_cut_job_record_is_named_and_mended_by_the_next_plan(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.add(JOB)
    path = store.directory(JOB.key) / "job.json"
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    with pytest.raises(DamagedError, match=r"job\.json"):
        store.job(JOB.key)
    store.add(JOB)
    assert store.job(JOB.key) == JOB


def test_an_edited_job_record_no_longer_matches_its_key(store: Store) -> None:
    path = store.directory(JOB.key) / "job.json"
    path.write_text(path.read_text().replace('"seed": 3', '"seed": 4'))
    with pytest.raises(DamagedError, match="describes train-"):
        store.job(JOB.key)


@pytest.mark.parametrize("text", ['{"a": NaN}', "[" * 100_000, '{"stage": "train", "config": NaN}', "3"])
def test_a_record_that_was_never_written_here_is_damage_and_no_crash(store: Store, text: str) -> None:
    (store.directory(JOB.key) / "manifest.json").write_text(text)
    assert state(store) is State.DAMAGED
    whole = (store.directory(JOB.key) / "job.json").read_text()
    for odd in (text, whole.replace('"seed": 3', '"seed": NaN')):
        (store.directory(JOB.key) / "job.json").write_text(odd)
        with pytest.raises(DamagedError, match=r"job\.json"):
            store.job(JOB.key)


@pytest.mark.parametrize("damage", ["missing", "shorter", "altered", "manifest cut", "manifest edited"])
def test_a_damaged_result_is_detected_and_made_again(store: Store, damage: str) -> None:
    finish(store)
    manifest, output = store.directory(JOB.key) / "manifest.json", store.out(JOB.key) / "deep" / "score.json"
    match damage:
        case "missing":
            output.unlink()
        case "shorter":
            output.write_text("4")
        case "altered":
            output.write_text("43")
        case "manifest cut":
            manifest.write_text(manifest.read_text()[:-20])
        case "manifest edited":
            manifest.write_text(manifest.read_text().replace('"seconds": 1.5', '"seconds": 0.5'))
    with pytest.raises(DamagedError, match="xtra-bench run"):
        store.verify(JOB.key)
    finish(store)
    assert store.verify(JOB.key) is not None
    assert output.read_text() == "42"


def test_a_result_of_another_release_is_named_and_left_as_it_is(store: Store) -> None:
    finish(store)
    path = store.directory(JOB.key) / "manifest.json"
    record = json.loads(path.read_text()) | {"schema_version": 2}
    del record["checksum"]
    path.write_text(json.dumps(record | {"checksum": digest(record)}))
    before = {file: file.read_bytes() for file in store.directory(JOB.key).rglob("*") if file.is_file()}
    assert store.state(JOB.key, time.time(), verify=True) is State.UNREADABLE
    assert not store.has_lost(JOB.key, "deep")
    for read in (store.verify, store.begin, store.discard_if_damaged):
        with pytest.raises(OtherReleaseError, match=r"manifest\.json: has schema version 2, and this release .* reads 1"):
            read(JOB.key)
    assert {file: file.read_bytes() for file in store.directory(JOB.key).rglob("*") if file.is_file()} == before


def test_a_job_record_of_another_release_is_named_and_not_written_over(store: Store) -> None:
    path = store.directory(JOB.key) / "job.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    before = path.read_bytes()
    store.add(JOB)
    assert path.read_bytes() == before
    with pytest.raises(OtherReleaseError, match=r"job\.json: has schema version 2"):
        store.job(JOB.key)


def test_damage_that_only_a_full_check_sees_is_set_aside_by_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(store)
    (store.out(JOB.key) / "deep" / "score.json").write_text("43")
    monkeypatch.setattr("xtra.store.manifest.SMALL_FILE", 1)
    assert store.verify(JOB.key, quick=True) is not None
    assert store.verify(JOB.key, directories=False) is not None
    with pytest.raises(DamagedError):
        store.verify(JOB.key)
    store.discard_if_damaged(JOB.key)
    assert state(store) is State.INTERRUPTED


def test_a_live_claim_keeps_others_out(store: Store) -> None:
    begin(store)
    assert store.begin(JOB.key) is None


def test_a_stale_claim_is_taken_over_and_its_zombie_cannot_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    zombie = begin(store)
    abandon(zombie)
    successor = begin(store)
    zombie.out.mkdir(exist_ok=True)
    (zombie.out / "score.json").write_text("zombie")
    with pytest.raises(ClaimLostError, match="taken over"):
        store.commit(zombie, "complete", 1.0, {})
    zombie.claim.release()
    assert state(store) is State.RUNNING
    store.commit(successor, "complete", 1.0, {})
    successor.claim.release()
    assert state(store) is State.COMPLETE
    assert not list(store.directory(JOB.key).glob("claim-*"))


def test_a_zombie_that_wakes_between_its_last_check_and_the_rename_overwrites_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie = begin(store)
    (zombie.out / "score.json").write_text("zombie")
    abandon(zombie)
    successor = begin(store)
    (successor.out / "score.json").write_text("good")
    store.commit(successor, "complete", 1.0, {})
    zombie.out.mkdir(exist_ok=True)
    (zombie.out / "score.json").write_text("zombie")
    monkeypatch.setattr(claims.Claim, "check", lambda self: None)
    with pytest.raises(ClaimLostError, match="in place"):
        store.commit(zombie, "complete", 1.0, {})
    assert store.verify(JOB.key) is not None
    assert (store.out(JOB.key) / "score.json").read_text() == "good"


def test_an_old_output_that_cannot_be_cleared_away_fails_the_job_before_it_computes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(store)
    store.reopen(JOB.key)

    def refused(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("xtra.store.store.shutil.rmtree", refused)
    with pytest.raises(PermissionError, match="out"):
        store.begin(JOB.key)
    assert state(store) is State.INTERRUPTED


def test_an_output_that_lies_on_another_disk_gives_way_to_a_new_one(store: Store, tmp_path: Path) -> None:
    finish(store)
    store.out(JOB.key).rename(tmp_path / "other disk")
    store.out(JOB.key).symlink_to(tmp_path / "other disk")
    assert store.verify(JOB.key) is not None
    store.reopen(JOB.key)
    finish(store, "43")
    assert (store.out(JOB.key) / "deep" / "score.json").read_text() == "43"
    assert (tmp_path / "other disk" / "deep" / "score.json").read_text() == "42"


def test_the_claim_of_a_process_that_died_here_is_taken_over_at_once(store: Store) -> None:
    code = "import os, sys, pathlib, xtra.store.store as s; s.Store(pathlib.Path(sys.argv[1])).begin(sys.argv[2]); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, store.root, JOB.key], check=False).returncode == 9
    assert begin(store).claim.number == 2


def test_a_claim_that_was_never_written_to_the_end_goes_stale_too(store: Store) -> None:
    path = store.directory(JOB.key) / "claim-1"
    path.touch()
    assert store.begin(JOB.key) is None
    os.utime(path, (time.time() - 3600,) * 2)
    assert begin(store).claim.number == 2


@pytest.mark.parametrize("text", [b'{"lease_seconds": "120"}', b"\xff", b"[" * 100_000, b"whole"])
def test_a_claim_that_cannot_be_read_is_one_without_an_owner(store: Store, text: bytes) -> None:
    attempt = begin(store)
    whole = asdict(attempt.claim.owner)
    attempt.claim.path.write_bytes(text if text != b"whole" else json.dumps(whole | {"lease_seconds": "120"}).encode())
    assert state(store) is State.RUNNING
    abandon(attempt)
    assert state(store) is State.INTERRUPTED
    assert begin(store).claim.number == 2


def test_the_heartbeat_keeps_a_short_lease_alive_and_notices_a_takeover(store: Store) -> None:
    attempt = begin(store, lease_seconds=1.5)
    beats: list[int] = []
    lost: list[int] = []
    with attempt.claim.kept_alive(lambda: beats.append(1), lambda: lost.append(1)):
        time.sleep(2)
        assert store.begin(JOB.key) is None
        assert beats
        (store.directory(JOB.key) / "claim-2").touch()
        time.sleep(1)
        assert lost == [1]


def test_what_a_requeued_slurm_job_held_before_is_its_own_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_machine", lambda: "another node")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    begin(store)
    monkeypatch.undo()
    assert store.begin(JOB.key) is None
    monkeypatch.setenv("SLURM_JOB_ID", "77")  # two processes in one interactive allocation
    assert store.begin(JOB.key) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert begin(store).claim.number == 2


TAKE_OVER = """
import sys, time
from pathlib import Path
from xtra.store import claim
directory, barrier = map(Path, sys.argv[1:])
print("ready", flush=True)
while not barrier.exists():
    time.sleep(0.001)
print(claim.acquire(directory) is not None)
"""


def test_of_many_that_take_over_one_stale_claim_exactly_one_wins(store: Store, tmp_path: Path) -> None:
    abandon(begin(store))
    command = [sys.executable, "-c", TAKE_OVER, str(store.directory(JOB.key)), str(tmp_path / "go")]
    rivals = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    assert sorted(rival.communicate(timeout=20)[0].strip() for rival in rivals) == ["False"] * 5 + ["True"]


def test_a_job_that_begins_again_is_not_billed_for_what_is_thrown_away(store: Store) -> None:
    begin(store).claim.release()
    (store.work(JOB.key) / "seconds.txt").write_text("5000.0")
    assert store.seconds_spent(JOB.key) == 5000.0
    assert store.reopen(JOB.key)
    assert store.seconds_spent(JOB.key) == 0.0


@pytest.mark.parametrize("status", ["complete", "diverged"])
def test_a_result_that_is_to_be_made_again_is_made_from_its_start_unless_somebody_has_the_job(store: Store, status: str) -> None:
    attempt = begin(store)
    store.commit(attempt, status, 1.0, {})
    attempt.claim.release()
    (store.work(JOB.key) / "checkpoints").mkdir()
    assert store.reopen(JOB.key)
    assert state(store) is State.INTERRUPTED
    assert not (store.work(JOB.key) / "checkpoints").exists()
    attempt = begin(store)
    assert not store.reopen(JOB.key)
    store.commit(attempt, "complete", 1.0, {})
    attempt.claim.release()
    assert state(store) is State.COMPLETE
    assert store.reopen("train-never-begun")


def test_a_claim_whose_pid_another_process_has_by_now_is_taken_over(store: Store) -> None:
    owner = claims.Owner.this_process(claims.LEASE_SECONDS)
    path = store.directory(JOB.key) / "claim-1"
    path.write_text(json.dumps(asdict(owner)))
    assert store.begin(JOB.key) is None  # this very process, alive
    path.write_text(json.dumps(asdict(replace(owner, born=owner.born - 60))))
    assert begin(store).claim.number == 2


@pytest.mark.parametrize("step", [-1.0, 1.0])
def test_a_step_of_the_clock_takes_no_job_from_a_live_process(store: Store, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    owner = begin(store).claim.owner
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: owner.born + step)
    assert not owner.known_dead()
    assert store.begin(JOB.key) is None


def test_a_takeover_between_the_rename_and_the_manifest_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = begin(store)
    (attempt.out / "score.json").write_text("zombie")

    def taken_over(directory: Path) -> None:
        if store.out(JOB.key).exists():  # so the rename is done
            (store.directory(JOB.key) / "claim-2").touch()

    monkeypatch.setattr("xtra.store.store.sync_directory", taken_over)
    with pytest.raises(ClaimLostError, match="taken over"):
        store.commit(attempt, "complete", 1.0, {})
    assert store.manifest(JOB.key) is None


def refuse(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Makes this user one who may not read paths that contain `part`; root may read everything."""

    def refused(path: object) -> None:
        if part in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda path, *arguments, **options: refused(path) or function(path, *arguments, **options)

    for name in ("open", "read_bytes", "read_text", "exists", "is_file"):
        monkeypatch.setattr(Path, name, wrapped(getattr(Path, name)))
    monkeypatch.setattr(os, "listdir", wrapped(os.listdir))


@pytest.mark.parametrize("part", ["manifest.json", JOB.key, "score.json"])
def test_what_this_user_may_not_read_is_named_and_neither_complete_nor_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    finish(store)
    refuse(monkeypatch, part)
    with pytest.raises(UnreadableError, match=rf"{part}.*: cannot be read \(Permission denied\); its owner can make it readable"):
        store.verify(JOB.key)
    assert store.state(JOB.key, time.time(), verify=True) is State.UNREADABLE
    with pytest.raises((UnreadableError, PermissionError)):
        store.begin(JOB.key)
    monkeypatch.undo()
    assert state(store) is State.COMPLETE


def test_a_stage_that_cannot_be_listed_is_named_and_the_rest_is_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Job("evaluate", 1, {})
    store.add(other)
    refuse(monkeypatch, f"{store.root}/evaluate")
    faults: list[UnreadableError] = []
    assert store.keys(faults) == [JOB.key]
    assert [fault.path for fault in faults] == [store.root / "evaluate"]
    with pytest.raises(UnreadableError, match="evaluate: cannot be read"):
        store.keys()


def test_an_unreadable_store_is_not_an_empty_one(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Store(tmp_path / "absent").keys() == []
    refuse(monkeypatch, str(store.root))
    with pytest.raises(UnreadableError, match="store: cannot be read"):
        store.keys([])
