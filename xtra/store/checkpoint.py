"""Checkpoints of a running job: atomic, checksummed, the previous good one kept until the next is on disk.

A checkpoint's name holds its step and the SHA-256 of its bytes, so one rename makes file and checksum appear together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from xtra.store.files import TEMPORARY_SUFFIX, move_durably, sha256, write_temporary

CHECKPOINTS = "checkpoints"
"""The directory in a job's `work/` that its checkpoints are in."""
REFUSED_CHECKPOINTS = "checkpoints-refused"
"""The one beside it for those of which none could be restored."""

_NAME = re.compile(r"step-(\d{12,})-([0-9a-f]{64})")


class _Checkpoint(NamedTuple):
    step: int
    sha256: str
    path: Path


class Checkpoints:
    """The last `keep` checkpoints under `directory`, which is created on the first save. One process writes at a time."""

    def __init__(self, directory: Path, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep={keep}: at least one checkpoint must be kept")
        self.directory = directory
        self.keep = keep

    def save(self, step: int, write: Callable[[BinaryIO], object]) -> Path:
        """Stores what `write` writes as the newest checkpoint, then prunes. Returns its path.

        Checkpoints of `step` and later are pruned too: a run that went back past a damaged one has abandoned them.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = write_temporary(self.directory, write)
        path = self.directory / f"step-{step:012d}-{sha256(temporary)}"
        move_durably(temporary, path)
        self._prune(step, path)
        return path

    def load_latest(self) -> tuple[int, Path] | None:
        """Returns step and path of the newest checkpoint whose bytes have the recorded checksum; None when there is none."""
        return next(self.good(), None)

    def good(self) -> Iterator[tuple[int, Path]]:
        """Yields step and path of each checkpoint whose bytes have the recorded checksum, the newest first."""
        for checkpoint in self._newest_first():
            if sha256(checkpoint.path) == checkpoint.sha256:
                yield checkpoint.step, checkpoint.path

    def _prune(self, step: int, newest: Path) -> None:
        earlier = [checkpoint.path for checkpoint in self._newest_first() if checkpoint.step < step]
        kept = {newest, *earlier[: self.keep - 1]}
        for path in self.directory.iterdir():
            if path not in kept and (_NAME.fullmatch(path.name) or path.name.endswith(TEMPORARY_SUFFIX)):
                path.unlink(missing_ok=True)

    def _newest_first(self) -> list[_Checkpoint]:
        if not self.directory.is_dir():
            return []
        matches = ((_NAME.fullmatch(path.name), path) for path in self.directory.iterdir())
        checkpoints = [_Checkpoint(int(match[1]), match[2], path) for match, path in matches if match]
        return sorted(checkpoints, reverse=True)
