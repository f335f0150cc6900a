"""Atari's games in other modes and difficulties: the preprocessing of ale-py's vector environment, to the bit, and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from xtra.envs._resize import AreaResize
from xtra.envs.atari import AtariEmulators, FlavourEmulators, num_noops
from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import make_emulators
from xtra.protocol.atari import ATARI_ACTION_IDS, default_flavour, flavours_of, parse_flavour
from xtra.protocol.families import UnknownGame
from xtra.protocol.games import find_game
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

VIEWS = {
    "EfficientZero's": {"game": "Breakout", "frame_size": 96},
    "small": {"game": "Breakout", "frame_size": 48},
    "CURL's": {"game": "Breakout", "frame_size": 84, "color": "gray"},
    "whole blocks": {"game": "SpaceInvaders", "frame_size": 10, "frame_skip": 3, "noop_max": 0},
    "a prime": {"game": "Pong", "frame_size": 97, "repeat_action_probability": 0.25},
    "every frame": {"game": "Backgammon", "frame_size": 50, "frame_skip": 1, "noop_max": 1},
    "another screen": {"game": "Carnival", "frame_size": 48, "color": "gray", "repeat_action_probability": 0.25},
    "as wide as the screen": {"game": "AirRaid", "frame_size": 160},
}


@pytest.mark.parametrize("view", VIEWS)
def test_in_the_default_flavour_it_equals_the_vector_environment_bit_for_bit(view: str) -> None:
    config, rng = EnvironmentConfig(**VIEWS[view]), np.random.default_rng(0)
    ours, theirs = FlavourEmulators(config, 2), AtariEmulators(config, 2)
    seeds = rng.integers(2**31, size=2)
    assert np.array_equal(ours.reset(np.ones(2, np.bool_), seeds), theirs.reset(np.ones(2, np.bool_), seeds))
    for row in rng.integers(18, size=(300, 2)):
        a, b = ours.step(row), theirs.step(row)
        for field in ("frames", "rewards", "life_lost", "game_over"):
            assert np.array_equal(getattr(a, field), getattr(b, field)), field
        if b.game_over.any():
            seeds = rng.integers(2**31, size=2)
            assert np.array_equal(ours.reset(b.game_over, seeds), theirs.reset(b.game_over, seeds))


def test_lives_are_lost_and_games_end_in_those_comparisons() -> None:
    emulators, rng = FlavourEmulators(EnvironmentConfig(**VIEWS["small"]), 2), np.random.default_rng(0)
    emulators.reset(np.ones(2, np.bool_), rng.integers(2**31, size=2))
    steps = [emulators.step(row) for row in rng.integers(18, size=(300, 2))]
    assert sum(int(step.life_lost.sum()) for step in steps) == 8
    assert all(step.game_over.any() for step in steps[-50:])


def test_a_flavour_is_another_game_than_the_plain_one() -> None:
    seeds, everywhere = np.array([7]), np.ones(1, np.bool_)
    games = ("Breakout", "Breakout@mode=12", "Breakout@mode=12,difficulty=1")
    shown = []
    for game in games:
        emulators = make_emulators(EnvironmentConfig(game=game, frame_size=48), 1)
        emulators.reset(everywhere, seeds)
        shown.append([emulators.step(np.array([[1, 3, 4][step % 3]])).frames for step in range(40)])
    # Difficulty 1 halves the paddle.
    assert not np.array_equal(shown[0], shown[1])
    assert not np.array_equal(shown[1], shown[2])


def test_modes_and_difficulties_are_the_emulators_own() -> None:
    import ale_py

    from xtra.envs.atari import rom_path

    for game in ATARI_ACTION_IDS:
        ale = ale_py.ALEInterface()
        ale.loadROM(rom_path(game))
        listed = {"mode": tuple(ale.getAvailableModes()), "difficulty": tuple(ale.getAvailableDifficulties())}
        assert flavours_of(game) == listed, game


def test_an_area_is_weighed_by_what_a_pixel_covers_of_it() -> None:
    """From 3 to 2 a pixel of the result covers one and a half: the middle ones are shared."""
    picture = np.array([[0, 90, 180], [9, 99, 189], [18, 108, 198]], np.uint8)[..., None]
    result = np.zeros((2, 2, 1), np.uint8)
    AreaResize(3, 3, 2)(picture, result)
    #  (0 + 90/2 + 9/2 + 99/4) / 2.25 = 33, and so on
    assert result[..., 0].tolist() == [[33, 153], [45, 165]]


def test_blocks_of_whole_pixels_are_averaged_with_halves_to_the_even_byte() -> None:
    picture = np.array([[1, 2, 3, 4], [1, 2, 3, 4]], np.uint8)[..., None].repeat(3, axis=2)
    result = np.zeros((2, 2, 3), np.uint8)
    AreaResize(4, 4, 2)(picture.repeat(2, axis=0), result)
    assert result[..., 0].tolist() == [[2, 4], [2, 4]]  # of 1.5 and 3.5


def test_a_picture_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="another shape"):
        AreaResize(4, 4, 2)(np.zeros((4, 3, 3), np.uint8), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="only made smaller"):
        AreaResize(4, 4, 5)


def test_noops_are_uniform_below_their_maximum() -> None:
    assert [num_noops(seed, maximum) for seed in (0, 1) for maximum in (0, 1)] == [0, 0, 0, 0]
    counts = np.bincount([num_noops(seed, 5) for seed in range(2_000)], minlength=6)
    assert counts[5] == 0
    assert (abs(counts[:5] - 400) < 4 * np.sqrt(2_000 * 0.2 * 0.8)).all()


@pytest.mark.parametrize("name", ["Breakout", "Breakout@mode=12", "Breakout@mode=12,difficulty=1", "Pong@difficulty=2"])
def test_a_flavour_has_one_name(name: str) -> None:
    assert parse_flavour(name).name == name
    assert find_game(name).action_ids == find_game(name.partition("@")[0]).action_ids


def test_a_plain_name_is_the_first_mode_in_difficulty_0() -> None:
    flavour = default_flavour("AirRaid")
    assert (flavour.mode, flavour.difficulty, flavour.name) == (1, 0, "AirRaid")
    # Backgammon lists difficulty 3 alone, and starts in 0.
    assert (default_flavour("Backgammon").difficulty, parse_flavour("Backgammon@difficulty=3").difficulty) == (0, 3)


BREAKOUT = "modes of Breakout: 0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44; difficulties: 0, 1"
MISTAKES = {
    "Breakout@mode=13": ("Breakout has no mode 13", BREAKOUT),
    "Breakout@mode=-4": ("Breakout has no mode -4", BREAKOUT),
    "Breakout@mode=hard": ("Breakout has no mode hard", BREAKOUT),
    "Breakout@mode=": ("Breakout has no mode of that name", BREAKOUT),
    "Breakout@difficulty=2": ("Breakout has no difficulty 2", BREAKOUT),
    "Breakout@mode=12;difficulty=1": ("Breakout has no mode 12;difficulty=1", BREAKOUT),
    "Breakout@level=3": ("'Breakout@level=3' is not a flavour's name", f"write Breakout@mode=M,difficulty=D; {BREAKOUT}"),
    "Breakout@12": ("'Breakout@12' is not a flavour's name", f"write Breakout@mode=M,difficulty=D; {BREAKOUT}"),
    "Breakout@": ("'Breakout@' is not a flavour's name", f"write Breakout@mode=M,difficulty=D; {BREAKOUT}"),
    "Breakout@mode=4,mode=8": (
        "'Breakout@mode=4,mode=8' is not a flavour's name",
        f"write Breakout@mode=M,difficulty=D; {BREAKOUT}",
    ),
    "Breakout@mode=0": ("'Breakout@mode=0' is called Breakout", "a game has one name: defaults left out, the mode first"),
    "Breakout@difficulty=1,mode=4": (
        "'Breakout@difficulty=1,mode=4' is called Breakout@mode=4,difficulty=1",
        "a game has one name: defaults left out, the mode first",
    ),
    "Breakout@mode=4, difficulty=1": (
        "'Breakout@mode=4, difficulty=1' is called Breakout@mode=4,difficulty=1",
        "a game has one name: defaults left out, the mode first",
    ),
    "Breakout@mode=04": (
        "'Breakout@mode=04' is called Breakout@mode=4",
        "a game has one name: defaults left out, the mode first",
    ),
    "Asterix@mode=1": ("Asterix has no mode 1", "modes of Asterix: 0; difficulties: 0"),
    "Catch@mode=1": ("Catch has no flavours", "write Catch; flavours are modes and difficulties of Atari's games"),
    "Breakuot@mode=4": ("unknown game 'Breakuot'", ""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_flavour_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(UnknownGame) as caught:
        find_game(name)
    assert (str(caught.value), caught.value.remedy) == MISTAKES[name]


def test_a_flavour_is_never_shown_larger_than_the_screen() -> None:
    with pytest.raises(ValidationError, match="Pong@mode=1 is shown on at most 160 pixels"):
        EnvironmentConfig(game="Pong@mode=1", frame_size=161)
    assert EnvironmentConfig(game="Pong", frame_size=161).frame_size == 161


def test_suites_take_flavours_as_targets_and_as_sources(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "suite: flavours\nversion: 1\nquestion: Do flavours transfer?\nprotocol: atari100k\npreset: small\nseeds: [0]\n"
        'targets: [Breakout, "Breakout@mode=12,difficulty=1"]\nsources: [other_targets]\nsource_method: Alone\nbaseline: Alone\n'
        "methods:\n  - name: Alone\n  - name: Transfer\n    set: {transfer.pretraining.method: distillation}\n"
    )
    trained = [job.config["environment"]["game"] for job in plan(load_suite(path)).jobs.values() if job.stage == "train"]
    assert set(trained) == {"Breakout", "Breakout@mode=12,difficulty=1"}
