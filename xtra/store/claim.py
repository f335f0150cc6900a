"""The right to run a job: a file created exclusively, kept alive by a heartbeat, taken over when its owner is gone.

Claims are numbered: `claim-1`, `claim-2`, ... The highest number holds. Taking over a dead claim n means creating n + 1 with
`O_CREAT | O_EXCL`, so of many takers exactly one wins, and the former owner sees that it lost. Needs no server and no clock but
the file server's: a heartbeat sets the file's modification time, and its age is measured against a file written just now.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from pydantic import TypeAdapter, ValidationError

from xtra.store.files import StoreError

LEASE_SECONDS = 120.0
"""A claim without a heartbeat for this long is dead, wherever its owner ran. Four heartbeats fit in."""

CLOCK_STEP_SECONDS = 10.0
"""By how much a process's time of birth may seem to move: the system counts it from the clock as it is set now. That another
process is born with the same pid so soon is unlikely, and would only keep the claim in force until its lease is over."""

_NAME = re.compile(r"claim-(\d+)")


class ClaimLostError(StoreError):
    """Another process took the job over while this one was thought dead; what this one computed is dropped."""


@dataclass(frozen=True)
class Owner:
    """The holder of a claim. `machine` names host, boot and container, so that `pid` is looked up only where it means
    something."""

    token: str
    host: str
    machine: str
    pid: int
    born: float
    lease_seconds: float
    allocation: str | None = None
    """The SLURM job that it runs in, and how often that job was restarted: `123.0`."""

    @classmethod
    def this_process(cls, lease_seconds: float) -> Owner:
        born = psutil.Process().create_time()
        token, allocation = secrets.token_hex(16), _allocation()
        return cls(token, socket.gethostname(), _machine(), os.getpid(), born, lease_seconds, allocation)

    def known_dead(self) -> bool:
        """Tells whether it ran in this container and is gone, or in this SLURM job before a restart. False also when that is not
        known."""
        if _was_requeued(self.allocation, _allocation()):
            return True
        if self.machine != _machine():
            return False
        try:
            process = psutil.Process(self.pid)
            another = abs(process.create_time() - self.born) > CLOCK_STEP_SECONDS
            return bool(another or process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


_OWNER = TypeAdapter(Owner)


@dataclass(frozen=True)
class Holder:
    """The claim in force as an observer sees it. `owner` is None while it is being written, or when it cannot be read."""

    number: int
    owner: Owner | None
    modified: float

    def dead(self, now: float) -> bool:
        """Tells whether the job may be taken over at `now`, a time on the file server's clock."""
        if self.owner is None:
            return now - self.modified > LEASE_SECONDS
        return now - self.modified > self.owner.lease_seconds or self.owner.known_dead()


def _ignore() -> None:
    """Does nothing: for a heartbeat that nobody wants to hear of."""


class Claim:
    """The claim that this process holds on the job in `directory`."""

    def __init__(self, directory: Path, number: int, owner: Owner) -> None:
        self.directory = directory
        self.number = number
        self.owner = owner

    @property
    def path(self) -> Path:
        return self.directory / f"claim-{self.number}"

    def held(self) -> bool:
        """Tells whether the claim in force is still this one."""
        holder = holder_of(self.directory)
        return holder is not None and holder.number == self.number and holder.owner == self.owner

    def check(self) -> None:
        """Raises ClaimLostError when the job was taken over."""
        if not self.held():
            raise ClaimLostError(f"{self.directory.name}: the claim {self.owner.token[:8]} was taken over by another process")

    @contextmanager
    def kept_alive(self, beat: Callable[[], None] = _ignore, lost: Callable[[], None] = _ignore) -> Iterator[None]:
        """Refreshes the lease from a thread and calls `beat` each time; calls `lost` there, once, when the job was taken over.

        A process can stand still for longer than its lease all the same: `check` right before what only the holder may do.
        """
        stop = threading.Event()

        def heartbeat() -> None:
            while not stop.wait(self.owner.lease_seconds / 5):
                with suppress(OSError):  # the file server may be away for a moment; the lease outlasts four misses
                    if not self.held():
                        lost()
                        return
                    os.utime(self.path)
                    beat()

        thread = threading.Thread(target=heartbeat, name="claim-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def release(self) -> None:
        """Gives the job back, unless another process has it by now. Dead predecessors go first: none may be in force again."""
        if not self.held():
            return
        for number in _numbers(self.directory):
            if number < self.number:
                (self.directory / f"claim-{number}").unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def acquire(directory: Path, lease_seconds: float = LEASE_SECONDS) -> Claim | None:
    """Claims the job in `directory` for this process; None when a live process has it."""
    holder = holder_of(directory)
    if holder is not None and not holder.dead(server_time(directory)):
        return None
    number = 1 if holder is None else holder.number + 1
    claim = Claim(directory, number, Owner.this_process(lease_seconds))
    try:
        descriptor = os.open(claim.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(claim.owner), file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        claim.path.unlink(missing_ok=True)  # half a claim would keep everybody out until its lease is over
        raise
    return claim if claim.held() else None


def holder_of(directory: Path) -> Holder | None:
    """Returns the claim in force on the job in `directory`; None when no process has it.

    A number that is listed may be gone: released since then, or kept by an NFS client's stale listing. Lower ones go first in a
    release, so the highest that is there holds.
    """
    for number in sorted(_numbers(directory), reverse=True):
        try:
            # Opening, unlike stat alone, makes an NFS client ask the server for the present modification time.
            with (directory / f"claim-{number}").open("rb") as file:
                text, modified = file.read(), os.fstat(file.fileno()).st_mtime
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                continue
            raise
        try:
            owner = _OWNER.validate_json(text, strict=True)
        except ValidationError:
            owner = None
        return Holder(number, owner, modified)
    return None


def _numbers(directory: Path) -> list[int]:
    try:
        matches = [_NAME.fullmatch(name) for name in os.listdir(directory)]  # noqa: PTH208 - names alone: `status` asks thousands
    except FileNotFoundError:
        return []
    return [int(match[1]) for match in matches if match]


def server_time(directory: Path) -> float:
    """Returns the time on the clock of the file server that has the directory. Raises OSError where no file can be made."""
    probe = directory / f".{secrets.token_hex(8)}.tmp"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _allocation() -> str | None:
    job = os.environ.get("SLURM_JOB_ID")
    return None if job is None else f"{job}.{os.environ.get('SLURM_RESTART_COUNT', '0')}"


def _was_requeued(holder: str | None, own: str | None) -> bool:
    """Tells whether `holder` is an earlier start of our SLURM job: SLURM ends one before it begins the next. A later start is
    none: then it is our own that was ended, and has not noticed."""
    if holder is None or own is None:
        return False
    (job, _, restarts), (own_job, _, own_restarts) = holder.partition("."), own.partition(".")
    known = restarts.isdecimal() and own_restarts.isdecimal()  # a claim's file may hold anything
    return job == own_job and known and int(restarts) < int(own_restarts)


def _machine() -> str:
    """Names this boot of this machine and this container's view of its processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return f"{uuid.getnode():x}"
