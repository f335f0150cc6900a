"""Offline tasks made on the spot, to measure finetuning with: random play of each source game, labelled alike everywhere.

What an update decodes depends neither on who played nor on a teacher's labels, so neither does speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import NUM_ACTIONS, find_game
from xtra.replay.frames import frames_fit
from xtra.replay.offline import OfflineData
from xtra.stages import dataset
from xtra.stages.config import DatasetConfig, TrainConfig
from xtra.stages.context import StageContext
from xtra.telemetry import Telemetry
from xtra.transfer.config import DataConfig
from xtra.transfer.tasks import Labels, Task

ENV_STEPS = 5_000
"""Of random play per game: some hundred blocks of frames, so that few samples of an update share one."""
FULL_TRANSITIONS = 100_000
"""Of a game in a study; by these it is decided whether frames are kept raw or decoded when they are read."""


def make_inputs(config: TrainConfig, directory: Path) -> dict[str, tuple[Path, ...]]:
    """Inputs `dataset` and `label` of the run's source games; a game that is named twice is played once."""
    games = config.finetuning.sources if config.finetuning else ()
    for game in set(games):
        (directory / game / "data").mkdir(parents=True)
        _play(config.environment.model_copy(update={"game": game}), directory / game)
    return {"dataset": tuple(directory / game / "data" for game in games), "label": tuple(directory / game for game in games)}


def keep_frames_as_in_a_study(tasks: Sequence[Task], datasets: tuple[Path, ...], memory_gb: float) -> None:
    """Has frames decoded when they are read, as in a study, where a game's full dataset would not fit into memory: the few that
    are made here always would.

    memory_gb: of all tasks together.
    """
    for task, path in zip(tasks, datasets, strict=True):
        if not frames_fit(FULL_TRANSITIONS, 1, task.replay.frame_shape, memory_gb / len(tasks)):
            task.replay.frames = OfflineData.open(path).frames(memory_bytes=0)


def _play(environment: EnvironmentConfig, directory: Path) -> None:
    config = DatasetConfig(environment=environment, data=DataConfig(policy="random"), env_steps=ENV_STEPS, seed=0)
    dataset.run(config, StageContext(directory, directory / "data", {}, Telemetry(directory)))
    count, valid = OfflineData.open(directory / "data").num_transitions, find_game(environment.game).action_ids
    policies = np.zeros((count, NUM_ACTIONS), np.float32)
    policies[:, valid] = 1 / len(valid)
    Labels(policies, np.zeros(count, np.float32)).save(directory)
