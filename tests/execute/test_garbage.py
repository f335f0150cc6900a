"""Only what no run names, nobody computes and nobody has touched for long is removed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from xtra.execute.garbage import Garbage, find_garbage, find_spare_replays, planned_keys, remove, reopen_stripped
from xtra.store.job import Job
from xtra.store.store import State, Store


def age(store: Store, job: Job, days: float) -> None:
    then = time.time() - days * 86_400
    for path in store.directory(job.key).rglob("*"):
        os.utime(path, (then, then))


def test_jobs_of_runs_young_jobs_and_running_jobs_stay(bench: Any, tmp_path: Path) -> None:
    store = bench.store
    planned, young, running, old = (bench.job(name) for name in ("planned", "young", "running", "old"))
    for job in (planned, running, old):
        age(store, job, 40)
    attempt = store.begin(running.key)
    (tmp_path / "runs" / "r").mkdir(parents=True)
    (tmp_path / "runs" / "r" / "plan.json").write_text(json.dumps({"jobs": [{"key": planned.key}]}))
    found = list(find_garbage(store, planned_keys(tmp_path), 30))
    assert [garbage.key for garbage in found] == [old.key]
    assert found[0].size == (store.directory(old.key) / "job.json").stat().st_size
    assert remove(store, found[0])
    assert not remove(store, Garbage(running.key, 0))
    assert sorted(store.keys()) == sorted([planned.key, young.key, running.key])
    assert attempt.claim.held()


def test_with_an_unreadable_plan_nothing_is_garbage(tmp_path: Path) -> None:
    (tmp_path / "runs" / "r").mkdir(parents=True)
    (tmp_path / "runs" / "r" / "plan.json").write_text('{"jobs": [')
    with pytest.raises(ValueError, match=r"plan\.json: is not a plan"):
        planned_keys(tmp_path)


def finished(store: Store, job: Job, *files: str) -> Job:
    store.add(job)
    attempt = store.begin(job.key)
    assert attempt is not None
    for name in files:
        (attempt.out / name).parent.mkdir(exist_ok=True)
        (attempt.out / name).write_text(name)
    store.commit(attempt, "complete", 1.0, {})
    attempt.claim.release()
    return job


def test_a_replay_goes_when_no_dataset_waits_for_it_and_the_rest_of_the_run_stays_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    spare, wanted = (finished(store, Job("train", 1, {"seed": seed}), "network.pt", "replay/rows") for seed in (0, 1))
    made, waiting = (Job("dataset", 1, {}, {"train": (train.key,)}) for train in (spare, wanted))
    finished(store, made)
    store.add(waiting)
    (found,) = find_spare_replays(store, frozenset({spare.key, wanted.key}), 0.0)
    assert (found.key, found.size) == (spare.key, len("replay/rows"))
    assert remove(store, found)
    manifest = store.verify(spare.key)
    assert manifest is not None
    assert list(manifest.files) == ["network.pt"]
    assert manifest.size == len("network.pt") + len("replay/rows")
    assert not list(find_spare_replays(store, frozenset({spare.key}), 0.0))


def test_a_replay_that_a_dataset_wants_by_now_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    train = finished(store, Job("train", 1, {}), "network.pt", "replay/rows")
    (found,) = find_spare_replays(store, frozenset({train.key}), 0.0)
    dataset = finished(store, Job("dataset", 1, {}, {"train": (train.key,)}), "frames")
    assert list(find_spare_replays(store, frozenset({train.key}), 0.0)) == [found]
    (store.out(dataset.key) / "frames").unlink()  # damaged, so it is to be made again
    assert not remove(store, found)
    assert store.verify(train.key)


def test_a_run_whose_dropped_replay_is_wanted_after_all_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    train = finished(store, Job("train", 1, {}), "network.pt", "replay/rows")
    (store.work(train.key) / "seconds.txt").write_text("100")
    assert store.drop(train.key, "replay")
    assert not reopen_stripped(store, {job.key: job for job in (Job("dataset", 1, {}, {"train": ("train-never-added",)}),)})
    evaluation, dataset = (Job(stage, 1, {}, {"train": (train.key,)}) for stage in ("evaluate", "dataset"))
    assert not reopen_stripped(store, {evaluation.key: evaluation})
    assert reopen_stripped(store, {dataset.key: dataset}) == [train.key]
    assert store.state(train.key, time.time()) is not State.COMPLETE
    assert not (store.work(train.key) / "seconds.txt").exists()
    finished(store, train, "network.pt", "replay/rows")
    assert not reopen_stripped(store, {dataset.key: dataset})
