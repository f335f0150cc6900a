"""Offline data of one game: whole trajectories one after another, frames compressed, everything else in plain arrays.

    frames.zst, offsets.npy     frames in blocks (frames.py), of one trajectory after another
    final_frames.npz            the frame after each trajectory's last action, see `save_final_frames`
    steps.npz                   per transition, see `Transitions`
    episodes.npz                the seeds and the actions of the games that the trajectories are parts of
    meta.json                   what it is and where it is from; sizes and SHA-256 of the other files
    card.md                     the same for people

Transition i is row i of one column, so a dataset becomes a ReplayBuffer of one environment, and what reads a replay reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from xtra.replay.buffer import ReplayBuffer
from xtra.replay.config import ReplayConfig
from xtra.replay.frames import BlockFrames, FrameStore, RawFrames
from xtra.store.errors import DamagedError
from xtra.store.files import json_text, sha256

SCHEMA_VERSION = 2
"""Raised whenever files of the version before can no longer be read."""
META, CARD, FRAMES, OFFSETS, STEPS, EPISODES = "meta.json", "card.md", "frames.zst", "offsets.npy", "steps.npz", "episodes.npz"
FINAL_FRAMES = "final_frames.npz"
FILL_FRAMES = 1024
"""Frames decoded at a time when all are."""


@dataclass(frozen=True)
class Transitions:
    """T transitions, each array `[T, ...]`.

    actions: ids of ALE's 18. rewards: raw. policies `[T, 18]`, root_values: what the run's search said (uniform and 0 for random
    play). first, last: the first and the last transition of the trajectory. complete: the trajectory ended by itself; else the
    run ended first, and what would have followed is unknown. episodes, episode_steps: the game (a row of `Episodes`) and the
    number of actions taken in it before.
    """

    actions: NDArray[np.int64]
    rewards: NDArray[np.float32]
    policies: NDArray[np.float32]
    root_values: NDArray[np.float32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    complete: NDArray[np.bool_]
    episodes: NDArray[np.int32]
    episode_steps: NDArray[np.int32]


@dataclass(frozen=True)
class Episodes:
    """E games, from their first action to the end of the game or of the run, so that each can be played again.

    seeds: `[E]`. actions: ids, one game after another; game e has actions[starts[e]:starts[e + 1]]. starts: `[E + 1]`.
    """

    seeds: NDArray[np.int64]
    actions: NDArray[np.uint8]
    starts: NDArray[np.int64]


class OfflineData:
    """An opened dataset. Its frames stay on disk until they are read."""

    def __init__(self, directory: Path, meta: dict[str, Any], steps: Transitions, episodes: Episodes) -> None:
        self.directory, self.meta, self.steps, self.episodes = directory, meta, steps, episodes
        self.game: str = meta["environment"]["game"]
        height, width, channels = meta["frame_shape"]
        self.frame_shape: tuple[int, int, int] = (height, width, channels)

    @property
    def num_transitions(self) -> int:
        """All of them, those that are never sampled included."""
        return len(self.steps.actions)

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Raises DamagedError, naming the file, unless all are what meta.json says."""
        meta = _read_meta(directory / META)
        for name, file in meta["files"].items():
            path = directory / name
            if not path.is_file():
                raise DamagedError(path, "it is missing")
            if sha256(path) != file["sha256"]:
                raise DamagedError(path, f"its bytes are not those that {META} tells")
        return cls(directory, meta, Transitions(**_arrays(directory / STEPS)), Episodes(**_arrays(directory / EPISODES)))

    def replay(self, config: ReplayConfig, window: int) -> ReplayBuffer:
        """All transitions as rows of one environment, equally urgent; those of which the next `window` steps are unknown have
        priority 0. Frames are decoded now if they fit `config.frame_memory_gb`, else when they are read."""
        count, steps = self.num_transitions, self.steps
        roomy = config.model_copy(update={"capacity": max(config.capacity, count)})
        frames = self.frames(config.frame_memory_gb * 1e9)
        replay = ReplayBuffer(roomy, 1, self.frame_shape, steps.policies.shape[1], window, count, frames)
        for name in ("actions", "rewards", "policies", "root_values", "first", "last"):
            getattr(replay, name)[:count, 0] = getattr(steps, name)
        replay.priorities[:count, 0] = steps.complete | (np.arange(count) + window <= steps.last)
        replay.num_rows = count
        replay.final_frames.blocks |= {(row, 0): block for row, block in load_final_frames(self.directory / FINAL_FRAMES).items()}
        return replay

    def frames(self, memory_bytes: float) -> FrameStore:
        """Raw frames if they fit into the memory, else compressed ones. The choice never changes what is read."""
        first, offsets = self.steps.first, np.load(self.directory / OFFSETS)
        chunked = BlockFrames(self.directory / FRAMES, offsets, first, self.frame_shape)
        if len(first) * np.prod(self.frame_shape) > memory_bytes:
            return chunked
        raw = RawFrames(len(first), 1, self.frame_shape)
        for start in range(0, len(first), FILL_FRAMES):
            rows = np.arange(start, min(start + FILL_FRAMES, len(first)))
            for row, frame in zip(rows.tolist(), chunked.read(rows, np.zeros_like(rows)), strict=True):
                raw.write(row, frame)
        return raw


def save_arrays(path: Path, arrays: Transitions | Episodes) -> None:
    """As an uncompressed npz, one member per field."""
    np.savez(path, **{field.name: getattr(arrays, field.name) for field in fields(arrays)})


def save_final_frames(path: Path, blocks: Mapping[int, bytes]) -> None:
    """By their trajectories' last transitions. The file: `transitions` `[P]`, `blocks` one after another, `offsets` `[P + 1]`."""
    offsets = np.cumsum([0, *map(len, blocks.values())])
    data = np.frombuffer(b"".join(blocks.values()), np.uint8)
    np.savez(path, transitions=np.array(list(blocks), np.int64), offsets=offsets, blocks=data)


def load_final_frames(path: Path) -> dict[int, bytes]:
    """What `save_final_frames` was given."""
    arrays = _arrays(path)
    data, bounds = arrays["blocks"].tobytes(), pairwise(arrays["offsets"].tolist())
    return {row: data[start:end] for row, (start, end) in zip(arrays["transitions"].tolist(), bounds, strict=True)}


def seal(directory: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """Writes meta.json, with size and SHA-256 of the files that are there; returns it."""
    names = (FRAMES, OFFSETS, FINAL_FRAMES, STEPS, EPISODES)
    files = {name: {"bytes": (directory / name).stat().st_size, "sha256": sha256(directory / name)} for name in names}
    meta = {"schema_version": SCHEMA_VERSION, **meta, "files": files}
    (directory / META).write_text(json_text(meta))
    return meta


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DamagedError(path, f"it cannot be read ({error})") from error
    if meta.get("schema_version") != SCHEMA_VERSION:
        raise DamagedError(path, f"its schema_version is {meta.get('schema_version')}, this version reads {SCHEMA_VERSION}")
    return meta


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as file:
        return dict(file)
