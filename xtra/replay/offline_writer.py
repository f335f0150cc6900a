"""Writes trajectories of a recorded run as offline data (offline.py says what the files hold).

Frames stream through: in memory are only those of running trajectories, compressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xtra.replay.frames import BlockEncoder, compress_frames
from xtra.replay.offline import (
    EPISODES,
    FINAL_FRAMES,
    FRAMES,
    OFFSETS,
    STEPS,
    Episodes,
    Transitions,
    save_arrays,
    save_final_frames,
)
from xtra.replay.recording import Recording, SeenRow, Trajectory

EpisodeSeed = Callable[[int, int], int]
"""(environment, its episode number) to the seed of that game."""


def write_trajectories(
    directory: Path,
    recording: Recording,
    chosen: Sequence[Trajectory],
    seen: Iterable[SeenRow],
    episode_seed: EpisodeSeed,
) -> Transitions:
    """Everything but meta.json and the card. chosen: in the order of their last rows. seen: the run's rows from the first on,
    in whatever view."""
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


PARTS = ("first third", "second third", "last third")


def card_text(meta: dict[str, Any], steps: Transitions) -> str:
    """Markdown. meta: as sealed."""
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
    """One line per third of the transitions; a trajectory belongs to the third it begins in."""
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
