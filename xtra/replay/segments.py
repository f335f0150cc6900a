"""A replay on disk: its rows in immutable segments, each written once, frames losslessly compressed.

A checkpoint of a long run must not write gigabytes again and again. What never changes once a row is complete (frames, actions,
rewards, policies, values) goes to segments; what changes (priorities, ends of trajectories) is small and goes into the
checkpoint. A finished run leaves its segments: datasets are made from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import zstandard
from numpy.typing import NDArray

from xtra.replay.buffer import ReplayBuffer
from xtra.store.errors import DamagedError
from xtra.store.files import move_durably, sha256, write_temporary

CHUNK_ROWS = 16
"""Consecutive frames of one environment in one zstd block: neighbours are alike, so a block is a tenth of separate frames."""
ZSTD_LEVEL = 3
COLUMNS = ("actions", "rewards", "policies", "root_values", "first")
"""Arrays of the replay that are fixed once a row is written, in the file's order."""
_NAME = re.compile(r"rows-(\d{9})-(\d{9})-([0-9a-f]{64})")


@dataclass(frozen=True)
class Segment:
    """Rows `first_row` up to, not including, `end_row`, in the file `name`, whose SHA-256 is part of the name."""

    name: str

    @property
    def first_row(self) -> int:
        return int(self._parts()[1])

    @property
    def end_row(self) -> int:
        return int(self._parts()[2])

    @property
    def sha256(self) -> str:
        return self._parts()[3]

    def _parts(self) -> re.Match[str]:
        match = _NAME.fullmatch(self.name)
        if match is None:
            raise ValueError(f"{self.name!r} is not the name of a replay segment")
        return match


class ReplayLog:
    """The segments of one replay under `directory`, in order, without gaps. A row must be written
    before the replay overwrites it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.segments: list[Segment] = []

    def extend(self, replay: ReplayBuffer) -> None:
        """Writes the rows added since the last call as a new segment. Raises ValueError if some are overwritten already."""
        first_row = self.segments[-1].end_row if self.segments else 0
        if first_row == replay.num_rows:
            return
        if first_row < replay.oldest_row:
            raise ValueError(f"rows {first_row} to {replay.oldest_row - 1} are overwritten and were never written down")
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = write_temporary(self.directory, lambda file: _write(file, replay, first_row))
        name = f"rows-{first_row:09d}-{replay.num_rows:09d}-{sha256(temporary)}"
        move_durably(temporary, self.directory / name)
        self.segments.append(Segment(name))

    def load(self, names: list[str], replay: ReplayBuffer) -> None:
        """Fills an empty replay's frames and fixed columns. Raises DamagedError when a segment is missing or not what its name
        says."""
        self.segments = [Segment(name) for name in names]
        for segment in self.segments:
            path = self.directory / segment.name
            if not path.is_file() or sha256(path) != segment.sha256:
                raise DamagedError(path, "it is missing, or its bytes are not those its name tells")
            with path.open("rb") as file:
                _read(file, replay, segment)


def _write(file: BinaryIO, replay: ReplayBuffer, first_row: int) -> None:
    rows = np.arange(first_row, replay.num_rows)
    blocks = list(_compress(replay, rows))
    np.save(file, np.cumsum([0, *map(len, blocks)]))
    np.save(file, np.frombuffer(b"".join(blocks), np.uint8))
    slots = replay.slots(rows)
    for name in COLUMNS:
        np.save(file, getattr(replay, name)[slots])


def _compress(replay: ReplayBuffer, rows: NDArray[np.int64]) -> Iterator[bytes]:
    compress = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = replay.slots(rows[start : start + CHUNK_ROWS])
        for env in range(replay.num_envs):
            yield compress(replay.frames.read(chunk, np.full(len(chunk), env)).tobytes())


def _read(file: BinaryIO, replay: ReplayBuffer, segment: Segment) -> None:
    slots = replay.slots(np.arange(segment.first_row, segment.end_row))
    for slot, frames in zip(slots.tolist(), iter_frames(file, segment, replay.num_envs, replay.frame_shape), strict=True):
        replay.frames.write(slot, frames)
    for name, column in _load_columns(file).items():
        getattr(replay, name)[slots] = column


def iter_frames(
    file: BinaryIO, segment: Segment, num_envs: int, frame_shape: tuple[int, int, int]
) -> Iterator[NDArray[np.uint8]]:
    """A segment's rows in order, each `[num_envs, H, W, C]`, a chunk decoded at a time."""
    offsets, data = np.load(file), np.load(file).tobytes()
    decompress = zstandard.ZstdDecompressor().decompress
    num_rows, block = segment.end_row - segment.first_row, 0
    for start in range(0, num_rows, CHUNK_ROWS):
        chunk = np.empty((min(CHUNK_ROWS, num_rows - start), num_envs, *frame_shape), np.uint8)
        for env in range(num_envs):
            raw = decompress(data[offsets[block] : offsets[block + 1]])
            chunk[:, env] = np.frombuffer(raw, np.uint8).reshape(len(chunk), *frame_shape)
            block += 1
        yield from chunk


def read_columns(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """A segment's fixed columns, each `[rows, num_envs, ...]`."""
    for _ in range(2):
        np.load(file)  # what frames are made from
    return _load_columns(file)


def _load_columns(file: BinaryIO) -> dict[str, NDArray[Any]]:
    return {name: np.load(file) for name in COLUMNS}
