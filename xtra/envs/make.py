"""Environments made from their configuration."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import Emulators, VectorEnvironment
from xtra.protocol.families import FAMILIES
from xtra.protocol.games import find_game
from xtra.rng import derive_seed


def make_emulators(config: EnvironmentConfig, num_envs: int) -> Emulators:
    """N copies of the configured game.

    Raises UnknownGame for a name that no game has (suites check names before), ValueError for a frame size that the family
    cannot draw, and ModuleNotFoundError, with the command that helps, where the family needs an extra that is not installed.
    """
    module, _, name = FAMILIES[find_game(config.game).family].emulators.partition(":")
    make: Callable[[EnvironmentConfig, int], Emulators] = getattr(import_module(module), name)
    return make(config, num_envs)


def make_training_environment(config: EnvironmentConfig, num_envs: int, seed: int) -> VectorEnvironment:
    """Makes an environment for training: an own seed for every episode of every copy; lost lives end trajectories if the
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
