"""The student that imitates one teacher per game: their policies, values after them, and the data's own rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.interface import TrainingRun
from xtra.transfer.config import TeacherConfig
from xtra.transfer.offline_batches import Drawn, OfflineBatches
from xtra.transfer.student import Student
from xtra.transfer.tasks import LabelledTask, TeacherTargets


class DistilledStudent(Student):
    """Its targets never change: they are read from the labels."""

    def __init__(
        self,
        config: EfficientZeroConfig,
        frame_size: int,
        tasks: Sequence[LabelledTask],
        batch_size: int,
        run: TrainingRun,
        teacher: TeacherConfig,
    ) -> None:
        super().__init__(config, frame_size, tasks, batch_size, run)
        self._batches = OfflineBatches(tasks, TeacherTargets(config, teacher, run.seed), self._sampler)

    def take(self, update: int) -> list[Drawn]:
        """With each game's teacher's targets."""
        return self._batches.take(update)

    def state(self) -> dict[str, Any]:
        """Also the priorities and the samples that are drawn already."""
        return super().state() | {"offline": self._batches.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        super().restore(state)
        self._batches.restore(state["offline"])
