"""The store of artifacts: one directory per job, `<root>/<stage>/<key>/{job.json, work/, out/, manifest.json}`.

A job is complete when its manifest is in place, and not before: the manifest is written last, by whoever holds the claim. Safe
between processes, between machines on NFS, and under a kill at any moment. No server, no index.
"""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from xtra.store.claim import LEASE_SECONDS, Claim, ClaimLostError, acquire, holder_of, server_time
from xtra.store.files import (
    DamagedError,
    StoreError,
    UnreadableError,
    clear_place,
    json_text,
    list_names,
    sync_directory,
    sync_tree,
    write_json,
    write_text_atomically,
)
from xtra.store.job import JOB_SCHEMA_VERSION, Job, read_job
from xtra.store.manifest import Manifest, find_damage, read_manifest, record_files

SECONDS = "seconds.txt"
"""The file in `work/` with the seconds that the job has taken so far, over all attempts."""

REPLAY = "replay"
"""The part of a training's `out/` that only datasets read."""

RESUME_DIRECTORIES = ("checkpoints", "checkpoints-refused", "replay", "random-play")
"""Directories of `work/` that only an interrupted job needs, and that are as large as its result. Log and metrics stay."""


class State(StrEnum):
    """The state of a job, by its files.

    interrupted: it was begun, and no process works on it. unreadable: its files are there, and this user may not read them, or
    this release cannot.
    """

    COMPLETE = "complete"
    DIVERGED = "diverged"
    FAILED = "failed"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    WAITING = "waiting"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"

    @property
    def final(self) -> bool:
        """True if running the job again would do nothing."""
        return self in (State.COMPLETE, State.DIVERGED)


@dataclass(frozen=True)
class Attempt:
    """A claimed job being run: its directories, and the claim that lets it commit."""

    job: Job
    claim: Claim
    work: Path
    out: Path


class Store:
    """The artifacts under `root`; the directory is made on the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, key: str) -> Path:
        return self.root / key.rpartition("-")[0] / key

    def work(self, key: str) -> Path:
        return self.directory(key) / "work"

    def out(self, key: str) -> Path:
        """Returns the directory of what a complete job left; read it only when `manifest(key)` is there."""
        return self.directory(key) / "out"

    def error_file(self, key: str) -> Path:
        """Returns the file that tells why the last attempt failed; absent otherwise."""
        return self.work(key) / "error.txt"

    def log_file(self, key: str) -> Path:
        """Returns the file of what the job printed, all attempts one after another."""
        return self.work(key) / "log.txt"

    def seconds_spent(self, key: str) -> float:
        """Returns the seconds that the job has taken so far over all attempts, less than a heartbeat short where it was killed; 0
        if not begun."""
        try:
            return float((self.work(key) / SECONDS).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0.0

    def keys(self, unreadable: list[UnreadableError] | None = None) -> list[str]:
        """Returns the keys of all jobs that were ever added, in order.

        Raises UnreadableError for a directory that cannot be listed, or adds it to `unreadable`, if given, and lists the rest.
        """
        keys: list[str] = []
        for stage in list_names(self.root):
            try:
                keys += [name for name in list_names(self.root / stage) if name.startswith(f"{stage}-")]
            except UnreadableError as error:
                if unreadable is None:
                    raise
                unreadable.append(error)
        return keys

    def add(self, job: Job) -> None:
        """Writes `job.json` unless it is there already, or another release's is. Unsynced: a plan can always be made again."""
        path = self.directory(job.key) / "job.json"
        record = {"schema_version": JOB_SCHEMA_VERSION, "key": job.key, **job.to_record()}
        try:
            there = json.loads(path.read_bytes())
            if there == record or there["schema_version"] != JOB_SCHEMA_VERSION:
                return
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, json_text(record))

    def job(self, key: str) -> Job:
        """Reads `job.json`. Raises DamagedError, OtherReleaseError, UnreadableError."""
        return read_job(self.directory(key) / "job.json", key)

    def manifest(self, key: str) -> Manifest | None:
        """Reads the record of a finished job; None for an unfinished one. Raises DamagedError, UnreadableError,
        OtherReleaseError."""
        path = self._manifest_path(key)
        manifest = read_manifest(path)
        if manifest is not None and manifest.key != key:
            raise DamagedError(path, f"belongs to {manifest.key}")
        return manifest

    def state(self, key: str, now: float, *, verify: bool = False) -> State:
        """Returns the job's state by its files; claims are judged at the time `now` of this machine's clock. Trusts `out/` unless
        `verify` (a quick one)."""
        try:
            manifest = self.verify(key, quick=True) if verify else self.manifest(key)
            return self._unfinished_state(key, now) if manifest is None else State(manifest.status)
        except DamagedError:
            return State.DAMAGED
        except (StoreError, OSError):
            return State.UNREADABLE

    def _unfinished_state(self, key: str, now: float) -> State:
        holder = holder_of(self.directory(key))
        if holder is not None and not holder.dead(now + self._clock_offset):
            return State.RUNNING
        if self.error_file(key).exists():
            return State.FAILED
        return State.INTERRUPTED if self.work(key).exists() else State.WAITING

    @cached_property
    def _clock_offset(self) -> float:
        """By how many seconds the file server's clock, which heartbeats go by, is ahead of this machine's. 0 where this user may
        only read, which leaves it unknown."""
        try:
            return server_time(self.root) - time.time()
        except OSError:
            return 0.0

    def verify(self, key: str, *, quick: bool = False, directories: bool = True) -> Manifest | None:
        """Compares `out/`, without its `directories` if so wanted, with the manifest and returns the manifest; `quick` hashes
        small files only. Raises DamagedError, UnreadableError, OtherReleaseError."""
        manifest = self.manifest(key)
        files = {name: record for name, record in (manifest.files if manifest else {}).items() if directories or "/" not in name}
        try:
            damage = find_damage(self.out(key), files, quick=quick)
        except OSError as error:
            raise UnreadableError(self.out(key), error) from None
        if damage:
            raise damage
        return manifest

    def begin(self, key: str, lease_seconds: float = LEASE_SECONDS) -> Attempt | None:
        """Claims an unfinished or damaged job and makes it an empty `out`; None when it is finished, or a live process has it.

        Raises DamagedError, UnreadableError, OtherReleaseError, ClaimLostError; OSError where the old `out` cannot be cleared.
        """
        job = self.job(key)
        claim = acquire(self.directory(key), lease_seconds)
        if claim is None:
            return None
        attempt = None
        try:
            with claim.kept_alive():
                attempt = None if self._finished(key, claim, quick=True) else self._prepare(job, claim)
        finally:
            if attempt is None:
                claim.release()
        return attempt

    def _prepare(self, job: Job, claim: Claim) -> Attempt:
        """Makes the directories of a job that is claimed."""
        key = job.key
        self.work(key).mkdir(exist_ok=True)
        self.error_file(key).unlink(missing_ok=True)
        clear_place(self.out(key))
        for leftover in self.directory(key).glob("out-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # a zombie may be writing there, and it is in nobody's way
        # Filled beside its final place: a zombie goes on writing into its own directory, never into its successor's.
        out = self.directory(key) / f"out-{claim.owner.token}"
        out.mkdir()
        return Attempt(job, claim, self.work(key), out)

    def commit(self, attempt: Attempt, status: str, seconds: float, provenance: Mapping[str, Any]) -> Manifest:
        """Hashes and syncs what the attempt left, and completes the job. Raises ClaimLostError when it was taken over."""
        job, directory = attempt.job, self.directory(attempt.job.key)
        files = record_files(attempt.out)
        manifest = Manifest(job.key, job.stage, job.version, status, files, round(seconds, 3), provenance)
        sync_tree(attempt.out)
        attempt.claim.check()
        self._put_in_place(attempt)
        sync_directory(directory)
        attempt.claim.check()
        write_json(self._manifest_path(job.key), manifest.to_record())
        with suppress(OSError):  # the job is complete: a file server that is away from now on does not make it a failed one
            if attempt.claim.held():
                for name in RESUME_DIRECTORIES:
                    shutil.rmtree(attempt.work / name, ignore_errors=True)
        return manifest

    def _put_in_place(self, attempt: Attempt) -> None:
        """Gives the output its final name. A zombie that woke up between its last check and its rename may have put its own there
        since the job was begun: that goes. Raises ClaimLostError where this process is the zombie."""
        out = self.out(attempt.job.key)
        try:
            attempt.out.replace(out)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if not attempt.claim.held():
                raise ClaimLostError(f"{attempt.job.key}: another process has put its own output in place") from None
            in_the_way = attempt.out.with_name(f"{attempt.out.name}-in-the-way")
            out.replace(in_the_way)  # renamed, not deleted: that takes no time in which the claim could be lost
            attempt.out.replace(out)
            shutil.rmtree(in_the_way, ignore_errors=True)

    def drop(self, key: str, part: str) -> bool:
        """Deletes the directory `part` of a finished job's `out`, and says so in its manifest. False when a live process has the
        job, or it is not finished. Raises DamagedError."""
        with self._claimed(key) as mine:
            manifest = self.manifest(key) if mine else None
            if manifest is None:
                return False
            dropped_files = {name: record for name, record in manifest.files.items() if name.startswith(f"{part}/")}
            if dropped_files:
                kept_files = {name: record for name, record in manifest.files.items() if name not in dropped_files}
                dropped = {**manifest.dropped, part: sum(record.size for record in dropped_files.values())}
                write_json(self._manifest_path(key), replace(manifest, files=kept_files, dropped=dropped).to_record())
            shutil.rmtree(self.out(key) / part, ignore_errors=True)
        return True

    def reopen_without(self, key: str, part: str) -> bool:
        """Declares a complete job that has lost the directory `part` unfinished, so that it is run again, from its start. Returns
        whether it did; not when a live process has the job."""
        if not self.has_lost(key, part):
            return False
        with self._claimed(key) as mine:
            if not mine or not self.has_lost(key, part):
                return False
            self._unfinish(key, "manifest.stripped.json")
        return True

    def reopen(self, key: str) -> bool:
        """Declares a job unfinished that has finished, diverged or failed, so that it is run again, from its start. Its manifest
        is set aside, and the time that it took is forgotten. False when a live process has the job, which is then left alone."""
        if not self.directory(key).exists():
            return True
        with self._claimed(key) as mine:
            if mine:
                if self._manifest_path(key).exists():
                    self._unfinish(key, "manifest.rerun.json")
                self.error_file(key).unlink(missing_ok=True)
                (self.work(key) / SECONDS).unlink(missing_ok=True)
                for name in RESUME_DIRECTORIES:
                    shutil.rmtree(self.work(key) / name, ignore_errors=True)
            return mine is not None

    def has_lost(self, key: str, part: str) -> bool:
        """Tells whether a complete job's directory `part` was dropped."""
        try:
            manifest = self.manifest(key)
        except StoreError:
            return False  # running the job reports it
        return manifest is not None and manifest.status == State.COMPLETE and part in manifest.dropped

    @contextmanager
    def _claimed(self, key: str) -> Iterator[Claim | None]:
        """Claims the job while the context lasts; None if another process has it."""
        claim = acquire(self.directory(key))
        if claim is None:
            yield None
            return
        try:
            with claim.kept_alive():
                yield claim
        finally:
            claim.release()

    def discard_if_damaged(self, key: str) -> None:
        """Compares all of `out/` with the manifest and, unless a live process has the job, declares a damaged one unfinished.
        Raises ClaimLostError."""
        with self._claimed(key) as claim:
            if claim is not None:
                self._finished(key, claim, quick=False)

    def _finished(self, key: str, claim: Claim, *, quick: bool) -> bool:
        """Tells whether the result is there and whole; sets a damaged one aside, but never the fresh result of a process that has
        taken the job over while this one was hashing. Raises ClaimLostError."""
        try:
            return self.verify(key, quick=quick) is not None
        except DamagedError:
            claim.check()
            self._unfinish(key, "manifest.damaged.json")
            return False

    def _unfinish(self, key: str, name: str) -> None:
        """Sets the manifest aside under that name, and forgets the time that the result took, since it will be made from its
        start."""
        self._manifest_path(key).replace(self.directory(key) / name)
        (self.work(key) / SECONDS).unlink(missing_ok=True)

    def _manifest_path(self, key: str) -> Path:
        return self.directory(key) / "manifest.json"
