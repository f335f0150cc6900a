"""What every game family promises. A new one is added to FAMILIES and passes this file (docs/environments.md)."""

import numpy as np
import pytest

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import VectorEnvironment, make_emulators, make_training_environment
from xtra.protocol.games import NUM_ACTIONS, find_game

FAMILIES = {
    "Catch": EnvironmentConfig(game="Catch", frame_size=10),
    "CatchSlow": EnvironmentConfig(game="CatchSlow", frame_size=20, color="gray"),
    "MinAtarBreakout": EnvironmentConfig(game="MinAtarBreakout", frame_size=10),
    "MinAtarAsterix": EnvironmentConfig(game="MinAtarAsterix", frame_size=10, repeat_action_probability=0.1),
    "MinAtarSpaceInvaders": EnvironmentConfig(game="MinAtarSpaceInvaders", frame_size=20, repeat_action_probability=0.1),
    "Breakout": EnvironmentConfig(game="Breakout", frame_size=48),
    "Breakout@mode=12,difficulty=1": EnvironmentConfig(game="Breakout@mode=12,difficulty=1", frame_size=48),
    "Pong@mode=1": EnvironmentConfig(
        game="Pong@mode=1", frame_size=48, color="gray", repeat_action_probability=0.25, max_episode_env_steps=60
    ),
    "Pong": EnvironmentConfig(game="Pong", frame_size=48, repeat_action_probability=0.25, max_episode_env_steps=60),
}


@pytest.fixture(params=FAMILIES)
def config(request: pytest.FixtureRequest) -> EnvironmentConfig:
    return FAMILIES[request.param]


def roll(environment: VectorEnvironment, actions: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    steps = [environment.step(row) for row in actions]
    return [(s.frames, s.rewards, s.terminal, s.episode_end, s.truncated) for s in steps]


def same(a: list[tuple[np.ndarray, ...]], b: list[tuple[np.ndarray, ...]]) -> bool:
    return all(np.array_equal(x, y) for s, t in zip(a, b, strict=True) for x, y in zip(s, t, strict=True))


def random_actions(num_steps: int, num_envs: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(NUM_ACTIONS, size=(num_steps, num_envs))


def test_frames_are_square_bytes_of_three_channels_or_one(config: EnvironmentConfig) -> None:
    frames = make_training_environment(config, 3, seed=0).reset()
    assert frames.shape == (3, config.frame_size, config.frame_size, {"rgb": 3, "gray": 1}[config.color])
    assert frames.dtype == np.uint8
    assert frames.any()


def test_equal_seeds_play_alike_and_other_seeds_do_not(config: EnvironmentConfig) -> None:
    rolls = []
    for seed in (0, 0, 1):
        environment = make_training_environment(config, 3, seed)
        environment.reset()
        rolls.append(roll(environment, random_actions(60)))
    assert same(rolls[0], rolls[1])
    assert not same(rolls[0], rolls[2])


def test_another_view_of_the_same_seed_and_actions_is_the_same_game(config: EnvironmentConfig) -> None:
    other = "rgb" if config.color == "gray" else "gray"
    rolls = []
    for view in (config, config.model_copy(update={"color": other, "frame_size": 2 * config.frame_size})):
        environment = make_training_environment(view, 3, seed=2)
        environment.reset()
        rolls.append(roll(environment, random_actions(220)))
    assert any(step[3].any() for step in rolls[0])
    assert rolls[0][0][0].shape != rolls[1][0][0].shape
    assert same([step[1:] for step in rolls[0]], [step[1:] for step in rolls[1]])


@pytest.mark.parametrize("stop", [0, 57])
def test_a_restored_environment_goes_on_as_if_it_had_not_stopped(config: EnvironmentConfig, stop: int) -> None:
    actions = random_actions(110)
    original = make_training_environment(config, 3, seed=5)
    frames = original.reset()
    before = roll(original, actions[:stop])
    restored = make_training_environment(config, 3, seed=5)
    seen = restored.restore(original.state())
    assert np.array_equal(seen, before[-1][0] if before else frames)
    assert same(roll(original, actions[stop:]), roll(restored, actions[stop:]))


def test_a_game_does_not_depend_on_its_neighbours_or_on_what_was_played_before(config: EnvironmentConfig) -> None:
    seeds = np.array([11, 22, 33])
    alone, together = make_emulators(config, 1), make_emulators(config, 3)
    together.reset(np.ones(3, np.bool_), seeds + 1)
    for row in random_actions(25):
        together.step(row)
    only_second = np.array([False, True, False])
    assert np.array_equal(together.reset(only_second, seeds)[1], alone.reset(np.ones(1, np.bool_), seeds[1:2])[0])
    for row in random_actions(8):
        a, b = together.step(row), alone.step(row[1:2])
        assert np.array_equal(a.frames[1], b.frames[0]) or a.game_over[1]
        assert (a.rewards[1], a.game_over[1]) == (b.rewards[0], b.game_over[0])


def test_episodes_are_cut_at_the_cap(config: EnvironmentConfig) -> None:
    cut = config.model_copy(update={"max_episode_env_steps": 4})
    environment = make_training_environment(cut, 2, seed=0)
    environment.reset()
    steps = [environment.step(np.zeros(2, np.int64)) for _ in range(12)]
    ends = np.array([s.episode_end for s in steps])
    assert ends[[3, 7, 11]].all()
    assert ends.sum() == 6
    assert np.array([s.truncated for s in steps])[[3, 7, 11]].all()


def test_a_step_shows_what_its_actions_led_to_even_where_a_new_game_begins(config: EnvironmentConfig) -> None:
    """Compared with the emulators themselves, which know of no episodes."""
    environment = make_training_environment(config, 3, seed=0)
    emulators = make_emulators(config, 3)
    emulators.reset(np.ones(3, np.bool_), np.array([environment._episode_seed(env, 0) for env in range(3)]))
    environment.reset()
    running = np.ones(3, np.bool_)
    for row in random_actions(220):
        step, result = environment.step(row), emulators.step(row)
        assert np.array_equal(step.final_frames[running], result.frames[running])
        going_on = running & ~step.episode_end
        assert np.array_equal(step.frames[going_on], step.final_frames[going_on])
        running = going_on
        if not running.any():
            break
    assert not running.all()


def test_ataris_final_frame_is_that_of_an_emulator_which_does_not_start_anew() -> None:
    from ale_py import roms
    from ale_py.registration import rom_id_to_name
    from ale_py.vector_env import AtariVectorEnv

    rom_id = next(rom_id for rom_id in roms.get_all_rom_ids() if rom_id_to_name(rom_id) == "Breakout")
    plain = AtariVectorEnv(
        rom_id,
        1,
        full_action_space=True,
        repeat_action_probability=0.0,
        noop_max=30,
        img_height=48,
        img_width=48,
        grayscale=False,
        stack_num=1,
        reward_clipping=False,
        use_fire_reset=False,
        autoreset_mode="NextStep",
    )
    environment = make_training_environment(FAMILIES["Breakout"], 1, seed=0)
    environment.reset()
    plain.reset(seed=np.array([environment._episode_seed(0, 0)]), options={"reset_mask": np.ones(1, np.bool_)})
    lives_lost = 0
    for row in random_actions(400, num_envs=1):
        step, (frames, _, over, _, _) = environment.step(row), plain.step(row)
        assert np.array_equal(step.final_frames, frames[:, 0])
        assert step.episode_end[0] == over[0]
        lives_lost += int(step.terminal[0])
        if over[0]:
            break
    assert over[0] and lives_lost == 5
    assert not np.array_equal(step.frames, step.final_frames)


def test_a_lost_life_is_a_terminal_but_the_game_goes_on() -> None:
    environment = make_training_environment(FAMILIES["Breakout"], 3, seed=0)
    environment.reset()
    steps = [environment.step(row) for row in random_actions(250)]
    lost = sum(int((s.terminal & ~s.episode_end).sum()) for s in steps)
    over = sum(int(s.episode_end.sum()) for s in steps)
    # Breakout has five lives: four are lost without ending the game.
    assert over >= 1
    assert 4 * over <= lost <= 4 * (over + 3)


def test_action_sets_are_the_emulators_own() -> None:
    from ale_py import ALEInterface, LoggerMode, roms
    from ale_py.registration import rom_id_to_name

    ALEInterface.setLoggerMode(LoggerMode.Error)
    rom_ids = {rom_id_to_name(rom_id): rom_id for rom_id in roms.get_all_rom_ids()}
    for name in ("Assault", "Pooyan", "Phoenix", "MsPacman", "Seaquest", "WizardOfWor", "Breakout"):
        emulator = ALEInterface()
        emulator.loadROM(roms.get_rom_path(rom_ids[name]))
        assert sorted(action.value for action in emulator.getMinimalActionSet()) == list(find_game(name).action_ids)
