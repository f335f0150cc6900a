"""Garbage of a store: jobs that no run asks for any more, and the replays of finished runs that no dataset waits for."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xtra.results.run_record import PLAN_FILE, RECORD
from xtra.store.claim import acquire
from xtra.store.files import TEMPORARY_SUFFIX, list_names
from xtra.store.job import Job
from xtra.store.rows import SCORES, read_csv
from xtra.store.store import REPLAY, State, Store

DAY = 86_400.0

REMEDY = "run its suite again, or remove that run"


@dataclass(frozen=True)
class Garbage:
    """A job that nothing has touched for a while: all of it, or the directory `part` of its output. `size` in bytes."""

    key: str
    size: int
    part: str | None = None


def planned_keys(results: Path, store: Store) -> frozenset[str]:
    """Returns the jobs of every run under `results/runs` and of every study that is kept under `results/ours`: those of its plan,
    or without a plan those that its scores stand on.

    Raises ValueError naming what cannot be read, and StoreError: nothing is safe then.
    """
    return _keys_under(results / "runs", store) | _keys_under(results / "ours", store)


def _keys_under(home: Path, store: Store) -> frozenset[str]:
    keys: set[str] = set()
    for record in _records(home):
        keys |= _keys_of_plan(record) if record.name == PLAN_FILE else _keys_of_scores(record, store)
    return frozenset(keys)


def _records(directory: Path) -> Iterator[Path]:
    """Yields the file that names the jobs of each run in the directory, at any depth. Unlike `glob` it passes nothing over that
    cannot be read."""
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208 - names alone
    except NotADirectoryError:
        return
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not directory.is_symlink():  # a link may lead to a disk that is away
            return
        raise ValueError(
            f"{directory}: cannot be read ({error.strerror}), and may hold a run; make it readable, or remove it"
        ) from None
    if PLAN_FILE in names:
        yield directory / PLAN_FILE
    elif SCORES.file_name in names:
        yield directory / SCORES.file_name
    elif RECORD in names:
        raise ValueError(f"{directory}: is a run without {PLAN_FILE} and {SCORES.file_name}; {REMEDY}")
    else:
        for name in names:
            if not name.startswith("."):  # an editor's lock is a link to nowhere
                yield from _records(directory / name)


def _keys_of_plan(path: Path) -> frozenset[str]:
    try:
        status = path.stat()
        return _parse_plan(path, status.st_ino, status.st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path}: is not a plan that can be read (truncated?); {REMEDY}") from None


@cache
def _parse_plan(path: Path, inode: int, modified: int) -> frozenset[str]:
    """Returns the keys of a plan. One of many MB is read once, not for each job that is removed, unless it was replaced."""
    keys = frozenset(job["key"] for job in json.loads(path.read_bytes())["jobs"])
    if not all(isinstance(key, str) for key in keys):
        raise TypeError("a key that is no text")
    return keys


def _keys_of_scores(path: Path, store: Store) -> set[str]:
    """Returns the jobs of a table of scores and, as far as they are in the store, all that they stand on."""
    try:
        rows = read_csv(SCORES, path)
    except (OSError, ValueError) as error:
        remedy = f"put the {PLAN_FILE} of its run beside it, or move it out of this directory"
        raise ValueError(f"{path}: {error}; {remedy}") from None
    waiting = [row[column] for row in rows for column in ("train_key", "evaluate_key")]
    keys, in_store = set[str](), frozenset(store.keys())
    while waiting:
        key = waiting.pop()
        if key in in_store and key not in keys:
            keys.add(key)
            waiting += store.job(key).input_keys
    return keys


def find_garbage(store: Store, planned: frozenset[str], days: float) -> Iterator[Garbage]:
    """Yields the jobs to remove. One that is young may belong to a run that is just beginning: networks that it starts from are
    in the store before its plan is written."""
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


def remove(store: Store, garbage: Garbage, results: Path) -> bool:
    """Deletes it under the job's claim; a whole job at once. False when a process has just begun the job, a run has just been
    planned that names it, or a dataset wants its replay by now. Raises StoreError, OSError where this user may not remove it, and
    ValueError as `planned_keys` does."""
    if garbage.part is not None:
        return garbage.key not in _runs_to_keep(store) and store.drop(garbage.key, garbage.part)
    claim = acquire(store.directory(garbage.key))
    if claim is None:
        return False
    try:
        with claim.kept_alive():
            if garbage.key in _keys_under(results / "runs", store):  # kept studies do not begin meanwhile
                return False
            claim.check()
            trash = store.root / f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
            store.directory(garbage.key).rename(trash)  # at once: nobody may find half a job
    finally:
        claim.release()  # does nothing once the claim has gone with the job
    shutil.rmtree(trash, ignore_errors=True)  # a rest is the next one's: the job is gone
    return True


def remove_trash(store: Store) -> None:
    """Deletes what removals of before that were cut short have left. That of the last day may be another process's at work: a
    rename and every deletion in a directory set its time of change."""
    for name in list_names(store.root):
        trash = store.root / name
        if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX) and trash.is_dir():
            with suppress(OSError):
                if time.time() - trash.stat().st_ctime > DAY:
                    shutil.rmtree(trash)


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
    return now - max((status.st_mtime for status in _files(store.directory(key))), default=0.0)


def _size(directory: Path) -> int:
    return sum(status.st_size for status in _files(directory))


def _files(directory: Path) -> Iterator[os.stat_result]:
    """Yields the status of each file. One that vanishes meanwhile (a worker's temporary file) is passed over."""
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                yield status
