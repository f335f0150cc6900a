"""Multi-task behaviour cloning on offline data: the dataset's own actions, or its teachers' policies (facts: section 11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xtra.agents.cloning import Cloner
from xtra.agents.config import CloningConfig
from xtra.agents.interface import TrainingRun
from xtra.protocol.games import NUM_ACTIONS
from xtra.replay.config import ReplayConfig
from xtra.transfer.sampling import TaskSample, TaskSampler
from xtra.transfer.tasks import LabelledTask, Task

REPLAY = ReplayConfig()
"""Nothing sets priorities, so transitions are drawn uniformly."""


class Cloning:
    """Imitates the teachers of tasks that have labels, and the dataset's actions of the others."""

    def __init__(self, config: CloningConfig, frame_size: int, tasks: Sequence[Task], batch_size: int, run: TrainingRun) -> None:
        self._tasks, self._frame_stack = tasks, config.network.frame_stack
        self._sampler = TaskSampler(tasks, batch_size, REPLAY, num_updates=run.num_updates, seed=run.seed)
        self._cloner = Cloner(config, frame_size, run.seed, run.device)

    def update(self, update: int) -> dict[str, float]:
        """One joint step over samples of all games."""
        drawn = self._sampler.draw(update)
        stacks = [self._tasks[d.task].replay.stacks(d.sample.rows, d.sample.envs, self._frame_stack) for d in drawn]
        policies = np.concatenate([self._policies(d) for d in drawn])
        metrics, losses, agrees = self._cloner.update(np.concatenate(stacks), policies, update)
        by_game = {"policy_loss": losses, "agreement": agrees.float()}
        for name, values in by_game.items():
            metrics |= self._sampler.means(drawn, name, values.cpu().numpy())
        return metrics

    def state(self) -> dict[str, Any]:
        """The network and its optimiser; priorities never change."""
        return self._cloner.state()

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self._cloner.restore(state)

    def network_state(self) -> dict[str, Any]:
        """A whole EfficientZero network, so that EfficientZero can start from any part of it."""
        return self._cloner.network.state_dict()

    def _policies(self, drawn: TaskSample) -> NDArray[np.float32]:
        task = self._tasks[drawn.task]
        slots = task.replay.slots(drawn.sample.rows)
        if isinstance(task, LabelledTask):
            return task.labels.teacher_policies[slots]
        return np.eye(NUM_ACTIONS, dtype=np.float32)[task.replay.actions[slots, drawn.sample.envs]]
