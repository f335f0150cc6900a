"""The student that imitates one teacher per game: their policies, values after them, and the data's own rewards."""

from __future__ import annotations

from collections.abc import Sequence

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.targets import Batch
from xtra.agents.factory import Run
from xtra.transfer.config import TeacherConfig
from xtra.transfer.sampling import TaskSample
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
        run: Run,
        teacher: TeacherConfig,
    ) -> None:
        super().__init__(config, frame_size, tasks, batch_size, run)
        self._labelled = tasks
        self._targets = TeacherTargets(config, teacher, run.seed)

    def make_targets(self, drawn: TaskSample, update: int) -> Batch:
        """Of the sample's teacher."""
        return self._targets.make(self._labelled[drawn.task], drawn.sample, update)
