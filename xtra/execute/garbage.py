"""Garbage of a store: jobs that no run asks for any more, and the replays of finished runs that no dataset waits for."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xtra.store.claim import acquire
from xtra.store.job import Job
from xtra.store.store import REPLAY, State, Store

DAY = 86_400.0


@dataclass(frozen=True)
class Garbage:
    """A job that nothing has touched for a while: all of it, or the directory `part` of its output. `size` in bytes."""

    key: str
    size: int
    part: str | None = None


def planned_keys(results: Path) -> frozenset[str]:
    """Returns the jobs of every run under `results/runs`. Raises ValueError naming a plan that cannot be read: nothing is safe
    then."""
    keys: set[str] = set()
    for path in sorted((results / "runs").glob("*/plan.json")):
        try:
            keys.update(job["key"] for job in json.loads(path.read_bytes())["jobs"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(
                f"{path}: is not a plan that can be read (truncated?); run its suite again, or remove that run"
            ) from None
    return frozenset(keys)


def find_garbage(store: Store, planned: frozenset[str], days: float) -> Iterator[Garbage]:
    """Yields the jobs to remove. A job that is young may belong to a suite that is still running: its plan is written at the
    end."""
    now, keys = time.time(), store.keys()
    for key in keys:
        is_needed = key in planned or store.state(key, now) in (State.RUNNING, State.UNREADABLE)
        if not is_needed and _age(store, key, now) > days * DAY:
            yield Garbage(key, _size(store.directory(key)))


def find_spare_replays(store: Store, planned: frozenset[str], days: float) -> Iterator[Garbage]:
    """Yields the replays of finished runs that some plan names, unless a dataset that is still to be made reads them.

    Raises DamagedError for a dataset's record that cannot be read: nothing is safe then.
    """
    now = time.time()
    for key in sorted(planned - _runs_to_keep(store)):
        replay = store.out(key) / REPLAY
        if replay.is_dir() and _age(store, key, now) > days * DAY and _finished(store, key):
            yield Garbage(key, _size(replay), REPLAY)


def remove(store: Store, garbage: Garbage) -> bool:
    """Deletes it under the job's claim; a whole job at once. False when a process has just begun the job, or a dataset wants its
    replay by now. Raises DamagedError."""
    if garbage.part is not None:
        return garbage.key not in _runs_to_keep(store) and store.drop(garbage.key, garbage.part)
    if acquire(store.directory(garbage.key)) is None:
        return False
    trash = store.root / f".{secrets.token_hex(8)}.tmp"
    store.directory(garbage.key).rename(trash)  # at once: nobody may find half a job
    shutil.rmtree(trash)
    return True


def reopen_stripped(store: Store, jobs: Mapping[str, Job]) -> list[str]:
    """Declares those runs unfinished whose replay was dropped and which a dataset of `jobs` needs after all. Returns them."""
    datasets = [job for job in jobs.values() if job.stage == "dataset" and not _finished(store, job.key)]
    run_keys = dict.fromkeys(key for job in datasets for key in job.input_keys)
    return [key for key in run_keys if store.reopen_without(key, REPLAY)]


def _runs_to_keep(store: Store) -> set[str]:
    """Returns the runs that are read by datasets still to be made."""
    keys = store.keys()
    datasets = (key for key in keys if key.startswith("dataset-") and not _finished(store, key))
    return {input_key for key in datasets for input_key in store.job(key).input_keys}


def _finished(store: Store, key: str) -> bool:
    return store.state(key, time.time(), verify=True).final


def _age(store: Store, key: str, now: float) -> float:
    """Returns the seconds since anything in the job's directory changed."""
    return now - max((path.stat().st_mtime for path in _files(store.directory(key))), default=0.0)


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in _files(directory))


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
