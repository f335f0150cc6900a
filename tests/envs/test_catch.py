"""The built-in games: the plain one is fixed for good, and each variant differs from it in the rule it names."""

import hashlib

import numpy as np
import pytest

from xtra.envs.catch import BLUE, CATCH_RULES, LEFT, RIGHT, WHITE, CatchEmulators
from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import make_emulators, make_training_environment
from xtra.protocol.catch import CATCH_GAMES
from xtra.protocol.families import PROTOCOLS
from xtra.protocol.games import find_game
from xtra.protocol.scores import reference_scores

NOOP = 0
EPISODE_STEPS = {"CatchSlow": 18, "CatchFast": 5}


def boards(game: str, num_envs: int = 64, seed: int = 0) -> tuple[CatchEmulators, np.ndarray]:
    """Boards with balls drawn from consecutive seeds, and their first frames."""
    emulators = make_emulators(EnvironmentConfig(game=game, frame_size=10), num_envs)
    assert isinstance(emulators, CatchEmulators)
    return emulators, emulators.reset(np.ones(num_envs, np.bool_), seed + np.arange(num_envs))


def columns_of(frames: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """The leftmost column of pixels in which each frame `[N, 10, 10, 3]` has the colour."""
    return (frames == color).all(-1).any(axis=1).argmax(axis=1)


def chase(game: str) -> np.ndarray:
    """The returns of a player who moves the paddle below the ball, as seen in the pixels."""
    rules = CATCH_RULES[game]
    emulators, frames = boards(game)
    for step in range(EPISODE_STEPS.get(game, 9)):
        offset = columns_of(frames, rules.ball) - columns_of(frames, rules.paddle)
        right, left = (RIGHT, LEFT) if rules.columns_per_right > 0 else (LEFT, RIGHT)
        result = emulators.step(np.where(offset > 0, right, np.where(offset < 0, left, NOOP)))
        frames = result.frames
        assert result.game_over.all() == (step == EPISODE_STEPS.get(game, 9) - 1)
    return result.rewards


def test_catch_is_played_as_it_was_when_its_results_were_recorded() -> None:
    environment = make_training_environment(EnvironmentConfig(game="Catch", frame_size=20), 4, seed=3)
    digest = hashlib.sha256(environment.reset().tobytes())
    for row in np.random.default_rng(0).integers(18, size=(60, 4)):
        step = environment.step(row)
        for array in (step.frames, step.rewards, step.terminal, step.episode_end, step.truncated):
            digest.update(array.tobytes())
    assert digest.hexdigest() == "1c37f5ee69e83bf57e821cb69e2324dec3dcb0da4e35fd9547d6ebfb888b4bcd"


def test_every_game_of_the_family_has_rules_and_a_protocol() -> None:
    assert tuple(CATCH_RULES) == CATCH_GAMES
    assert {find_game(name).family for name in CATCH_GAMES} == {PROTOCOLS["catch"].family}
    assert len(set(CATCH_RULES.values())) == len(CATCH_RULES)


@pytest.mark.parametrize("game", CATCH_GAMES)
def test_who_follows_the_ball_catches_it(game: str) -> None:
    assert (chase(game) == (-1 if game == "CatchNegated" else 1)).all()


@pytest.mark.parametrize("game", CATCH_GAMES)
def test_a_random_agent_returns_the_score_in_the_table(game: str) -> None:
    emulators, _ = boards(game, num_envs=20_000)
    actions = np.random.default_rng(0).choice([NOOP, RIGHT, LEFT], size=(EPISODE_STEPS.get(game, 9), 20_000))
    returns = sum(emulators.step(row).rewards for row in actions)
    # Returns are 1 or -1, so that their standard deviation is 0.8.
    assert np.mean(returns) == pytest.approx(reference_scores()[game].random, abs=4 * 0.8 / np.sqrt(20_000))


def test_the_inverted_game_is_the_plain_one_in_other_colours() -> None:
    plain, frames = boards("Catch")
    inverted, others = boards("CatchInverted")
    for row in np.random.default_rng(0).choice([NOOP, RIGHT, LEFT], size=(9, 64)):
        assert np.array_equal((frames == WHITE).all(-1), (others == CATCH_RULES["CatchInverted"].ball).all(-1))
        assert others.mean() > 150 > 50 > frames.mean()
        a, b = plain.step(row), inverted.step(row)
        frames, others = a.frames, b.frames
        assert np.array_equal(a.rewards, b.rewards)


def test_mirrored_swaps_left_and_right_and_rising_stands_on_its_head() -> None:
    plain, _ = boards("Catch")
    mirrored, _ = boards("CatchMirrored")
    rising, _ = boards("CatchRising")
    for row in np.random.default_rng(0).choice([NOOP, RIGHT, LEFT], size=(9, 64)):
        frames = plain.step(row).frames
        swapped = np.where(row == RIGHT, LEFT, np.where(row == LEFT, RIGHT, NOOP))
        assert np.array_equal(frames, mirrored.step(swapped).frames)
        assert np.array_equal(frames, rising.step(row).frames[:, ::-1])


def test_a_wide_board_has_ten_columns_and_a_paddle_of_two() -> None:
    wide, frames = boards("CatchWide")
    assert ((frames == WHITE).all(-1).sum(axis=(1, 2)) == 1).all()
    assert ((frames == BLUE).all(-1).sum(axis=(1, 2)) == 2).all()
    assert set(columns_of(frames, WHITE)) == set(range(10))
    for _ in range(6):
        frames = wide.step(np.full(64, RIGHT)).frames
    assert (columns_of(frames, BLUE) == 8).all()
