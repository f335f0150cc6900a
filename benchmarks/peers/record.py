"""Writes random play of an Atari game into one .npz that every contestant fills its replay from."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from xtra.agents.evaluation import RandomPlayer
from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import make_training_environment
from xtra.protocol.games import NUM_ACTIONS, find_game


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("play", type=Path, help="the .npz to write")
    parser.add_argument("--game", default="Alien", help="a game of all 18 actions, so that every learner has as many (Alien)")
    parser.add_argument("--frame-size", type=int, default=96, help="pixels (96)")
    parser.add_argument("--transitions", type=int, default=3000, help="and on to the end of the trajectory (3000)")
    options = parser.parse_args()
    if len(find_game(options.game).action_ids) != NUM_ACTIONS:
        parser.error(f"{options.game} understands fewer than {NUM_ACTIONS} actions; take one of all {NUM_ACTIONS}, as Alien is")
    np.savez(options.play, **record(options.game, options.frame_size, options.transitions))


def record(game: str, frame_size: int, transitions: int) -> dict[str, np.ndarray]:
    """Plays at random until a trajectory ends after so many transitions.

    Returns frames `[T, S, S, 3]` uint8, actions `[T]`, raw rewards `[T]`, ends `[T]` (a lost life ends a trajectory), and of each
    trajectory the frame that follows its last action, `[E, S, S, 3]`.
    """
    environment = make_training_environment(EnvironmentConfig(game=game, frame_size=frame_size), 1, 0)
    player = RandomPlayer(game, 0)
    columns: dict[str, list] = {name: [] for name in ("frames", "actions", "rewards", "ends", "final_frames")}
    frames, ended = environment.reset(), False
    while not (ended and len(columns["frames"]) >= transitions):
        actions = player.play(frames[:, None], len(columns["frames"]))
        step = environment.step(actions)
        ended = bool(step.terminal[0])
        for name, value in (("frames", frames), ("actions", actions), ("rewards", step.rewards), ("ends", step.terminal)):
            columns[name].append(value[0])
        if ended:
            columns["final_frames"].append(step.final_frames[0])
        frames = step.frames
    return {"game": np.array(game)} | {name: np.array(column) for name, column in columns.items()}


if __name__ == "__main__":
    main()
