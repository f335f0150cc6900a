"""The whole replay of a run as it is left on disk: segments, and one small file with the facts that they do not hold.

It is read row by row, never whole, since all that a run saw may not fit in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xtra.config import Config
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.frames import decompress_frames
from xtra.replay.segments import COLUMNS, Segment, iter_frames, load_segment
from xtra.store.files import DamagedError, sha256

FILE = "meta.json"
"""Name of that file, beside the segments."""


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
