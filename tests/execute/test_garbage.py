"""Only what no run names, nobody computes and nobody has touched for long is removed."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from xtra.execute.garbage import Garbage, find_garbage, find_spare_replays, planned_keys, remove, reopen_stripped
from xtra.store.job import Job
from xtra.store.rows import SCORES, to_csv
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
    found = list(find_garbage(store, planned_keys(tmp_path, store), 30))
    assert [garbage.key for garbage in found] == [old.key]
    assert found[0].size == (store.directory(old.key) / "job.json").stat().st_size
    assert remove(store, found[0], tmp_path)
    assert not remove(store, Garbage(running.key, 0), tmp_path)
    assert sorted(store.keys()) == sorted([planned.key, young.key, running.key])
    assert attempt.claim.held()


def test_with_an_unreadable_plan_nothing_is_garbage(tmp_path: Path) -> None:
    (tmp_path / "runs" / "r").mkdir(parents=True)
    (tmp_path / "runs" / "r" / "plan.json").write_text('{"jobs": [')
    with pytest.raises(ValueError, match=r"plan\.json: is not a plan"):
        planned_keys(tmp_path, Store(tmp_path / "store"))


@pytest.mark.parametrize("plan", ['{"jobs": [{"key": 3}]}', "[" * 100_000, "[]"])
def test_a_plan_whose_keys_are_no_texts_is_not_taken_for_one_that_names_nothing(plan: str, tmp_path: Path) -> None:
    (tmp_path / "runs" / "r").mkdir(parents=True)
    (tmp_path / "runs" / "r" / "plan.json").write_text(plan)
    with pytest.raises(ValueError, match=r"plan\.json: is not a plan"):
        planned_keys(tmp_path, Store(tmp_path / "store"))


@pytest.mark.parametrize("place", ["runs", "runs/r"])
def test_with_a_directory_that_cannot_be_listed_nothing_is_garbage(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "r").mkdir(parents=True)
    listdir = os.listdir

    def refuse(path: Path) -> list[str]:  # root may list everything
        if path == tmp_path / place:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(ValueError, match=f"{place}: cannot be read \\(Permission denied\\), and may hold a run"):
        planned_keys(tmp_path, Store(tmp_path / "store"))


def test_with_a_link_to_a_run_that_is_away_nothing_is_garbage(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "r").symlink_to(tmp_path / "unmounted" / "r")
    with pytest.raises(ValueError, match="runs/r: cannot be read"):
        planned_keys(tmp_path, Store(tmp_path / "store"))


def row(train: str, evaluate: str) -> dict[str, Any]:
    return {
        "suite": "s", "suite_version": 1, "protocol": "catch", "method": "m", "agent": "a", "game": "Catch", "seed": 0,
        "status": "complete", "score": 1.0, "score_rule": "mean", "num_episodes": 1, "env_steps": 1, "updates": 1,
        "train_key": train, "evaluate_key": evaluate,
    }  # fmt: skip


@pytest.mark.parametrize("place", ["runs/r", "ours/study", "ours/study/part"])
def test_scores_without_a_plan_keep_their_jobs_and_all_that_these_stand_on(place: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    pretrain = finished(store, Job("pretrain", 1, {}))
    train = finished(store, Job("train", 1, {}, {"pretrained": (pretrain.key,)}))
    evaluate = finished(store, Job("evaluate", 1, {}, {"network": (train.key,)}))
    other = finished(store, Job("train", 1, {"seed": 1}))
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "scores.csv").write_text(to_csv(SCORES, [row(train.key, evaluate.key)]))
    found = find_garbage(store, planned_keys(tmp_path, store), 0.0)
    assert [garbage.key for garbage in found] == [other.key]
    (tmp_path / place / "scores.csv").write_text("")
    with pytest.raises(ValueError, match=r"scores\.csv: is empty"):
        planned_keys(tmp_path, store)
    (tmp_path / place / "scores.csv").rename(tmp_path / place / "run.json")
    with pytest.raises(ValueError, match=r"is a run without plan\.json and scores\.csv"):
        planned_keys(tmp_path, store)


def test_a_job_stays_that_a_run_has_named_since_the_garbage_was_listed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    job = finished(store, Job("train", 1, {}))
    (found,) = find_garbage(store, planned_keys(tmp_path, store), 0.0)
    (tmp_path / "runs" / "r").mkdir(parents=True)
    plan = tmp_path / "runs" / "r" / "plan.json"
    plan.write_text('{"jobs": [')
    with pytest.raises(ValueError, match="is not a plan"):
        remove(store, found, tmp_path)
    plan.write_text(json.dumps({"jobs": [{"key": job.key}]}))
    assert not remove(store, found, tmp_path)
    assert store.verify(job.key)
    plan.unlink()
    assert remove(store, found, tmp_path)  # no claim was left behind


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
    assert remove(store, found, tmp_path)
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
    assert not remove(store, found, tmp_path)
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
