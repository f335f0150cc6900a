"""The record that completes a job: what it left, file by file, and what made it. Without a manifest there is no result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xtra.store.files import DamagedError, OtherReleaseError, UnreadableError, sha256
from xtra.store.job import digest

SCHEMA_VERSION = 1
"""Incremented when a field changes meaning; other versions are refused with OtherReleaseError."""

SMALL_FILE = 1 << 20
"""Bytes up to which a quick check hashes a file, not only looks at its size."""


@dataclass(frozen=True)
class FileRecord:
    """A file below `out/`."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """`status` is "complete", or "diverged" for a run whose loss left the finite numbers (it has no score, and is not retried).

    seconds: time spent on the job, interrupted attempts included.  provenance: hardware, package versions, commit of the code.
    dropped: directories of `out` that were given up later to free room, and the bytes they had; no longer among `files`.
    """

    key: str
    stage: str
    version: int
    status: str
    files: Mapping[str, FileRecord]
    seconds: float
    provenance: Mapping[str, Any]
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that the job left, dropped ones included."""
        return sum(file.size for file in self.files.values()) + sum(self.dropped.values())

    def to_record(self) -> dict[str, Any]:
        """Returns JSON data; `checksum` is over everything else in it."""
        record = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        if not self.dropped:
            del record["dropped"]  # so that an older release, in the snapshot of a queued job, can read it
        return record | {"checksum": digest(record)}


def read_manifest(path: Path) -> Manifest | None:
    """Reads a manifest; None when there is none.

    Raises DamagedError when it is truncated or altered, UnreadableError when it cannot be read, OtherReleaseError when it is of
    another schema.
    """
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(path, error) from None
    except (ValueError, RecursionError):
        raise DamagedError(path, "is not JSON (truncated?)") from None
    if not _matches_its_checksum(record):
        raise DamagedError(path, "does not match its own checksum")
    version = record.pop("schema_version")
    if version != SCHEMA_VERSION:
        raise OtherReleaseError(path, version, SCHEMA_VERSION)
    files = {name: FileRecord(**entry) for name, entry in record.pop("files").items()}
    return Manifest(files=files, **record)


def _matches_its_checksum(record: Any) -> bool:
    """Takes the checksum out of the record, and compares it. What was never written here may hold what has no canonical JSON."""
    try:
        return isinstance(record, dict) and record.pop("checksum", None) == digest(record)
    except (ValueError, RecursionError):
        return False


def record_files(out: Path) -> dict[str, FileRecord]:
    """Hashes every file below `out`, by path relative to it."""
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): FileRecord(sha256(path), path.stat().st_size) for path in files}


def find_damage(out: Path, files: Mapping[str, FileRecord], *, quick: bool = False) -> DamagedError | None:
    """Returns the first file that is missing or altered. `quick`: files above SMALL_FILE are compared by size alone."""
    for name, record in files.items():
        path = out / name
        if not path.is_file():
            return DamagedError(path, "is missing")
        if path.stat().st_size != record.size:
            return DamagedError(path, f"has {path.stat().st_size} bytes instead of {record.size}")
        if not (quick and record.size > SMALL_FILE) and sha256(path) != record.sha256:
            return DamagedError(path, "does not match its checksum")
    return None
