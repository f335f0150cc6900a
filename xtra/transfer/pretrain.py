"""From a pretraining's configuration to what does it: one case per agent and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from xtra.agents.config import CloningConfig
from xtra.agents.curl.config import CurlConfig
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.interface import TrainingRun
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.transfer.cloning import REPLAY, Cloning
from xtra.transfer.config import PretrainingConfig, TeacherConfig
from xtra.transfer.curl import PooledCurl
from xtra.transfer.distill import DistilledStudent
from xtra.transfer.multi_task import MultiTaskStudent
from xtra.transfer.offline_learner import OfflineLearner
from xtra.transfer.tasks import load_labelled_tasks, load_tasks


def make_pretrainer(
    agent: Config,
    environment: EnvironmentConfig,
    games: Sequence[str],
    pretraining: PretrainingConfig,
    teacher: TeacherConfig | None,
    inputs: Mapping[str, tuple[Path, ...]],
    run: TrainingRun,
) -> OfflineLearner:
    """inputs: `dataset`, and `label` where teachers are followed, one per game. Raises TypeError for an agent that cannot be
    pretrained that way."""
    size, frame_size, datasets = pretraining.batch_size, environment.frame_size, inputs["dataset"]
    match agent, pretraining.method:
        case EfficientZeroConfig(), "distillation" if teacher is not None:
            labelled = load_labelled_tasks(games, datasets, inputs["label"], agent.replay, agent.window)
            return DistilledStudent(agent, frame_size, labelled, size, run, teacher)
        case EfficientZeroConfig(), "multi_task":
            return MultiTaskStudent(agent, frame_size, load_tasks(games, datasets, agent.replay, agent.window), size, run)
        case CurlConfig(), "multi_task":
            return PooledCurl(agent, environment, load_tasks(games, datasets, agent.replay, agent.window), size, run)
        case CloningConfig(), "cloning" if teacher is not None:
            return Cloning(agent, frame_size, load_labelled_tasks(games, datasets, inputs["label"], REPLAY, 0), size, run)
        case CloningConfig(), "cloning":
            return Cloning(agent, frame_size, load_tasks(games, datasets, REPLAY, 0), size, run)
    raise TypeError(f"{type(agent).__name__} cannot be pretrained by {pretraining.method}")
