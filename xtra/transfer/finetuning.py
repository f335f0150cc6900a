"""Makes the learner of a finetuning, from a pretrained network and offline tasks, as its configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.factory import load_weights, make_learner
from xtra.agents.interface import Learner, TrainingRun
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.transfer.config import FinetuningConfig
from xtra.transfer.cross_tasks import CrossTaskLearner
from xtra.transfer.tasks import load_labelled_tasks


def make_finetuning_learner(
    agent: Config,
    environment: EnvironmentConfig,
    finetuning: FinetuningConfig,
    inputs: Mapping[str, tuple[Path, ...]],
    run: TrainingRun,
) -> Learner:
    """Makes an agent's learner. inputs: `pretrained` where weights are loaded; `dataset` and `label`, one per source game, for
    cross-tasks."""
    learner = _learner(agent, environment, finetuning, inputs, run)
    if finetuning.start is not None:
        (pretrained,) = inputs["pretrained"]
        learner.start_from(load_weights(pretrained, run.device), finetuning.start.components, finetuning.start.frozen)
    return learner


def _learner(
    agent: Config,
    environment: EnvironmentConfig,
    finetuning: FinetuningConfig,
    inputs: Mapping[str, tuple[Path, ...]],
    run: TrainingRun,
) -> Learner:
    if finetuning.cross_tasks is None:
        return make_learner(agent, environment, run)
    if not isinstance(agent, EfficientZeroConfig) or finetuning.task_weights is None or finetuning.teacher is None:
        raise ValueError("cross-tasks need agent efficientzero, task_weights and teacher")
    tasks = load_labelled_tasks(finetuning.sources, inputs["dataset"], inputs["label"], agent.replay, agent.window)
    return CrossTaskLearner(agent, environment, run, tasks, finetuning.cross_tasks, finetuning.task_weights, finetuning.teacher)
