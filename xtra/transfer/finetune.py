"""A learner that does not start from nothing: what a finetuning's configuration asks for, put together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xtra.agents.factory import Run, load_weights, make_learner
from xtra.agents.interface import Learner
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.transfer.config import FinetuningConfig


def make_finetuning_learner(
    agent: Config,
    environment: EnvironmentConfig,
    finetuning: FinetuningConfig,
    inputs: Mapping[str, tuple[Path, ...]],
    run: Run,
) -> Learner:
    """inputs: `pretrained` where something is loaded; `dataset` and `label`, one per source game, where tasks are crossed."""
    learner = make_learner(agent, environment, run)
    if finetuning.start is not None:
        (pretrained,) = inputs["pretrained"]
        learner.start_from(load_weights(pretrained, run.device), finetuning.start.components, finetuning.start.frozen)
    return learner
