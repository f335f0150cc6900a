"""A replay on disk: its rows in immutable segments, each written once, frames losslessly compressed.

A checkpoint of a long run must not write gigabytes again and again. What never changes once a row is complete (frames, actions,
rewards, policies, values) goes to segments; what changes (priorities, ends of trajectories) is small and goes into the
checkpoint. A finished run leaves its segments: datasets are made from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xtra.replay.buffer import ReplayBuffer
from xtra.replay.frames import BLOCK_FRAMES, compress_frames, decompress_frames
from xtra.store.files import DamagedError, move_durably, sha256, write_temporary

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


KEPT_TAILS = 3
"""Tails on disk: those of two checkpoints, and of the one being written."""


class ReplayLog:
    """The segments of one replay under `directory`, in order, without gaps. A row must be written
    before the replay overwrites it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.segments: list[Segment] = []
        self._tails: list[Segment] = []

    def extend(self, replay: ReplayBuffer) -> None:
        """Writes the rows added since the last call as a new segment. Raises ValueError if some are overwritten already."""
        if self._end_row < replay.num_rows:
            self.segments.append(self._write(replay))

    def write_tail(self, replay: ReplayBuffer) -> list[str]:
        """Writes the rows that no segment holds yet to a file of their own, for one checkpoint: when checkpoints come must not
        change which segments a run leaves. Returns that file's name, or nothing if there are no such rows."""
        if self._end_row == replay.num_rows:
            return []
        tail = self._write(replay)
        self._tails = [*(known for known in self._tails if known != tail), tail]
        for old in self._tails[:-KEPT_TAILS]:
            (self.directory / old.name).unlink(missing_ok=True)
        del self._tails[:-KEPT_TAILS]
        return [tail.name]

    @property
    def _end_row(self) -> int:
        return self.segments[-1].end_row if self.segments else 0

    def _write(self, replay: ReplayBuffer) -> Segment:
        """Writes every row since the last segment."""
        first_row = self._end_row
        if first_row < replay.oldest_row:
            raise ValueError(f"rows {first_row} to {replay.oldest_row - 1} are overwritten and were never written down")
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = write_temporary(self.directory, lambda file: _write(file, replay, first_row))
        name = f"rows-{first_row:09d}-{replay.num_rows:09d}-{sha256(temporary)}"
        move_durably(temporary, self.directory / name)
        return Segment(name)

    def load(self, names: list[str], replay: ReplayBuffer, tail: Sequence[str] = ()) -> None:
        """Fills an empty replay's frames and fixed columns from segments, and from what `write_tail` wrote after them.

        Raises DamagedError when a file is missing or not what its name says.
        """
        self.segments = [Segment(name) for name in names]
        self._tails = [Segment(name) for name in tail]
        for segment in [*self.segments, *self._tails]:
            path = self.directory / segment.name
            if not path.is_file() or sha256(path) != segment.sha256:
                raise DamagedError(path, "it is missing, or its bytes are not those its name tells")
            with path.open("rb") as file:
                _read(file, replay, segment)


def _write(file: BinaryIO, replay: ReplayBuffer, first_row: int) -> None:
    rows = np.arange(first_row, replay.num_rows)
    blocks = list(_compress(replay, rows))
    save_blocks(file, blocks)
    slots = replay.slots(rows)
    for name in COLUMNS:
        np.save(file, getattr(replay, name)[slots])
    kept = replay.final_frames.blocks
    places = [(row, env) for row in range(len(rows)) for env in range(replay.num_envs) if (int(slots[row]), env) in kept]
    np.save(file, np.array(places, np.int64).reshape(-1, 2))
    save_blocks(file, [kept[int(slots[row]), env] for row, env in places])


def save_blocks(file: BinaryIO, blocks: Sequence[bytes]) -> None:
    """Blocks of frames as two arrays: where each begins, and the end; all of them."""
    np.save(file, np.cumsum([0, *map(len, blocks)]))
    np.save(file, np.frombuffer(b"".join(blocks), np.uint8))


def load_blocks(file: BinaryIO) -> list[bytes]:
    """Returns what `save_blocks` wrote."""
    offsets, data = np.load(file).tolist(), np.load(file).tobytes()
    return [data[start:end] for start, end in pairwise(offsets)]


def _compress(replay: ReplayBuffer, rows: NDArray[np.int64]) -> Iterator[bytes]:
    for start in range(0, len(rows), BLOCK_FRAMES):
        chunk = replay.slots(rows[start : start + BLOCK_FRAMES])
        for env in range(replay.num_envs):
            yield compress_frames(replay.frames.read(chunk, np.full(len(chunk), env)))


def _read(file: BinaryIO, replay: ReplayBuffer, segment: Segment) -> None:
    content, slots = load_segment(file), replay.slots(np.arange(segment.first_row, segment.end_row))
    for slot, frames in zip(slots.tolist(), iter_frames(content, replay.num_envs, replay.frame_shape), strict=True):
        replay.frames.write(slot, frames)
    for name, column in content.columns.items():
        getattr(replay, name)[slots] = column
    for (row, env), block in content.final_blocks.items():
        replay.final_frames.blocks[int(slots[row]), env] = block


class SegmentContent(NamedTuple):
    """The content of a segment's file: R rows of N environments."""

    blocks: list[bytes]
    """The frames: for each 16 rows, a block of each environment."""
    columns: dict[str, NDArray[Any]]
    """`COLUMNS`, each `[R, N, ...]`."""
    final_blocks: dict[tuple[int, int], bytes]
    """The frame after each trajectory's last action, by the action's row (from the segment's first on) and environment."""


def load_segment(file: BinaryIO) -> SegmentContent:
    """Reads a segment's file; its frames stay compressed."""
    blocks = load_blocks(file)
    columns = {name: np.load(file) for name in COLUMNS}
    places = [(row, env) for row, env in np.load(file).tolist()]
    return SegmentContent(blocks, columns, dict(zip(places, load_blocks(file), strict=True)))


def iter_frames(content: SegmentContent, num_envs: int, frame_shape: tuple[int, int, int]) -> Iterator[NDArray[np.uint8]]:
    """Yields a segment's rows in order, each `[N, H, W, C]`; 16 are decoded at a time."""
    for start in range(0, len(content.blocks), num_envs):
        block_rows = [decompress_frames(block, frame_shape) for block in content.blocks[start : start + num_envs]]
        yield from np.stack(block_rows, axis=1)
