"""Scores a player on whole games, all played side by side; and the random player, which every score must beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xtra.agents.interface import Player
from xtra.envs.config import EnvironmentConfig
from xtra.envs.make import make_evaluation_environment
from xtra.envs.vector import FrameStacks
from xtra.protocol.games import GAMES
from xtra.rng import stream


@dataclass(frozen=True)
class Episode:
    """One game. episode_return: undiscounted sum of raw rewards. truncated: cut at the cap, not over."""

    episode: int
    episode_return: float
    episode_env_steps: int
    truncated: bool


def play_episodes(
    player: Player,
    environment: EnvironmentConfig,
    *,
    num_episodes: int,
    max_episode_env_steps: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda env_steps, finished: None,
) -> list[Episode]:
    """Plays `num_episodes` games, each from its own start (a function of `seed` and its number), in episode order.

    Finished games leave the batch, so the search spends nothing on them. progress(env_step, games finished) is called at every
    step.
    """
    games = make_evaluation_environment(environment, num_episodes, seed, max_episode_env_steps)
    stacks = FrameStacks(games.reset(), player.frame_stack)
    running = np.ones(num_episodes, np.bool_)
    returns = np.zeros(num_episodes)
    episodes: dict[int, Episode] = {}
    env_step = 0
    while running.any():
        actions = np.zeros(num_episodes, np.int64)
        actions[running] = player.play(stacks.stacks[running], env_step)
        step = games.step(actions)
        env_step += 1
        returns[running] += step.rewards[running]
        for i in np.flatnonzero(running & step.episode_end).tolist():
            episodes[i] = Episode(i, float(returns[i]), env_step, bool(step.truncated[i]))
        running &= ~step.episode_end
        stacks.push(step.frames, step.episode_end)
        progress(env_step, num_episodes - int(running.sum()))
    return [episodes[i] for i in range(num_episodes)]


def mean_episode_return(episodes: list[Episode]) -> float:
    """The score rule of every protocol so far."""
    return float(np.mean([episode.episode_return for episode in episodes]))


class RandomPlayer:
    """Its draws are a function of (seed, env step), so an evaluation is repeatable."""

    frame_stack = 1

    def __init__(self, game: str, seed: int) -> None:
        self._valid = np.array(GAMES[game].action_ids)
        self._seed = seed

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """One valid action id per environment."""
        return stream(self._seed, "random-player", env_step).choice(self._valid, len(stacks))
