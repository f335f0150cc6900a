"""The contract test that authors of games run: it passes for games that keep their promises and tells which one is broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.envs import contract, vector
from xtra.envs.catch import CatchEmulators
from xtra.envs.config import EnvironmentConfig
from xtra.envs.contract import PROMISES, check_contract
from xtra.envs.vector import EmulatorStep, Frames, Mask

CONFIG = EnvironmentConfig(game="Catch", frame_size=10)


class Sound(CatchEmulators):
    """Catch; each subclass breaks it in one way."""

    def changed(self, **fields: Any) -> EmulatorStep:
        step = {name: getattr(self.result, name) for name in ("frames", "rewards", "life_lost", "game_over")}
        return EmulatorStep(**step | fields)

    def step(self, action_ids: NDArray[np.int64]) -> EmulatorStep:
        self.result = super().step(action_ids)
        return self.outcome()

    def outcome(self) -> EmulatorStep:
        return self.result


class WideFrames(Sound):
    def outcome(self) -> EmulatorStep:
        return self.changed(frames=self.result.frames[:, :, :5])


class DoubleRewards(Sound):
    def outcome(self) -> EmulatorStep:
        return self.changed(rewards=self.result.rewards.astype(np.float64))


class NotANumber(Sound):
    def outcome(self) -> EmulatorStep:
        return self.changed(rewards=np.full(self.num_envs, np.nan, np.float32))


class Unseeded(Sound):
    luck = np.random.default_rng()

    def outcome(self) -> EmulatorStep:
        return self.changed(rewards=self.luck.random(self.num_envs, dtype=np.float32))


class OneBuffer(Sound):
    def outcome(self) -> EmulatorStep:
        self.buffer = getattr(self, "buffer", self.result.frames)
        self.buffer[:] = self.result.frames
        return self.changed(frames=self.buffer)


class Aging(Sound):
    """Rewards grow with the steps ever taken, which a replayed run has taken fewer of."""

    age = 0

    def outcome(self) -> EmulatorStep:
        self.age += 1
        return self.changed(rewards=np.full(self.num_envs, self.age, np.float32))


class Neighbourly(Sound):
    def outcome(self) -> EmulatorStep:
        return self.changed(rewards=np.full(self.num_envs, self._paddle.sum(), np.float32))


class ColorBlind(Sound):
    def outcome(self) -> EmulatorStep:
        return self.changed(rewards=self.result.rewards * (2 if self._config.color == "gray" else 1))


class Fragile(Sound):
    def reset(self, mask: Mask, seeds: NDArray[np.int64]) -> Frames:
        if not mask.all():
            raise RuntimeError("all or none")
        return super().reset(mask, seeds)


SHAPES, NUMBERS, REPEAT, FRAMES, RESTORED, ALONE, VIEWS = PROMISES
MUTANTS = {
    WideFrames: (SHAPES, "step gives frames [3, 10, 5, 3] of uint8, not [3, 10, 10, 3] of uint8"),
    DoubleRewards: (SHAPES, "step gives rewards [3] of float64, not [3] of float32"),
    NotANumber: (NUMBERS, "a reward is not a finite number"),
    Unseeded: (REPEAT, "rewards of step 0 differ"),
    OneBuffer: (FRAMES, "frames that were handed out change at the next step; hand out a copy"),
    Aging: (RESTORED, "rewards of step 0 differ"),
    Neighbourly: (ALONE, "step 0 after a reset depends on the other copies or on what was played before"),
    ColorBlind: (VIEWS, "rewards of step 8 differ"),
    Fragile: (ALONE, "RuntimeError: all or none"),
}


def play_on(emulators: type[Sound], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (vector, contract):
        monkeypatch.setattr(module, "make_emulators", emulators)


@pytest.mark.parametrize("emulators", MUTANTS, ids=lambda emulators: emulators.__name__)
def test_a_broken_promise_is_named(emulators: type[Sound], monkeypatch: pytest.MonkeyPatch) -> None:
    play_on(emulators, monkeypatch)
    faults = {outcome.promise: outcome.fault for outcome in check_contract(CONFIG)}
    promise, fault = MUTANTS[emulators]
    assert list(faults) == list(PROMISES)
    assert faults[promise] == fault


def test_a_sound_game_keeps_every_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    play_on(Sound, monkeypatch)
    assert not any(outcome.fault for outcome in check_contract(CONFIG))


@pytest.mark.parametrize("game", ["CatchSlow", "MinAtarAsterix"])
def test_the_command_says_what_was_kept(game: str) -> None:
    done = CliRunner().invoke(app, ["check-environment", game])
    assert (done.exit_code, done.stdout) == (0, "".join(f"kept: {promise}\n" for promise in PROMISES))


def test_the_command_fails_for_a_broken_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    play_on(NotANumber, monkeypatch)
    done = CliRunner().invoke(app, ["check-environment", "Catch"])
    assert done.exit_code == 1
    assert f"broken: {NUMBERS}: a reward is not a finite number\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Ctach"], "unknown game 'Ctach'; did you mean 'Catch'?"),
        (["Pong@mode=2"], "Pong has no mode 2; modes of Pong: 0, 1; difficulties: 0, 1, 2, 3"),
        (["Catch", "--frame-size", "15"], "environment.frame_size is 15; Catch is drawn on a multiple of 10 pixels"),
        (["Catch", "--frame-size", "0"], "--frame-size"),
    ],
)
def test_what_cannot_be_checked_is_answered_by_a_sentence(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["check-environment", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
