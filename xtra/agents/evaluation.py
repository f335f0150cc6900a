"""Scores a player on whole games, all played side by side; and the random player, which every score must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xtra.agents.interface import Player
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import FrameStacks, make_evaluation_environment
from xtra.protocol.games import find_game
from xtra.rng import stream


@dataclass(frozen=True)
class Episode:
    """One game. episode_return: undiscounted sum of raw rewards. truncated: cut at the cap, not over."""

    episode: int
    episode_return: float
    episode_env_steps: int
    truncated: bool


class Evaluation:
    """`num_episodes` games, each from its own start (a function of `seed` and its number), played one step of all at a time.

    Finished games leave the batch, so the search spends nothing on them. An episode is its start and its actions, so an
    evaluation that was interrupted between two steps goes on exactly when its actions are taken again.
    """

    def __init__(
        self, player: Player, environment: EnvironmentConfig, *, num_episodes: int, max_episode_env_steps: int, seed: int
    ) -> None:
        self._player = player
        self._games = make_evaluation_environment(environment, num_episodes, seed, max_episode_env_steps)
        self._stacks = FrameStacks(self._games.reset(), player.frame_stack)
        self._running = np.ones(num_episodes, np.bool_)
        self._returns = np.zeros(num_episodes)
        self._actions: list[NDArray[np.uint8]] = []
        self._episodes: dict[int, Episode] = {}

    @property
    def env_step(self) -> int:
        """Number of steps taken in every game that still runs."""
        return len(self._actions)

    @property
    def num_finished(self) -> int:
        """Number of games that are over."""
        return len(self._episodes)

    @property
    def done(self) -> bool:
        """True when all games are over."""
        return not self._running.any()

    @property
    def episodes(self) -> list[Episode]:
        """The games that are over, in episode order."""
        return [self._episodes[number] for number in sorted(self._episodes)]

    def __str__(self) -> str:
        return f"evaluating {self.num_finished}/{len(self._running)}, env step {self.env_step:,}"

    def step(self) -> None:
        """Takes one step in every game that is not over."""
        actions = np.zeros(len(self._running), np.int64)
        actions[self._running] = self._player.play(self._stacks.stacks[self._running], self.env_step)
        self._take(actions)

    def actions(self) -> NDArray[np.uint8]:
        """Returns all actions so far, `[env_step, num_episodes]`; 0 in games that were over."""
        return np.array(self._actions, np.uint8).reshape(-1, len(self._running))

    def restore(self, actions: NDArray[np.uint8]) -> None:
        """Brings a new evaluation to where another was, by its `actions` `[env_step, num_episodes]`.

        If some games are over, the player is asked about all of them once, as it was there: a search on a GPU keeps the shape of
        the largest batch that it was asked about, and last bits depend on the shape. The answer is not used, and changes no other
        (`Player.play`).
        """
        for row in actions:
            self._take(row.astype(np.int64))
        if self._episodes and not self.done:
            self._player.play(self._stacks.stacks, self.env_step)

    def _take(self, actions: NDArray[np.int64]) -> None:
        step = self._games.step(actions)
        self._actions.append(actions.astype(np.uint8))
        self._returns[self._running] += step.rewards[self._running]
        for i in np.flatnonzero(self._running & step.episode_end).tolist():
            self._episodes[i] = Episode(i, float(self._returns[i]), self.env_step, bool(step.truncated[i]))
        self._running &= ~step.episode_end
        self._stacks.push(step.frames, step.episode_end)


def play_episodes(
    player: Player, environment: EnvironmentConfig, *, num_episodes: int, max_episode_env_steps: int, seed: int
) -> list[Episode]:
    """Plays an evaluation without a break. Returns its episodes, in order."""
    evaluation = Evaluation(
        player, environment, num_episodes=num_episodes, max_episode_env_steps=max_episode_env_steps, seed=seed
    )
    while not evaluation.done:
        evaluation.step()
    return evaluation.episodes


def mean_episode_return(episodes: list[Episode]) -> float:
    """Computes the score by which every protocol so far measures: the mean of the episodes' raw returns."""
    return float(np.mean([episode.episode_return for episode in episodes]))


class RandomPlayer:
    """A player that acts uniformly at random. Its draws are a function of (seed, env step), so an evaluation is repeatable."""

    frame_stack = 1

    def __init__(self, game: str, seed: int) -> None:
        self._valid = np.array(find_game(game).action_ids)
        self._seed = seed

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """Returns one valid action id per environment, `[N]`."""
        return stream(self._seed, "random-player", env_step).choice(self._valid, len(stacks))


def make_random_player(
    config: Config, environment: EnvironmentConfig, weights: object, *, seed: int, num_threads: int
) -> RandomPlayer:
    """Makes the player of agent `random`, which has no network."""
    return RandomPlayer(environment.game, seed)
