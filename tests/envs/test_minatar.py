"""MinAtar's games: the package's own rules and random numbers, in colours that lose nothing."""

import itertools
import sys

import numpy as np
import pytest
from minatar import Environment

from xtra.envs.config import EnvironmentConfig
from xtra.envs.minatar import ACTIONS, MODULES, blend, palette
from xtra.envs.vector import Emulators, make_emulators
from xtra.protocol.games import ACTION_NAMES, GAMES, find_game
from xtra.protocol.minatar import MINATAR_ACTION_IDS

MEANINGS = {"NOOP": "n", "LEFT": "l", "UP": "u", "RIGHT": "r", "DOWN": "d", "FIRE": "f"}


def make(game: str, num_envs: int = 1, sticky: float = 0.0) -> Emulators:
    return make_emulators(EnvironmentConfig(game=game, frame_size=10, repeat_action_probability=sticky), num_envs)


def reset_all(emulators: Emulators, *seeds: int) -> np.ndarray:
    return emulators.reset(np.ones(len(seeds), np.bool_), np.array(seeds))


@pytest.mark.parametrize("game", MODULES)
def test_no_two_cells_with_up_to_three_things_look_alike(game: str) -> None:
    colors = palette(Environment(MODULES[game]).env.channels)
    num_channels = len(colors)
    cells = [
        np.isin(np.arange(num_channels), things) for n in range(4) for things in itertools.combinations(range(num_channels), n)
    ]
    assert len({tuple(blend(cell, colors)) for cell in cells}) == len(cells)


@pytest.mark.parametrize("game", MODULES)
def test_a_game_goes_as_the_package_plays_it(game: str) -> None:
    theirs = Environment(MODULES[game], sticky_action_prob=0.1)
    theirs.seed(12)
    theirs.reset()
    emulators = make(game, sticky=0.1)
    frames = reset_all(emulators, 12)
    colors = palette(theirs.env.channels)
    for action in np.random.default_rng(1).choice(MINATAR_ACTION_IDS[game], size=150):
        assert np.array_equal(frames[0], blend(theirs.state(), colors))
        result = emulators.step(np.array([action]))
        frames = result.frames
        assert (result.rewards[0], result.game_over[0]) == theirs.act(theirs.env.action_map.index(MEANINGS[ACTION_NAMES[action]]))


def test_action_sets_are_the_packages_own() -> None:
    assert {name for name, game in GAMES.items() if game.family == "minatar"} == MODULES.keys()
    for game, module in MODULES.items():
        assert {ACTIONS[action] for action in find_game(game).action_ids} == set(Environment(module).minimal_action_set())


def test_a_sticky_action_does_not_reach_into_the_next_episode() -> None:
    fresh, played = make("MinAtarBreakout", sticky=0.9), make("MinAtarBreakout", sticky=0.9)
    for seed in range(5):
        reset_all(played, 99)
        for _ in range(4):
            played.step(np.array([3]))
        assert np.array_equal(reset_all(fresh, seed), reset_all(played, seed))
        for _ in range(3):
            assert np.array_equal(fresh.step(np.array([0])).frames, played.step(np.array([0])).frames)


def test_random_play_returns_what_the_authors_report() -> None:
    # MinAtar's README: `random_play.py -g breakout`, all six actions, 1,000 episodes: 0.5, standard error 0.023.
    emulators, generator = make("MinAtarBreakout", 1_000, sticky=0.1), np.random.default_rng(0)
    reset_all(emulators, *range(1_000))
    returns, running = np.zeros(1_000), np.ones(1_000, np.bool_)
    while running.any():
        result = emulators.step(generator.choice([*ACTIONS], size=1_000))
        returns += np.where(running, result.rewards, 0.0)
        running &= ~result.game_over
    assert returns.mean() == pytest.approx(0.5, abs=4 * np.hypot(0.023, returns.std() / np.sqrt(1_000)))


def test_without_the_package_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minatar", None)
    with pytest.raises(ModuleNotFoundError, match=r"need the extra `minatar`: pip install 'xtra-bench\[minatar\]'"):
        make("MinAtarBreakout")
