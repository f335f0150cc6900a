"""Stage `pretrain`: one network for all source games, from their offline data."""

from __future__ import annotations

from xtra.agents.device import prepare_torch
from xtra.agents.interface import Run
from xtra.rng import derive_seed
from xtra.stages.config import PretrainConfig
from xtra.stages.context import StageContext
from xtra.stages.offline_training import train_offline
from xtra.transfer.pretrain import make_pretrainer


def run(config: PretrainConfig, context: StageContext) -> None:
    """Inputs `dataset` and, where teachers are followed, `label`, one per game. Leaves what `train_offline` does."""
    updates = config.pretraining.updates
    run = Run(
        num_updates=updates,
        env_step_updates=updates,
        # The network must not begin as the one that is finetuned with an equal seed.
        seed=derive_seed(config.seed, "pretrain"),
        num_threads=config.num_threads,
        device=prepare_torch(config.num_threads),
    )
    learner = make_pretrainer(
        config.agent, config.environment, config.games, config.pretraining, config.teacher, context.inputs, run
    )
    train_offline(learner, updates, config.checkpoint_interval, context)
