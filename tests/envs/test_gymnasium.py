"""Gymnasium's environments as games: exactly what they are outside, refused with a sentence where a run could not be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import gymnasium
import numpy as np
import pytest

from xtra.envs import gymnasium_games
from xtra.envs.config import EnvironmentConfig
from xtra.envs.contract import check_contract
from xtra.envs.vector import make_emulators
from xtra.plugins import plugins_of
from xtra.protocol.families import UnknownGame
from xtra.protocol.games import ActionSpace, find_game
from xtra.protocol.gymnasium import parse_game

CLOCK = count()


class Lamp(gymnasium.Env[Any, int]):
    """A picture of `[4, 6]` whose pixels are drawn anew at every step; action a (from `start`) is rewarded by a."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, kind: str = "exact", start: int = 0, actions: int = 3, length: int = 7) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (4, 6), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(actions, start=start)
        self.kind, self.length, self.steps, self.episodes = kind, length, 0, 0

    def _picture(self) -> Any:
        picture = self.np_random.integers(1, 256, (4, 6)).astype(np.uint8)
        if self.kind == "clock":
            picture[0, 0] = next(CLOCK) % 256
        return picture

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps, self.episodes = 0, self.episodes + 1
        return self._picture(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        if self.kind == "broken":
            raise RuntimeError("no bulb")
        self.steps += 1
        reward = float(action) + (self.episodes if self.kind == "history" else 0)
        length = self.length - (self.episodes > 1 if self.kind == "shortening" else 0)
        return self._picture(), reward, self.steps == length, False, {}


@pytest.fixture(autouse=True)
def lamp() -> Iterator[None]:
    gymnasium.register(id="Lamp-v0", entry_point=Lamp)
    gymnasium.register(id="shop/Lamp-v0", entry_point=Lamp)
    yield
    for name in ("Lamp-v0", "shop/Lamp-v0"):
        del gymnasium.registry[name]
    find_game.cache_clear()
    gymnasium_games.num_actions.cache_clear()


@pytest.mark.parametrize("name", ["gymnasium:Lamp-v0", "gymnasium:Lamp-v0@length=5,start=1", "gymnasium:CartPole-v1"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_environment_keeps_every_promise_of_a_game(name: str) -> None:
    assert [outcome.fault for outcome in check_contract(EnvironmentConfig(game=name, frame_size=12))] == [""] * 7


def test_a_game_shows_and_rewards_what_the_environment_itself_does() -> None:
    name, seed, actions = "gymnasium:Lamp-v0@start=5", 77, [0, 2, 1, 1, 0, 2, 2]
    emulators = make_emulators(EnvironmentConfig(game=name, frame_size=12), 2)
    seen = [emulators.reset(np.ones(2, np.bool_), np.array([seed, 1]))[0]]
    own = Lamp(start=5)
    pictures = [own.reset(seed=seed)[0]]
    for action in actions:
        step = emulators.step(np.array([action, 0]))
        observation, reward, over, _, _ = own.step(action + 5)
        assert (step.rewards[0], bool(step.game_over[0])) == (reward, over)
        seen.append(step.frames[0])
        pictures.append(observation)
    assert over
    # 4 x 6 pixels on 12 x 12: each is a block of 3 x 2, in three equal channels.
    for frame, picture in zip(seen, pictures, strict=True):
        assert np.array_equal(frame, picture.repeat(3, axis=0).repeat(2, axis=1)[..., None].repeat(3, axis=2))
    kept = emulators.step(np.array([0, 0])).frames[0]
    assert np.array_equal(kept, seen[-1])  # a copy that is over stays as it is


def test_the_actions_are_as_many_as_the_environment_has() -> None:
    game = find_game("gymnasium:Lamp-v0@actions=40")
    assert (game.action_ids, game.num_actions, game.speaks_ale) == (tuple(range(40)), 40, False)
    for space in (ActionSpace.of("declared", game.name), ActionSpace.of("game", game.name)):
        assert space.size == 40
        assert space.to_indices(np.array([39, 0])).tolist() == [39, 0]
    with pytest.raises(ValueError, match="actions of its own"):
        ActionSpace.of("ale18", game.name)


def test_the_version_and_source_of_the_package_that_makes_it_are_part_of_its_jobs() -> None:
    named = plugins_of({"environment": {"game": "gymnasium:CartPole-v1"}})
    assert list(named) == ["gymnasium"]
    assert named["gymnasium"].startswith(f"{gymnasium.__version__}, source sha256:")


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("gymnasium:Lamp-v0@kind=clock", "plays differently though seed and actions are the same: its picture after", "`reset`"),
        ("gymnasium:Lamp-v0@kind=history", "plays differently though seed and actions are the same: what step 1", "`reset`"),
        ("gymnasium:Lamp-v0@kind=shortening", "plays differently though seed and actions are the same", "`reset`"),
        ("gymnasium:Lamp-v0@actions=200", "has 200 actions", "at most 128"),
        ("gymnasium:Lamp-v0@speed=1", "cannot be made", "arguments of the environment"),
        ("gymnasium:Lamp-v0@length=x", "cannot be made: unsupported operand", "arguments of the environment"),
        ("gymnasium:Lamp-v0@kind=broken", "cannot be played: RuntimeError: no bulb", ""),
        ("gymnasium:Lamp-v1", "no environment 'Lamp-v1'", "did you mean gymnasium:Lamp-v0?"),
        ("gymnasium:Pendulum-v1", "are Box(-2.0, 2.0, (1,), float32)", "discrete ones are needed"),
        ("gymnasium:absent_package:Lamp-v0", "No module named 'absent_package'", "(--plugin absent_package.py)"),
        ("gymnasium:shop/Lamp-v0", "is called gymnasium:shop.Lamp-v0", "a dot for the namespace's slash"),
        ("gymnasium:Lamp-v0@start=1,length=5", "is called gymnasium:Lamp-v0@length=5,start=1", "one name"),
        ("gymnasium:Lamp-v0@length=5.00", "is called gymnasium:Lamp-v0@length=5.0", "one name"),
        ("gymnasium:Lamp-v0@length", "is not a game's name", "argument=value"),
        ("gymnasium:Lamp-v0@render_mode=human", "render_mode cannot be chosen", "leave it out"),
        ("gymnasium:", "is not a game's name", "gymnasium:CartPole-v1"),
        ("gim:Lamp-v0", "no family makes games called gim:...", "begin with gymnasium:"),
    ],
)
def test_what_cannot_be_played_is_refused_with_a_sentence(name: str, message: str, remedy: str) -> None:
    with pytest.raises(UnknownGame) as caught:
        find_game(name)
    assert message in str(caught.value) and remedy in caught.value.remedy, (str(caught.value), caught.value.remedy)


def test_a_namespace_is_written_with_a_dot() -> None:
    assert find_game("gymnasium:shop.Lamp-v0").num_actions == 3
    assert parse_game("gymnasium:Lamp-v0@kind=clock,start=1").kwargs == {"kind": "clock", "start": 1}
