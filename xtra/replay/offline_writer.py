"""Writes trajectories of a recorded run as offline data (offline.py says what the files hold).

Frames stream through: in memory are only those of running trajectories, compressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xtra.replay.chunks import ChunkEncoder
from xtra.replay.offline import EPISODES, FRAMES, OFFSETS, STEPS, Episodes, Steps, save_arrays
from xtra.replay.recording import Recording, Trajectory

EpisodeSeed = Callable[[int, int], int]
"""(environment, its episode number) to the seed of that game."""


def write_trajectories(
    directory: Path,
    recording: Recording,
    chosen: Sequence[Trajectory],
    frames: Iterable[NDArray[np.uint8]],
    episode_seed: EpisodeSeed,
) -> Steps:
    """Everything but meta.json and the card. chosen: in the order of their last rows. frames: the run's rows from the first on,
    each `[num_envs, H, W, C]`, in whatever view."""
    offsets = _write_frames(directory / FRAMES, chosen, frames)
    np.save(directory / OFFSETS, offsets)
    episodes, numbers, starts = _episodes(recording, chosen, episode_seed)
    steps = _steps(recording, chosen, numbers, starts)
    save_arrays(directory / EPISODES, episodes)
    save_arrays(directory / STEPS, steps)
    return steps


def _write_frames(path: Path, chosen: Sequence[Trajectory], frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Returns where each block begins, and the end. Trajectories are written as they end, which is their order."""
    starting = {(trajectory.first, trajectory.env): trajectory for trajectory in chosen}
    running: dict[int, tuple[Trajectory, ChunkEncoder]] = {}
    offsets = [0]
    with path.open("wb") as file:
        for row, row_frames in enumerate(islice(frames, chosen[-1].last + 1)):
            for env, frame in enumerate(row_frames):
                if trajectory := starting.get((row, env)):
                    running[env] = (trajectory, ChunkEncoder())
                if env not in running:
                    continue
                trajectory, encoder = running[env]
                encoder.add(frame)
                if row == trajectory.last:
                    del running[env]
                    for block in encoder.finish():
                        file.write(block)
                        offsets.append(offsets[-1] + len(block))
    return np.array(offsets, np.int64)


def _steps(recording: Recording, chosen: Sequence[Trajectory], episodes: list[int], episode_starts: list[int]) -> Steps:
    lengths = np.array([trajectory.num_transitions for trajectory in chosen])
    rows = np.concatenate([np.arange(trajectory.first, trajectory.last + 1) for trajectory in chosen])
    envs = np.repeat([trajectory.env for trajectory in chosen], lengths)
    ends = np.cumsum(lengths)
    columns = {name: recording.columns[name][rows, envs] for name in ("actions", "rewards", "policies", "root_values")}
    return Steps(
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
    """The games that the trajectories are parts of; for each trajectory its game's place among them, and the game's first row."""
    meta, actions = recording.meta, recording.columns["actions"]
    ends = [[row for row, env in meta.episode_ends if env == wanted] for wanted in range(meta.num_envs)]
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
