"""Games stepped together, cut into episodes. An episode is (seed, actions) and nothing else, so it can be replayed exactly.

`Emulators` is what a game family implements (atari.py, catch.py, minatar.py); small games draw pictures of 10x10 cells, which
`to_frames` turns into frames. `VectorEnvironment` gives every episode a seed of its own, applies the caps and keeps the actions
of the running episodes: enough to restore it in another process, or to render an episode differently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xtra.envs.config import CELLS, EnvironmentConfig
from xtra.protocol.families import FAMILIES
from xtra.protocol.games import find_game
from xtra.rng import derive_seed

Frames = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LUMINANCE = np.array([299, 587, 114])
"""Thousandths of red, green and blue in a gray value (ITU-R BT.601), as the Atari emulator has them."""


@dataclass(frozen=True)
class EmulatorStep:
    """The results of N actions, as a family's emulators return them.

    frames: `[N, H, W, C]`, C = 3 or, for gray, 1; where a game is over, its last. rewards: `[N]`, raw. life_lost, game_over:
    `[N]`.
    """

    frames: Frames
    rewards: NDArray[np.float32]
    life_lost: Mask
    game_over: Mask


class Emulators(Protocol):
    """N copies of one game. To add a family, implement this class and pass the contract test (tests/envs/test_contract.py)."""

    num_envs: int

    def reset(self, mask: Mask, seeds: NDArray[np.int64]) -> Frames:
        """Starts a new game in each masked copy `[N]` from its entry of `seeds` (`[N]`, 31 bits); the others keep their frame.
        Returns the frames of all, `[N, H, W, C]`.

        A game's course is a function of its seed and the actions that follow, whatever was played before.
        """
        ...

    def step(self, action_ids: NDArray[np.int64]) -> EmulatorStep:
        """Takes one action in each copy: ids `[N]`, of ALE's 18 or, where the family has actions of its own, of these. A finished
        copy may be stepped: until it is reset its results mean nothing."""
        ...


def to_frames(pictures: NDArray[np.uint8], config: EnvironmentConfig) -> Frames:
    """Turns pictures `[N, 10, 10, 3]` into frames `[N, H, W, C]`."""
    if config.color == "gray":
        pictures = to_gray(pictures)
    scale = config.frame_size // CELLS
    return pictures.repeat(scale, axis=1).repeat(scale, axis=2)


def to_gray(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the luminance `[..., 1]` of pictures `[..., 3]`."""
    luminance: NDArray[np.uint8] = ((pictures @ LUMINANCE + 500) // 1000).astype(np.uint8)
    return luminance[..., None]


@dataclass(frozen=True)
class Step:
    """The results of N actions, each field `[N, ...]`.

    frames: what the agent sees next; the first frame of a new game where `episode_end`. final_frames: what the actions led to,
    the last frame of the old game where `episode_end`. terminal: the trajectory to learn from ends here (a game over, a cut, or a
    lost life where that counts). episode_end: the game itself ended or was cut. truncated: it was cut.
    """

    frames: Frames
    final_frames: Frames
    rewards: NDArray[np.float32]
    terminal: Mask
    episode_end: Mask
    truncated: Mask


class VectorEnvironment:
    """N endless sequences of episodes of one game.

    episode_seed: (copy, its episode number) → 31-bit seed. life_loss_terminal: a lost life is a terminal. max_episode_env_steps:
    the cap.
    """

    def __init__(
        self,
        emulators: Emulators,
        episode_seed: Callable[[int, int], int],
        *,
        max_episode_env_steps: int,
        life_loss_terminal: bool,
    ) -> None:
        self._emulators = emulators
        self._episode_seed = episode_seed
        self._max_episode_env_steps = max_episode_env_steps
        self._life_loss_terminal = life_loss_terminal
        self.num_envs = emulators.num_envs
        self._episode = np.zeros(self.num_envs, np.int64)
        self._actions: list[list[int]] = [[] for _ in range(self.num_envs)]

    def reset(self) -> Frames:
        """Starts every copy's first episode; returns frames `[N, H, W, C]`."""
        self._episode[:] = 0
        self._actions = [[] for _ in range(self.num_envs)]
        return self._emulators.reset(np.ones(self.num_envs, np.bool_), self._seeds())

    def step(self, action_ids: NDArray[np.int64]) -> Step:
        """Takes one action id per copy, `[N]`; where a game has ended the next one starts within the call."""
        result = self._emulators.step(action_ids)
        for history, action in zip(self._actions, action_ids.tolist(), strict=True):
            history.append(action)
        lengths = np.array([len(history) for history in self._actions])
        truncated = ~result.game_over & (lengths >= self._max_episode_env_steps)
        episode_end = result.game_over | truncated
        terminal = episode_end | (result.life_lost if self._life_loss_terminal else False)
        frames = result.frames
        if episode_end.any():
            self._episode[episode_end] += 1
            for env in np.flatnonzero(episode_end):
                self._actions[env] = []
            frames = self._emulators.reset(episode_end, self._seeds())
        return Step(frames, result.frames, result.rewards, terminal, episode_end, truncated)

    def state(self) -> dict[str, Any]:
        """Returns each copy's episode number and the actions taken in it so far: everything `restore` needs."""
        return {"episode": self._episode.tolist(), "actions": [list(history) for history in self._actions]}

    def restore(self, state: dict[str, Any]) -> Frames:
        """Plays the running episodes again up to where `state` was taken; returns the frames seen there, `[N, H, W, C]`.

        Copies with shorter histories start later, so that all arrive together; what they do before their reset does not matter.
        """
        self._episode = np.array(state["episode"], np.int64)
        self._actions = [list(history) for history in state["actions"]]
        longest = max(len(history) for history in self._actions)
        starts = np.array([longest - len(history) for history in self._actions])
        frames = self._emulators.reset(np.ones(self.num_envs, np.bool_), self._seeds())
        for now in range(longest):
            if now > 0 and (starts == now).any():
                self._emulators.reset(starts == now, self._seeds())
            actions = [h[now - start] if now >= start else 0 for h, start in zip(self._actions, starts, strict=True)]
            frames = self._emulators.step(np.array(actions, np.int64)).frames
        if longest and (starts == longest).any():
            frames = self._emulators.reset(starts == longest, self._seeds())
        return frames

    def _seeds(self) -> NDArray[np.int64]:
        return np.array([self._episode_seed(env, int(episode)) for env, episode in enumerate(self._episode)], np.int64)


class FrameStacks:
    """`stacks` is `[N, depth, H, W, C]`, oldest first. A new trajectory starts with its first frame repeated, as the replay reads
    it."""

    def __init__(self, first_frames: NDArray[np.uint8], depth: int) -> None:
        self.stacks = np.repeat(first_frames[:, None], depth, axis=1)

    def push(self, frames: NDArray[np.uint8], restart: NDArray[np.bool_]) -> None:
        """Adds the newest frames `[N, H, W, C]`; where `restart`, forgets all before them."""
        self.stacks = np.concatenate([self.stacks[:, 1:], frames[:, None]], axis=1)
        self.stacks[restart] = frames[restart, None]


def make_emulators(config: EnvironmentConfig, num_envs: int) -> Emulators:
    """Makes N copies of the configured game.

    Raises UnknownGame for a name that no game has (suites check names before), ValueError for a frame size that the family
    cannot draw, and ModuleNotFoundError, with the command that helps, where the family needs an extra that is not installed.
    """
    module, _, name = FAMILIES[find_game(config.game).family].emulators.partition(":")
    make: Callable[[EnvironmentConfig, int], Emulators] = getattr(import_module(module), name)
    return make(config, num_envs)


def make_training_environment(config: EnvironmentConfig, num_envs: int, seed: int) -> VectorEnvironment:
    """Makes an environment for training: a seed of its own for every episode of every copy; lost lives end trajectories if the
    configuration says so."""
    return VectorEnvironment(
        make_emulators(config, num_envs),
        partial(episode_seed, seed, config.game),
        max_episode_env_steps=config.max_episode_env_steps,
        life_loss_terminal=config.life_loss_terminal,
    )


def make_evaluation_environment(
    config: EnvironmentConfig, num_episodes: int, seed: int, max_episode_env_steps: int
) -> VectorEnvironment:
    """Makes an environment for evaluation: copy i plays the i-th episode, a whole game."""
    return VectorEnvironment(
        make_emulators(config, num_episodes),
        partial(episode_seed, seed, config.game),
        max_episode_env_steps=max_episode_env_steps,
        life_loss_terminal=False,
    )


def episode_seed(seed: int, game: str, env: int, episode: int) -> int:
    """Derives the seed of the `episode`-th game (from 0) in copy `env`; ale-py takes 31 bits."""
    return derive_seed(seed, "episode", game, env, episode) % 2**31
