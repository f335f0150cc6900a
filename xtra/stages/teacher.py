"""Stage `teacher`: an EfficientZero trained on one game's dataset, whose predictions are then distilled."""

from __future__ import annotations

from xtra.agents.device import prepare_torch
from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.agents.interface import TrainingRun
from xtra.replay.offline import OfflineData
from xtra.rng import derive_seed
from xtra.stages.config import TeachConfig
from xtra.stages.context import StageContext
from xtra.stages.offline_training import train_offline
from xtra.transfer.teacher import Teacher


def run(config: TeachConfig, context: StageContext) -> None:
    """Input `dataset`. Leaves what `train_offline` does; with 0 updates a random network, the control."""
    seed = derive_seed(config.seed, "teacher")
    device = prepare_torch(config.num_threads)
    (dataset,) = context.inputs["dataset"]
    run = TrainingRun(
        num_updates=config.updates,
        env_step_updates=config.updates,
        seed=seed,
        num_threads=config.num_threads,
        device=device,
    )
    learner = EfficientZeroLearner(config.agent, config.environment, run)
    replay = OfflineData.open(dataset).replay(config.agent.replay, config.agent.window)
    if config.updates == 0:
        learner.randomize_heads()
    train_offline(Teacher(learner, replay), config.updates, config.checkpoint_interval, context)
