"""Only what no run names, nobody computes and nobody has touched for long is removed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from xtra.execute.garbage import find_garbage, planned_keys, remove
from xtra.store.job import Job
from xtra.store.store import Store


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
    assert remove(store, old.key)
    assert not remove(store, running.key)
    assert sorted(store.keys()) == sorted([planned.key, young.key, running.key])
    assert attempt.claim.held()


def test_with_an_unreadable_plan_nothing_is_garbage(tmp_path: Path) -> None:
    (tmp_path / "runs" / "r").mkdir(parents=True)
    (tmp_path / "runs" / "r" / "plan.json").write_text('{"jobs": [')
    with pytest.raises(ValueError, match=r"plan\.json: is not a plan"):
        planned_keys(tmp_path)
