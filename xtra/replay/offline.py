"""Offline data of one game, written and read: whole trajectories one after another, frames compressed, the rest in plain arrays.

    frames.zst, offsets.npy     frames in blocks (frames.py), of one trajectory after another
    final_frames.npz            the frame after each trajectory's last action, see `save_final_frames`
    steps.npz                   per transition, see `Transitions`
    episodes.npz                the seeds and the actions of the games that the trajectories are parts of
    meta.json                   what it is and where it is from; sizes and SHA-256 of the other files
    card.md                     the same for people

Transition i is row i of one column, so a dataset becomes a ReplayBuffer of one environment, and what reads a replay reads it.
Writing streams: in memory are only the frames of running trajectories, compressed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from xtra.replay.buffer import ReplayBuffer
from xtra.replay.config import ReplayConfig
from xtra.replay.frames import BlockEncoder, BlockFrames, FrameStore, RawFrames, compress_frames
from xtra.replay.npz import write_npz
from xtra.replay.recording import Recording, SeenRow, Trajectory
from xtra.store.files import DamagedError, json_text, sha256

SCHEMA_VERSION = 2
"""Raised whenever files of the version before can no longer be read."""
PARTS = ("first third", "second third", "last third")
META, CARD, FRAMES, OFFSETS, STEPS, EPISODES = "meta.json", "card.md", "frames.zst", "offsets.npy", "steps.npz", "episodes.npz"
FINAL_FRAMES = "final_frames.npz"
FILL_FRAMES = 1024
"""Frames decoded at a time when all are."""
EpisodeSeed = Callable[[int, int], int]
"""(environment, its episode number) to the seed of that game."""


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
        """Number of all transitions, those that are never sampled included."""
        return len(self.steps.actions)

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Opens the dataset in a directory. Raises DamagedError, naming the file, unless every file is as meta.json describes
        it."""
        meta = _read_meta(directory / META)
        for name, file in meta["files"].items():
            path = directory / name
            if not path.is_file():
                raise DamagedError(path, "it is missing")
            if sha256(path) != file["sha256"]:
                raise DamagedError(path, f"its bytes are not those that {META} tells")
        return cls(directory, meta, Transitions(**_arrays(directory / STEPS)), Episodes(**_arrays(directory / EPISODES)))

    def replay(self, config: ReplayConfig, window: int) -> ReplayBuffer:
        """Makes a replay of one environment that holds all transitions as rows, with equal priorities; those whose next `window`
        steps are unknown have priority 0. Frames are decoded now if they fit `config.frame_memory_gb`, else when they are
        read."""
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
        """Returns a store of raw frames if they fit into the memory, else of compressed ones. The choice never changes what is
        read."""
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
    """Saves an uncompressed npz, one member per field."""
    write_npz(path, {field.name: getattr(arrays, field.name) for field in fields(arrays)})


def save_final_frames(path: Path, blocks: Mapping[int, bytes]) -> None:
    """Saves final frames by their trajectories' last transitions.

    The file holds `transitions` `[P]`, `blocks` one after another, and `offsets` `[P + 1]`.
    """
    offsets = np.cumsum([0, *map(len, blocks.values())])
    data = np.frombuffer(b"".join(blocks.values()), np.uint8)
    write_npz(path, {"transitions": np.array(list(blocks), np.int64), "offsets": offsets, "blocks": data})


def load_final_frames(path: Path) -> dict[int, bytes]:
    """Returns what `save_final_frames` was given."""
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


def write_trajectories(
    directory: Path,
    recording: Recording,
    chosen: Sequence[Trajectory],
    seen: Iterable[SeenRow],
    episode_seed: EpisodeSeed,
) -> Transitions:
    """Writes all files of a dataset but meta.json and the card. chosen: in the order of their last rows. seen: the run's rows
    from the first on, in any view."""
    offsets, final_blocks = _write_frames(directory / FRAMES, chosen, seen)
    np.save(directory / OFFSETS, offsets)
    save_final_frames(directory / FINAL_FRAMES, final_blocks)
    episodes, numbers, starts = _episodes(recording, chosen, episode_seed)
    steps = _steps(recording, chosen, numbers, starts)
    save_arrays(directory / EPISODES, episodes)
    save_arrays(directory / STEPS, steps)
    return steps


def _write_frames(
    path: Path, chosen: Sequence[Trajectory], seen: Iterable[SeenRow]
) -> tuple[NDArray[np.int64], dict[int, bytes]]:
    """Returns where each block begins, and the end; and the final frames by their trajectory's last transition. Trajectories are
    written as they end, which is their order."""
    starting = {(trajectory.first, trajectory.env): trajectory for trajectory in chosen}
    running: dict[int, tuple[Trajectory, BlockEncoder]] = {}
    offsets, num_transitions = [0], 0
    final_blocks: dict[int, bytes] = {}
    with path.open("wb") as file:
        for row, (frames, final_frames) in enumerate(islice(seen, chosen[-1].last + 1)):
            for env, frame in enumerate(frames):
                if trajectory := starting.get((row, env)):
                    running[env] = (trajectory, BlockEncoder())
                if env not in running:
                    continue
                trajectory, encoder = running[env]
                encoder.add(frame)
                if row == trajectory.last:
                    del running[env]
                    num_transitions += trajectory.num_transitions
                    if env in final_frames:
                        final_blocks[num_transitions - 1] = compress_frames(final_frames[env])
                    for block in encoder.finish():
                        file.write(block)
                        offsets.append(offsets[-1] + len(block))
    return np.array(offsets, np.int64), final_blocks


def _steps(recording: Recording, chosen: Sequence[Trajectory], episodes: list[int], episode_starts: list[int]) -> Transitions:
    lengths = np.array([trajectory.num_transitions for trajectory in chosen])
    rows = np.concatenate([np.arange(trajectory.first, trajectory.last + 1) for trajectory in chosen])
    envs = np.repeat([trajectory.env for trajectory in chosen], lengths)
    ends = np.cumsum(lengths)
    columns = {name: recording.columns[name][rows, envs] for name in ("actions", "rewards", "policies", "root_values")}
    return Transitions(
        **columns,
        first=np.repeat(ends - lengths, lengths),
        last=np.repeat(ends - 1, lengths),
        complete=np.repeat([trajectory.complete for trajectory in chosen], lengths),
        episodes=np.repeat(np.array(episodes, np.int32), lengths),
        episode_steps=(rows - np.repeat(episode_starts, lengths)).astype(np.int32),
    )


def _episodes(
    recording: Recording, chosen: Sequence[Trajectory], episode_seed: EpisodeSeed
) -> tuple[Episodes, list[int], list[int]]:
    """Returns the games that the trajectories are parts of; and for each trajectory its game's place among them, and the game's
    first row."""
    meta, actions = recording.meta, recording.columns["actions"]
    ends = [[row for row, env in meta.episode_ends if env == column] for column in range(meta.num_envs)]
    places: dict[tuple[int, int], int] = {}
    seeds, played = [], []
    numbers, starts = [], []
    for trajectory in chosen:
        env = trajectory.env
        episode = int(np.searchsorted(ends[env], trajectory.first))
        bounds = [-1, *ends[env], meta.num_rows - 1]
        first, last = bounds[episode] + 1, bounds[episode + 1]
        if (env, episode) not in places:
            places[env, episode] = len(places)
            seeds.append(episode_seed(env, episode))
            played.append(actions[first : last + 1, env].astype(np.uint8))
        numbers.append(places[env, episode])
        starts.append(first)
    offsets = np.cumsum([0, *map(len, played)])
    return Episodes(np.array(seeds, np.int64), np.concatenate(played), offsets), numbers, starts


def card_text(meta: dict[str, Any], steps: Transitions) -> str:
    """Writes the card in Markdown. meta: as `seal` returned it."""
    environment, source, counts = meta["environment"], meta["source"], meta["counts"]
    who = "uniformly random play" if source["policy"] == "random" else "an agent while it learned the game"
    view = "rendered by exact replay of its actions" if source["rendered"] else "as the run saw it"
    height, width, channels = meta["frame_shape"]
    life = "a lost life or the game's end" if environment["life_loss_terminal"] else "the game's end"
    size = sum(file["bytes"] for file in meta["files"].values())
    lines = [
        f"# Offline data of {environment['game']}",
        "",
        f"{counts['transitions']:,} transitions in {counts['trajectories']:,} whole trajectories of {counts['episodes']:,} "
        f"games, played by {who} (seed {source['seed']}, "
        f"{source['env_steps']:,} env steps in {source['num_envs']} environments).",
        "",
        f"- Observations: {height}x{width} pixels, {channels} channel{'s' * (channels > 1)}, lossless, {view}.",
        f"- Rewards: raw. A trajectory ends with {life}, or with the run ({counts['incomplete']} of them).",
        f"- Part of the run: {meta['data']['part']}, "
        + ("everything." if meta["data"]["transitions"] is None else f"{meta['data']['transitions']:,} transitions asked for."),
        f"- Size: {size / 1e6:.1f} MB; frames alone {meta['files']['frames.zst']['bytes'] / counts['transitions']:.0f} B each.",
        "- Made with " + ", ".join(f"{name} {version}" for name, version in meta["versions"].items()) + ".",
        "",
        "| part of the data | trajectories | transitions | mean return | least | most |",
        "|---|---|---|---|---|---|",
        *_returns(steps),
        "",
        "Returns are sums of raw rewards over a trajectory. `meta.json` has every setting, and each file's SHA-256.",
    ]
    return "\n".join(lines) + "\n"


def _returns(steps: Transitions) -> list[str]:
    """Returns a line of the card's table for each third of the transitions; a trajectory belongs to the third it begins in."""
    count, starts = len(steps.first), np.unique(steps.first)
    returns = np.add.reduceat(steps.rewards, starts, dtype=np.float64)
    lengths = np.diff([*starts, count])
    third = starts * len(PARTS) // count
    lines = []
    for number, name in enumerate(PARTS):
        mine = returns[third == number]
        figures = [f"{figure:g}" for figure in (mine.mean().round(2), mine.min(), mine.max())] if mine.size else ["–"] * 3
        lines.append(f"| {name} | {mine.size:,} | {lengths[third == number].sum():,} | {' | '.join(figures)} |")
    return lines
