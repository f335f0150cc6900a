"""Gymnasium's environments as emulators: discrete actions, and pictures, which are its observations or what it renders.

A run is resumed by taking its actions again. That is exact only for an environment whose course follows from its seed and the
actions, which is tried before any use: what plays differently the second time is refused.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.error import Error as GymnasiumError
from numpy.typing import NDArray
from PIL import Image

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import EmulatorStep, Frames, Mask, to_gray
from xtra.protocol.families import MAX_ACTIONS, UnknownGame
from xtra.protocol.gymnasium import PREFIX, parse_game

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
"""pygame, by which many environments draw, needs no screen for that, and complains where it finds none."""

TRIED_STEPS = 60
"""Steps of the trial."""

Picture = NDArray[np.uint8]


class GymnasiumEmulators:
    """N copies of an environment. A copy that the environment itself truncates is over."""

    def __init__(self, config: EnvironmentConfig, num_envs: int) -> None:
        self.num_envs = num_envs
        self._config = config
        self._copies = [_Copy(config.game) for _ in range(num_envs)]
        channels = 3 if config.color == "rgb" else 1
        self._frames = np.zeros((num_envs, config.frame_size, config.frame_size, channels), np.uint8)

    def reset(self, mask: Mask, seeds: NDArray[np.int64]) -> Frames:
        """Restarts the masked copies `[N]`, each from its seed `[N]`; returns frames `[N, H, W, C]`."""
        for env in np.flatnonzero(mask):
            self._frames[env] = self._shown(self._copies[env].reset(int(seeds[env])))
        return self._frames.copy()

    def step(self, action_ids: NDArray[np.int64]) -> EmulatorStep:
        """Takes an action id `[N]` in every copy that is not over; one that is over stays as it is."""
        rewards, over = np.zeros(self.num_envs, np.float32), np.ones(self.num_envs, np.bool_)
        for env, copy in enumerate(self._copies):
            if not copy.over:
                picture, rewards[env], over[env] = copy.step(int(action_ids[env]))
                self._frames[env] = self._shown(picture)
        return EmulatorStep(self._frames.copy(), rewards, np.zeros(self.num_envs, np.bool_), over)

    def _shown(self, picture: Picture) -> Picture:
        """Resizes a picture `[H, W, 3]` to a frame, by area."""
        size = self._config.frame_size
        frame: Picture = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))
        return frame if self._config.color == "rgb" else to_gray(frame)


class _Copy:
    """One environment, and the pictures that it shows."""

    def __init__(self, name: str) -> None:
        self._environment, self._renders = _make(name)
        self._first_action = int(self._environment.action_space.start)
        self.over = False

    @property
    def num_actions(self) -> int:
        return int(self._environment.action_space.n)

    def reset(self, seed: int) -> Picture:
        observation, _ = self._environment.reset(seed=seed)
        self.over = False
        return self._picture(observation)

    def step(self, action: int) -> tuple[Picture, float, bool]:
        observation, reward, terminated, truncated, _ = self._environment.step(action + self._first_action)
        self.over = bool(terminated or truncated)
        return self._picture(observation), float(reward), self.over

    def close(self) -> None:
        self._environment.close()

    def _picture(self, observation: Any) -> Picture:
        """Returns the picture `[H, W, 3]`."""
        picture: Picture = np.asarray(self._environment.render() if self._renders else observation, np.uint8)
        picture = picture[..., None] if picture.ndim == 2 else picture
        return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


@cache
def num_actions(name: str) -> int:
    """Counts the actions of the game of that name. Raises UnknownGame for a game that cannot be played here, or not repeated
    exactly."""
    parse_game(name)
    with _refusing(name):
        first = _Copy(name)
    count = first.num_actions
    if count > MAX_ACTIONS:
        raise UnknownGame(f"{name} has {count} actions", f"at most {MAX_ACTIONS} can be searched")
    seeds = (11, 12)
    with _refusing(name):
        course = _play(first, seeds[1])
        # In another copy, after another episode: neither may matter.
        second = _Copy(name)
        _play(second, seeds[0])
        difference = _difference(course, _play(second, seeds[1]))
        first.close()
        second.close()
    if difference:
        reason = f"{name} plays differently though seed and actions are the same: {difference}"
        raise UnknownGame(reason, "a run of it could not go on exactly where it was stopped; seed everything it draws in `reset`")
    return count


def package_of(name: str) -> str:
    """Returns the top-level module of the environment's code."""
    entry_point = _spec(name).entry_point
    module: str = entry_point if isinstance(entry_point, str) else entry_point.__module__
    return module.partition(":")[0].partition(".")[0]


def _play(copy: _Copy, seed: int) -> list[tuple[Picture, float, bool]]:
    """Returns pictures, rewards and ends of an episode, and of those that follow it, up to TRIED_STEPS steps."""
    actions = np.random.default_rng(seed).integers(copy.num_actions, size=TRIED_STEPS).tolist()
    course = [(copy.reset(seed), 0.0, False)]
    for number, action in enumerate(actions):
        course.append(copy.step(action))
        if copy.over:
            course.append((copy.reset(seed + number), 0.0, False))
    return course


def _difference(one: list[tuple[Picture, float, bool]], other: list[tuple[Picture, float, bool]]) -> str:
    if len(one) != len(other):
        return "one of two episodes is longer"
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        if not np.array_equal(a[0], b[0]):
            return f"its picture after {number} steps"
        if a[1:] != b[1:]:
            return f"what step {number} leads to"
    return ""


def _spec(name: str) -> Any:
    """Returns Gymnasium's specification of the environment. Raises UnknownGame."""
    package, _, identifier = parse_game(name).id.rpartition(":")
    try:
        if package:
            import_module(package)
    except ModuleNotFoundError as error:
        remedy = f"install the package that brings {identifier}, or name its file as a plugin (--plugin {package}.py)"
        raise UnknownGame(f"{name}: {error}", remedy) from None
    for spelled in (identifier, identifier.replace(".", "/", 1)):
        with suppress(GymnasiumError):
            return gymnasium.spec(spelled)
    close = get_close_matches(identifier, [known.replace("/", ".") for known in gymnasium.registry], n=1)
    remedy = f"did you mean {PREFIX}{close[0]}?" if close else f"if a package registers it: {PREFIX}PACKAGE:{identifier}"
    raise UnknownGame(f"Gymnasium has no environment {identifier!r}", remedy)


def _make(name: str) -> tuple[Any, bool]:
    """Makes the environment, and tells whether its pictures are rendered rather than observed. Raises UnknownGame."""
    spec, kwargs = _spec(name), dict(parse_game(name).kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # versions that are out of date; the id says which one is meant
        environment = gymnasium.make(spec, disable_env_checker=True, **kwargs)
        if not isinstance(environment.action_space, gymnasium.spaces.Discrete):
            raise UnknownGame(f"the actions of {name} are {environment.action_space}", "discrete ones are needed")
        if _is_picture(environment.observation_space):
            return environment, False
        modes = environment.metadata.get("render_modes", ())
        environment.close()
        if "rgb_array" not in modes:
            reason = f"{name} shows no pictures: it observes {environment.observation_space} and renders no rgb_array"
            raise UnknownGame(reason, "wrap it so that it does, and register that")
        return gymnasium.make(spec, disable_env_checker=True, render_mode="rgb_array", **kwargs), True


def _is_picture(space: Any) -> bool:
    """Tells whether observations are bytes `[H, W]`, `[H, W, 1]` or `[H, W, 3]`."""
    if not isinstance(space, gymnasium.spaces.Box) or space.dtype != np.uint8:
        return False
    return len(space.shape) == 2 or (len(space.shape) == 3 and space.shape[2] in (1, 3))


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turns whatever an environment raises while it is tried into UnknownGame with its name."""
    try:
        yield
    except UnknownGame:
        raise
    except DependencyNotInstalled as error:
        raise UnknownGame(
            f"{name} needs a package that is not installed: {error}", "pip install 'xtra-bench[gymnasium]'"
        ) from None
    except TypeError as error:
        raise UnknownGame(f"{name} cannot be made: {error}", "after `@` stand arguments of the environment") from None
    except Exception as error:  # the environment's code may raise anything
        raise UnknownGame(f"{name} cannot be played: {type(error).__name__}: {error}") from error
