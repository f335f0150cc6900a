"""Stage `teacher`: an EfficientZero trained on one game's dataset alone, whose predictions are then distilled."""

from __future__ import annotations

from typing import Any

from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.agents.interface import TrainingRun, prepare_torch
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.offline import OfflineData
from xtra.rng import derive_seed
from xtra.stages.config import TrainTeacherConfig
from xtra.stages.context import StageContext
from xtra.stages.offline_training import train_offline


class Teacher:
    """The online agent's updates on a replay that never grows. Its reanalysis searches with the delayed target network, so its
    policies improve on those that played."""

    def __init__(self, learner: EfficientZeroLearner, replay: ReplayBuffer) -> None:
        self._learner, self._replay = learner, replay

    def update(self, update: int) -> dict[str, float]:
        """Makes optimiser step number `update`. Returns metrics."""
        return self._learner.update(self._replay, update)

    def state(self) -> dict[str, Any]:
        """Returns the learner's state and the priorities."""
        return {"learner": self._learner.state(), "replay": self._replay.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        self._learner.restore(state["learner"])
        self._replay.restore(state["replay"])

    def network_state(self) -> dict[str, Any]:
        """Returns the learning network's weights and batch-norm statistics."""
        return self._learner.network_state()


def run(config: TrainTeacherConfig, context: StageContext) -> None:
    """Trains a teacher on input `dataset`. Leaves what `train_offline` leaves; with 0 updates a random network, as a control."""
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
