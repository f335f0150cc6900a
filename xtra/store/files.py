"""Files that are either whole or absent, at whatever moment the process, the machine or the file server dies, and the errors that
are raised where one is not as it was left. Each message says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

TEMPORARY_SUFFIX = ".tmp"
"""Suffix of files being written; one left behind by a kill is never read."""

SECONDS_FILE = "measured_seconds.json"
"""The one file of a job's output that depends on the machine's speed: the seconds that its parts took."""


class StoreError(Exception):
    """The base of the store's errors. Its message says what is wrong, where, and the remedy."""


class DamagedError(StoreError):
    """A file of the store is missing, truncated or altered."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}; `xtra-bench run` computes it again")
        self.path = path
        self.fault = fault


class UnreadableError(StoreError):
    """A file or directory of the store is there and cannot be read: most often a colleague's, made with a strict umask."""

    def __init__(self, path: Path, error: OSError) -> None:
        at = Path(error.filename) if isinstance(error.filename, str) else path
        super().__init__(f"{at}: cannot be read ({error.strerror}); its owner can make it readable (chmod -R a+rX)")
        self.path = at


class OtherReleaseError(StoreError):
    """A record of the store is whole, and another release of xtra-bench wrote it: it is neither read nor made again."""

    def __init__(self, path: Path, version: object, own_version: int) -> None:
        there = f"has schema version {version}, and this release of xtra-bench reads {own_version}"
        super().__init__(f"{path}: {there}; use the release that wrote it, or another results directory (--results)")


def write_durably(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Puts what `write` writes at `path`, replacing what was there: temporary file, fsync, rename, fsync of the directory."""
    temporary = write_temporary(path.parent, write)
    move_durably(temporary, path)


def write_temporary(directory: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Writes a new, synced file in `directory` with what `write` writes; the caller renames it. Removed if `write` raises."""
    temporary = directory / f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def move_durably(source: Path, target: Path) -> None:
    """Renames within one file system and makes the new name survive a power cut."""
    source.replace(target)
    sync_directory(target.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with sorted keys by `write_durably`. Raises ValueError for NaN and infinity."""
    write_durably(path, lambda file: file.write(json_text(value).encode()))


def write_text_atomically(path: Path, text: str) -> None:
    """Replaces `path` in one step, unsynced: for files that can be made again, in plans of thousands of jobs."""
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def json_text(value: Any) -> str:
    """Returns indented JSON with sorted keys. Raises ValueError for NaN and infinity."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def sync_directory(directory: Path) -> None:
    """Flushes the names in a directory, or the bytes of a file, to disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Flushes a directory and everything in it to disk."""
    for path in (directory, *directory.rglob("*")):
        sync_directory(path)


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clear_place(path: Path) -> None:
    """Removes a directory with all that is in it, or a link to one that lies on another disk. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def list_names(directory: Path) -> list[str]:
    """Lists a directory's names, in order; none where there is no directory. Raises UnreadableError."""
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names alone: a store holds thousands
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UnreadableError(directory, error) from None
