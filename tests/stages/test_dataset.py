"""Datasets: what a run saw and did, transition by transition; parts of it; other views by exact replay; random play."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import make_emulators
from xtra.replay.config import ReplayConfig
from xtra.replay.offline import OfflineData
from xtra.replay.recording import Recording, Trajectory
from xtra.stages import dataset, train
from xtra.stages.config import DatasetConfig, TrainConfig
from xtra.stages.context import StageContext
from xtra.store.files import DamagedError
from xtra.telemetry import Telemetry
from xtra.transfer.config import DataConfig

from ..tiny_agent import NETWORK

VIEW: dict[str, Any] = {"game": "Catch", "frame_size": 10}
ENV_STEPS = 201
"""67 rows of 3: seven whole games of 9 steps and a piece of 4 in each environment."""


def context(directory: Path, **inputs: tuple[Path, ...]) -> StageContext:
    for name in ("work", "out"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    return StageContext(directory / "work", directory / "out", inputs, Telemetry(directory / "work"))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, train.OnlineTraining]:
    """What a run left, and the run itself."""
    directory = tmp_path_factory.mktemp("run")
    config = TrainConfig.model_validate(
        {
            "environment": VIEW,
            "agent": {
                "name": "efficientzero",
                "network": NETWORK,
                "search": {"num_simulations": 4},
                "acting": {"num_envs": 3},
                "optimizer": {"batch_size": 8},
                "replay": {"min_transitions": 60},
            },
            "training": {"env_steps": ENV_STEPS, "final_updates": 0, "updates_per_env_step": 0.1, "curve_episodes": 0},
            "seed": 5,
        }
    )
    training = train.OnlineTraining(config, torch.device("cpu"), context(directory))
    while training.move():
        pass
    training.save_outputs()
    return directory / "out", training


def make(directory: Path, run: Path | None, view: Mapping[str, Any] = VIEW, seed: int = 0, **data: Any) -> OfflineData:
    config = DatasetConfig(
        environment=EnvironmentConfig(**(VIEW | dict(view))),
        data=DataConfig(**data),
        env_steps=None if run else ENV_STEPS,
        seed=seed,
    )
    dataset.run(config, context(directory, **({"train": (run,)} if run else {})))
    return OfflineData.open(directory / "out")


@pytest.mark.parametrize("memory", [0.0, 1.0])
def test_a_dataset_of_a_whole_run_is_its_replay_transition_by_transition(
    played: tuple[Path, train.OnlineTraining], tmp_path: Path, memory: float
) -> None:
    run, training = played
    data, original = make(tmp_path, run), training.replay
    replay = data.replay(ReplayConfig(frame_memory_gb=memory), window=3)
    trajectories = Recording(run / "replay").trajectories()
    rows = np.concatenate([np.arange(t.first, t.last + 1) for t in trajectories])
    envs = np.concatenate([np.full(t.num_transitions, t.env) for t in trajectories])
    assert sorted(zip(rows.tolist(), envs.tolist(), strict=True)) == [(row, env) for row in range(67) for env in range(3)]
    mine, column = np.arange(ENV_STEPS), np.zeros(ENV_STEPS, np.int64)
    assert np.array_equal(replay.stacks(mine, column, 4), original.stacks(rows, envs, 4))
    for name in ("actions", "rewards", "policies", "root_values"):
        assert np.array_equal(getattr(replay, name)[mine, 0], getattr(original, name)[rows, envs]), name
    assert np.array_equal(mine - replay.first[mine, 0], rows - original.first[rows, envs])
    # Of the pieces that the end of the run cut, four steps long, only the first has three known steps after it.
    drawn = set(replay.sample(5_000, np.random.default_rng(0), 1.0).rows.tolist())
    cut = set(range(189, 201))
    assert drawn == set(range(189)) | {189, 193, 197} and drawn.isdisjoint(cut - {189, 193, 197})


def frames_of(data: OfflineData) -> NDArray[np.uint8]:
    rows = np.arange(data.num_transitions)
    return data.frames(0.0).read(rows, np.zeros_like(rows))


def as_run(random_play: Path, run: Path) -> Path:
    """What random play recorded, as the run it was."""
    shutil.copytree(random_play / "work" / "random-play", run / "replay")
    return run


TRAJECTORIES = [Trajectory(0, first, first + 9, True) for first in range(0, 100, 10)]
"""Ten of ten transitions."""


@pytest.mark.parametrize(
    ("part", "transitions", "chosen"),
    [
        ("early", 25, [0, 1, 2]),
        ("late", 25, [7, 8, 9]),
        ("all", 25, [0, 4, 8]),
        ("all", None, range(10)),
        ("late", 999, range(10)),
    ],
)
def test_a_part_of_a_run_is_its_first_last_or_evenly_spread_trajectories(
    part: Any, transitions: int | None, chosen: list[int]
) -> None:
    config = DataConfig.model_construct(part=part, transitions=transitions)
    assert dataset.choose(TRAJECTORIES, config) == [TRAJECTORIES[i] for i in chosen]


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    part=st.sampled_from(["all", "early", "late"]),
    transitions=st.integers(100, 8_000),
)
def test_whole_trajectories_are_taken_until_the_count_is_just_reached(lengths: list[int], part: Any, transitions: int) -> None:
    trajectories = [Trajectory(i, 0, length - 1, True) for i, length in enumerate(lengths)]
    chosen = dataset.choose(trajectories, DataConfig(part=part, transitions=transitions))
    taken = [trajectory.num_transitions for trajectory in chosen]
    assert chosen == sorted(chosen)
    assert sum(taken) >= min(transitions, sum(lengths))
    assert sum(taken) - max(taken) < transitions


def test_a_late_part_is_what_the_whole_dataset_ends_with_and_meta_and_card_count_it(
    played: tuple[Path, train.OnlineTraining], tmp_path: Path
) -> None:
    whole, late = make(tmp_path / "whole", played[0]), make(tmp_path / "late", played[0], part="late", transitions=100)
    count = late.num_transitions
    assert late.meta["counts"] == {"transitions": count, "trajectories": 13, "incomplete": 3, "episodes": 13}
    assert count == 3 * 4 + 10 * 9
    assert np.array_equal(frames_of(late), frames_of(whole)[-count:])
    assert np.array_equal(late.steps.rewards, whole.steps.rewards[-count:])
    card = (tmp_path / "late" / "out" / "card.md").read_text()
    assert "102 transitions in 13 whole trajectories of 13 games, played by an agent while it learned" in card
    assert "seed 5" in card


def test_the_card_tells_how_each_third_of_the_data_was_played(played: tuple[Path, train.OnlineTraining], tmp_path: Path) -> None:
    data = make(tmp_path, played[0])
    returns: dict[int, float] = {}
    for first, reward in zip(data.steps.first.tolist(), data.steps.rewards.tolist(), strict=True):
        returns[first] = returns.get(first, 0.0) + reward
    lines = [line for line in (tmp_path / "out" / "card.md").read_text().splitlines() if "third |" in line]
    for number, (name, line) in enumerate(zip(("first", "second", "last"), lines, strict=True)):
        bounds = [data.num_transitions * edge / 3 for edge in (number, number + 1)]
        part = {first: value for first, value in returns.items() if bounds[0] <= first < bounds[1]}
        length = sum(int(first) in part for first in data.steps.first)
        mean = round(sum(part.values()) / len(part), 2)
        assert line == f"| {name} third | {len(part)} | {length} | {mean:g} | {min(part.values()):g} | {max(part.values()):g} |"


def test_the_same_job_leaves_the_same_bytes(played: tuple[Path, train.OnlineTraining], tmp_path: Path) -> None:
    for directory in ("a", "b"):
        make(tmp_path / directory, played[0], transitions=100)
    for path in (tmp_path / "a" / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "out" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("game", ["Catch", "Breakout"])
def test_another_view_rendered_by_replay_is_what_the_same_play_in_that_view_saw(game: str, tmp_path: Path) -> None:
    """Random play does not look, so it plays alike whatever it sees."""
    seen: dict[str, Any] = {"game": game, "frame_size": 20}
    wanted = seen | {"color": "gray", "frame_size": 30}
    make(tmp_path / "seen", None, seen, policy="random")
    rendered = make(tmp_path / "rendered", as_run(tmp_path / "seen", tmp_path / "run"), wanted)
    original = make(tmp_path / "original", None, wanted, policy="random")
    assert rendered.frame_shape == (30, 30, 1)
    assert np.array_equal(frames_of(rendered), frames_of(original))
    assert len(np.unique(frames_of(rendered).reshape(rendered.num_transitions, -1), axis=0)) > 20
    assert (rendered.meta["source"]["rendered"], original.meta["source"]["rendered"]) == (True, False)


@pytest.mark.parametrize("game", ["Catch", "Breakout"])
def test_an_episode_played_again_from_its_seed_and_actions_shows_what_the_dataset_holds(game: str, tmp_path: Path) -> None:
    view: dict[str, Any] = {"game": game, "frame_size": 20}
    data = make(tmp_path, None, view, seed=3, policy="random", part="late", transitions=100)
    (emulators, frames), seen = (make_emulators(EnvironmentConfig(**view), 1), frames_of(data)), 0
    for episode, seed in enumerate(data.episodes.seeds):
        frame = emulators.reset(np.ones(1, np.bool_), np.array([seed]))
        actions = data.episodes.actions[slice(*data.episodes.starts[episode : episode + 2])]
        for step, action in enumerate(actions):
            for row in np.flatnonzero((data.steps.episodes == episode) & (data.steps.episode_steps == step)):
                assert np.array_equal(frames[row], frame[0])
                assert data.steps.actions[row] == action
                seen += 1
            frame = emulators.step(np.array([action], np.int64)).frames
    assert seen == data.num_transitions


def test_random_play_takes_only_valid_actions_and_each_about_as_often(tmp_path: Path) -> None:
    data = make(tmp_path, None, policy="random")
    assert data.num_transitions == 204  # whole rows of four
    assert "of 24 games, played by uniformly random play" in (tmp_path / "out" / "card.md").read_text()
    actions, counts = np.unique(data.steps.actions, return_counts=True)
    assert actions.tolist() == [0, 3, 4]
    assert counts.min() > 204 / 3 - 3 * np.sqrt(204 * 2 / 9)


def test_random_play_draws_its_actions_and_its_episodes_from_its_seed(tmp_path: Path) -> None:
    first, again, other = (
        make(tmp_path / name, None, policy="random", seed=seed) for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert np.array_equal(first.steps.actions, again.steps.actions)
    assert not np.array_equal(first.steps.actions, other.steps.actions)
    assert first.episodes.seeds.tolist() == again.episodes.seeds.tolist()
    assert not set(first.episodes.seeds.tolist()) & set(other.episodes.seeds.tolist())


@pytest.mark.parametrize(("setting", "value"), [("max_episode_env_steps", 5), ("game", "CatchSlow"), ("frame_skip", 2)])
def test_a_view_in_which_the_game_would_be_another_is_refused(
    played: tuple[Path, train.OnlineTraining], tmp_path: Path, setting: str, value: object
) -> None:
    with pytest.raises(ValueError, match=rf"environment\.{setting} is {value!r}, but the source run"):
        make(tmp_path, played[0], {setting: value})


@pytest.mark.parametrize(
    ("altered", "row"),
    [
        # With another seed the balls fall elsewhere: some of the three first episodes, which end in row 8, reward otherwise.
        ({"seed": 4}, 8),
        # The run's last trajectories are said to have ended with it.
        ({"open_rows": [67, 67, 67]}, 66),
    ],
)
def test_a_replay_that_takes_another_course_is_an_error_that_names_game_and_row(
    played: tuple[Path, train.OnlineTraining], tmp_path: Path, altered: dict[str, Any], row: int
) -> None:
    run = shutil.copytree(played[0], tmp_path / "run")
    meta = json.loads((run / "replay" / "meta.json").read_text())
    (run / "replay" / "meta.json").write_text(json.dumps(meta | altered))
    with pytest.raises(ValueError, match=f"Catch, row {row}: played again"):
        make(tmp_path, run, {"color": "gray"})


def test_a_run_that_left_no_whole_replay_is_told(played: tuple[Path, train.OnlineTraining], tmp_path: Path) -> None:
    run = shutil.copytree(played[0], tmp_path / "run")
    (segment,) = (run / "replay").glob("rows-*")
    segment.write_bytes(segment.read_bytes()[:-1])
    with pytest.raises(DamagedError, match=segment.name):
        make(tmp_path, run)
    segment.unlink()
    with pytest.raises(DamagedError, match="rows 0 to 66"):
        make(tmp_path, run)
    (run / "replay" / "meta.json").unlink()
    with pytest.raises(DamagedError, match=r"meta\.json"):
        make(tmp_path, run)
