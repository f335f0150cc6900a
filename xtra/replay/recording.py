"""A replay on disk: its rows in immutable segments, each written once, frames losslessly compressed; and, of a run that is over,
one small file with the facts that segments do not hold.

A checkpoint of a long run must not write gigabytes again and again. What never changes once a row is complete (frames, actions,
rewards, policies, values) goes to segments; what changes (priorities, ends of trajectories) is small and goes into the
checkpoint. Datasets are made from what a finished run leaves. It is read row by row, never whole, since all that a run saw may
not fit in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xtra.config import Config
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.frames import BLOCK_FRAMES, compress_frames, decompress_frames
from xtra.store.files import DamagedError, move_durably, sha256, write_temporary

COLUMNS = ("actions", "rewards", "policies", "root_values", "first")
"""Arrays of the replay that are fixed once a row is written, in the file's order."""
FILE = "meta.json"
"""Name of that small file, beside the segments."""
KEPT_TAILS = 3
"""Tails on disk: those of two checkpoints, and of the one being written."""
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

        Raises DamagedError, with nothing changed, when a file is missing or not what its name says.
        """
        segments, tails = [Segment(name) for name in names], [Segment(name) for name in tail]
        for segment in [*segments, *tails]:
            path = self.directory / segment.name
            if not path.is_file() or sha256(path) != segment.sha256:
                raise DamagedError(path, "it is missing, or its bytes are not those its name tells")
        for segment in [*segments, *tails]:
            with (self.directory / segment.name).open("rb") as file:
                _read(file, replay, segment)
        self.segments, self._tails = segments, tails


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
        replay.final_frames.forget(slot, replay.num_envs)
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


@dataclass(frozen=True)
class RecordingMeta:
    """The facts that a replay's segments do not hold.

    environment: the configuration of the game as the run saw it. seed: of the run. open_rows: for each environment, where the
    trajectory that the end of the run cut begins; `num_rows` if none was cut. episode_ends: (row, environment) of the last step
    of each game that ended, in order; where lost lives end trajectories these are fewer than the trajectories' ends.
    """

    environment: dict[str, Any]
    seed: int
    num_envs: int
    num_rows: int
    open_rows: list[int]
    episode_ends: list[tuple[int, int]]

    def save(self, directory: Path) -> None:
        """Writes the file beside the segments."""
        (directory / FILE).write_text(json.dumps(asdict(self)))


def recording_meta(
    replay: ReplayBuffer, environment: Config, seed: int, episode_ends: Sequence[tuple[int, int]]
) -> RecordingMeta:
    """Describes the replay of a run that is over."""
    return RecordingMeta(
        environment=environment.model_dump(mode="json"),
        seed=seed,
        num_envs=replay.num_envs,
        num_rows=replay.num_rows,
        open_rows=replay.state()["start"].tolist(),
        episode_ends=list(episode_ends),
    )


class SeenRow(NamedTuple):
    """The frames of N environments at one step. frames: `[N, H, W, C]`, before the actions. final_frames: by environment, `[H, W,
    C]`, after actions that ended a trajectory."""

    frames: NDArray[np.uint8]
    final_frames: Mapping[int, NDArray[np.uint8]]


class Trajectory(NamedTuple):
    """Rows `first` to `last`, both included, of one environment. complete: it ended by itself, not with the run."""

    env: int
    first: int
    last: int
    complete: bool

    @property
    def num_transitions(self) -> int:
        return self.last - self.first + 1


class Recording:
    """The replay that a finished run left in `directory`. Raises DamagedError where a file is missing or altered."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        path = directory / FILE
        if not path.is_file():
            raise DamagedError(path, "it is missing")
        fields = json.loads(path.read_text())
        self.meta = RecordingMeta(**fields | {"episode_ends": [(row, env) for row, env in fields["episode_ends"]]})
        self._segments = [Segment(path.name) for path in sorted(directory.glob("rows-*"))]
        bounds = [0, *(segment.end_row for segment in self._segments)]
        if bounds != [*(segment.first_row for segment in self._segments), self.meta.num_rows]:
            raise DamagedError(directory, f"its segments do not hold the rows 0 to {self.meta.num_rows - 1} once each")

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """The fixed columns, with all rows: `[num_rows, num_envs, ...]` each."""
        parts = []
        for segment in self._segments:
            path = self._directory / segment.name
            if sha256(path) != segment.sha256:
                raise DamagedError(path, "its bytes are not those its name tells")
            with path.open("rb") as file:
                parts.append(load_segment(file).columns)
        return {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}

    def rows(self, frame_shape: tuple[int, int, int]) -> Iterator[SeenRow]:
        """Yields the frames that were seen, row by row."""
        for segment in self._segments:
            with (self._directory / segment.name).open("rb") as file:
                content = load_segment(file)
            final_frames: dict[int, dict[int, NDArray[np.uint8]]] = {}
            for (row, env), block in content.final_blocks.items():
                final_frames.setdefault(row, {})[env] = decompress_frames(block, frame_shape)[0]
            for row, frames in enumerate(iter_frames(content, self.meta.num_envs, frame_shape)):
                yield SeenRow(frames, final_frames.get(row, {}))

    def trajectories(self) -> list[Trajectory]:
        """Returns all trajectories, in the order of their last rows."""
        trajectories = []
        for env, open_row in enumerate(self.meta.open_rows):
            starts = np.unique(self.columns["first"][:, env]).tolist()
            ends = [*(start - 1 for start in starts[1:]), self.meta.num_rows - 1]
            trajectories += [Trajectory(env, first, last, first != open_row) for first, last in zip(starts, ends, strict=True)]
        return sorted(trajectories, key=lambda trajectory: (trajectory.last, trajectory.env))
