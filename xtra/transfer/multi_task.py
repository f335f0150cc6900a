"""The student without teachers, as the paper's comparison: each game's targets are searched anew with its own delayed copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.descent import DelayedTarget
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.efficientzero.targets import Batch, TargetMaker
from xtra.agents.interface import TrainingRun
from xtra.rng import derive_seed
from xtra.transfer.offline_batches import Drawn
from xtra.transfer.sampling import TaskSample
from xtra.transfer.student import Student
from xtra.transfer.tasks import Task


class MultiTaskStudent(Student):
    """Its targets are those of EfficientZero, game by game, each over its own valid actions."""

    def __init__(
        self, config: EfficientZeroConfig, frame_size: int, tasks: Sequence[Task], batch_size: int, run: TrainingRun
    ) -> None:
        super().__init__(config, frame_size, tasks, batch_size, run)
        self._tasks = tasks
        self._target = DelayedTarget(self._network, config.targets.target_update_interval, config.precision)
        self._makers = [self._make_maker(task) for task in tasks]

    def take(self, update: int) -> list[Drawn]:
        """With targets that the delayed copy makes now."""
        return [Drawn(d.task, d.sample, self._make_targets(d, update)) for d in self._sampler.draw(update)]

    def update(self, update: int) -> dict[str, float]:
        """As every student; then the delayed copy, where it is due."""
        metrics = super().update(update)
        self._target.refresh(self._network, update)
        return metrics

    def state(self) -> dict[str, Any]:
        """Also the priorities and the delayed copies."""
        return super().state() | self._target.state() | {"replays": self._sampler.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        super().restore(state)
        self._target.restore(state)
        self._sampler.restore(state["replays"])

    def _make_targets(self, drawn: TaskSample, update: int) -> Batch:
        replay = self._tasks[drawn.task].replay
        return self._makers[drawn.task].make(replay, drawn.sample, self._target.network, update)

    def _make_maker(self, task: Task) -> TargetMaker:
        seed = derive_seed(self._run.seed, task.game)
        planner = Planner(self._config.search, task.action_ids, seed, self._run.num_threads)
        return TargetMaker(self._config, planner, seed)
