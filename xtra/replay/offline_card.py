"""The data card: what a dataset is, for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from xtra.replay.offline import Steps

PARTS = ("first third", "second third", "last third")


def card_text(meta: dict[str, Any], steps: Steps) -> str:
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


def _returns(steps: Steps) -> list[str]:
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
