"""Datasets: what a run saw and did, transition by transition; parts of it; other views by exact replay; random play."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xtra.envs.config import EnvironmentConfig
from xtra.replay.config import ReplayConfig
from xtra.replay.offline import OfflineData
from xtra.replay.recording import Recording
from xtra.stages import dataset, train
from xtra.stages.config import DatasetConfig, TrainConfig
from xtra.stages.context import StageContext
from xtra.telemetry import Telemetry
from xtra.transfer.config import DataConfig

VIEW: dict[str, Any] = {"game": "Catch", "frame_size": 10}
NETWORK: dict[str, Any] = {"frame_stack": 2, "channels": 4, "num_halvings": 0, "head_channels": 2, "head_hidden": 8} | {
    "lstm_hidden": 8, "support": 5, "projection_hidden": 8, "projection_size": 8, "predictor_hidden": 4
}  # fmt: skip
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


def make(directory: Path, run: Path | None, view: dict[str, Any] | None = None, **data: Any) -> OfflineData:
    config = DatasetConfig(
        environment=EnvironmentConfig(**VIEW | (view or {})),
        data=DataConfig(**data),
        env_steps=None if run else ENV_STEPS,
        seed=0,
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
