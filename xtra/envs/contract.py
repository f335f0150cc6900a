"""The contract that every game keeps (`Emulators`), as a test that authors of games run by `xtra-bench check-environment`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import Step, VectorEnvironment, make_emulators, make_training_environment
from xtra.protocol.games import find_game

NUM_ENVS, NUM_STEPS, STOP = 3, 110, 57
"""Copies, steps of a comparison, and the step at which a run is stopped and restored."""

COURSE = ("rewards", "terminal", "episode_end", "truncated")
"""Fields of a step that do not depend on the view."""


@dataclass(frozen=True)
class Outcome:
    """A promise, and how the game breaks it; empty where it keeps it."""

    promise: str
    fault: str


def check_contract(config: EnvironmentConfig) -> Iterator[Outcome]:
    """Yields the outcome of each promise, tried on the configured game. A game that raises breaks the promise that was being
    tried."""
    for promise, fault_of in PROMISES.items():
        try:
            fault = fault_of(config)
        except Exception as error:  # the author's code may raise anything
            fault = f"{type(error).__name__}: {error}"
        yield Outcome(promise, fault)


def _shapes(config: EnvironmentConfig) -> str:
    emulators = make_emulators(config, NUM_ENVS)
    frames = emulators.reset(np.ones(NUM_ENVS, np.bool_), np.arange(NUM_ENVS))
    result = emulators.step(np.zeros(NUM_ENVS, np.int64))
    shape = (NUM_ENVS, config.frame_size, config.frame_size, 3 if config.color == "rgb" else 1)
    for name, value, expected, kind in (
        ("reset gives frames", frames, shape, np.uint8),
        ("step gives frames", result.frames, shape, np.uint8),
        ("step gives rewards", result.rewards, (NUM_ENVS,), np.float32),
        ("step gives life_lost", result.life_lost, (NUM_ENVS,), np.bool_),
        ("step gives game_over", result.game_over, (NUM_ENVS,), np.bool_),
    ):
        if value.shape != expected or value.dtype != kind:
            return f"{name} {list(value.shape)} of {value.dtype}, not {list(expected)} of {np.dtype(kind)}"
    return "" if frames.any() else "the first frames are black"


def _finite(config: EnvironmentConfig) -> str:
    steps = _play(_started(config, seed=0), _actions(config))
    return "" if all(np.isfinite(step.rewards).all() for step in steps) else "a reward is not a finite number"


def _repeatable(config: EnvironmentConfig) -> str:
    one, other = (_play(_started(config, seed=3), _actions(config)) for _ in range(2))
    return _difference(one, other, ("frames", *COURSE))


def _own_frames(config: EnvironmentConfig) -> str:
    emulators = make_emulators(config, NUM_ENVS)
    frames = emulators.reset(np.ones(NUM_ENVS, np.bool_), np.arange(NUM_ENVS))
    for row in _actions(config)[:20]:
        kept = frames.copy()
        following = emulators.step(row).frames
        if not np.array_equal(frames, kept):
            return "frames that were handed out change at the next step; hand out a copy"
        frames = following
    return ""


def _restorable(config: EnvironmentConfig) -> str:
    original, restored = _started(config, seed=5), make_training_environment(config, NUM_ENVS, seed=5)
    before, after = _actions(config)[:STOP], _actions(config)[STOP:]
    seen = _play(original, before)[-1].frames
    if not np.array_equal(restored.restore(original.state()), seen):
        return f"played again up to step {STOP}, the frames are others"
    return _difference(_play(original, after), _play(restored, after), ("frames", *COURSE))


def _independent(config: EnvironmentConfig) -> str:
    alone, together = make_emulators(config, 1), make_emulators(config, NUM_ENVS)
    seeds, everywhere = np.array([11, 22, 33]), np.ones(NUM_ENVS, np.bool_)
    together.reset(everywhere, seeds + 1)
    for row in _actions(config)[:25]:
        together.step(row)
    first = together.reset(np.array([False, True, False]), seeds)[1]
    if not np.array_equal(first, alone.reset(np.ones(1, np.bool_), seeds[1:2])[0]):
        return "after a reset the first frame depends on what was played before"
    for number, row in enumerate(_actions(config)[25:]):
        a, b = together.step(row), alone.step(row[1:2])
        if (a.rewards[1], a.game_over[1], a.life_lost[1]) != (b.rewards[0], b.game_over[0], b.life_lost[0]):
            return f"step {number} after a reset depends on the other copies or on what was played before"
        if not np.array_equal(a.frames[1], b.frames[0]):
            return f"the frame of step {number} after a reset depends on the other copies or on what was played before"
        if a.game_over[1]:
            break
    return ""


def _same_course_in_every_view(config: EnvironmentConfig) -> str:
    view = config.model_copy(update={"color": "gray" if config.color == "rgb" else "rgb"})
    one, other = (_play(_started(shown, seed=2), _actions(config)) for shown in (config, view))
    return _difference(one, other, COURSE)


PROMISES: Mapping[str, Callable[[EnvironmentConfig], str]] = {
    "frames, rewards and ends have their shapes and types": _shapes,
    "rewards are numbers": _finite,
    "equal seeds and actions play alike": _repeatable,
    "frames that were handed out stay as they are": _own_frames,
    "a restored run goes on as if it had not stopped": _restorable,
    "a copy depends on its seed and its actions alone": _independent,
    "another color shows the same game": _same_course_in_every_view,
}


def _actions(config: EnvironmentConfig) -> NDArray[np.int64]:
    """Draws `[NUM_STEPS, NUM_ENVS]` of all ids, since a game is also given those of the 18 that it does not understand."""
    return np.random.default_rng(0).integers(find_game(config.game).num_actions, size=(NUM_STEPS, NUM_ENVS))


def _started(config: EnvironmentConfig, seed: int) -> VectorEnvironment:
    environment = make_training_environment(config, NUM_ENVS, seed)
    environment.reset()
    return environment


def _play(environment: VectorEnvironment, actions: NDArray[np.int64]) -> list[Step]:
    return [environment.step(row) for row in actions]


def _difference(one: list[Step], other: list[Step], fields: tuple[str, ...]) -> str:
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        for name in fields:
            if not np.array_equal(getattr(a, name), getattr(b, name)):
                return f"{name} of step {number} differ"
    return ""
