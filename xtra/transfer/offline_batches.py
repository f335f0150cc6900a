"""Batches of offline tasks with their teachers' targets, drawn one update ahead so that frames decode while the device works.

What is drawn stays a function of the configuration and the seed: update u's samples are drawn when update u - 1 begins, before
that update sets new priorities, whatever the threads do.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xtra.agents.efficientzero.targets import Batch
from xtra.replay.buffer import Sample
from xtra.transfer.sampling import TaskSample, TaskSampler
from xtra.transfer.tasks import LabelledTask, TeacherTargets


@dataclass(frozen=True)
class Drawn(TaskSample):
    """The sample as a batch."""

    batch: Batch


class OfflineBatches:
    """Call `take` once per update, in order, and `set_priorities` with what it gave. sampler: of these tasks."""

    def __init__(self, tasks: Sequence[LabelledTask], targets: TeacherTargets, sampler: TaskSampler) -> None:
        self._tasks, self._targets, self._sampler = tasks, targets, sampler
        self._pool = ThreadPoolExecutor(1, "offline-batches")
        self._next: list[TaskSample] | None = None
        self._decoded: Future[list[Drawn]] | None = None

    def take(self, update: int) -> list[Drawn]:
        """What the sampler drew for this update."""
        samples = self._next if self._next is not None else self._sampler.draw(update)
        decoded = self._decoded or self._submit(samples, update)
        self._next = self._sampler.draw(update + 1)
        # The one thread works in the order of submission, so this update's batches are not kept waiting.
        self._decoded = self._submit(self._next, update + 1)
        return decoded.result()

    def set_priorities(self, drawn: Sequence[Drawn], priorities: NDArray[np.float64]) -> None:
        """Of all samples, one after another, in the tasks' own replays."""
        self._sampler.set_priorities(drawn, priorities)

    def state(self) -> dict[str, Any]:
        """Priorities, and the samples that are drawn already."""
        drawn = None if self._next is None else [(d.task, d.sample.rows, d.sample.envs, d.sample.weights) for d in self._next]
        return {"drawn": drawn, "replays": self._sampler.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`; decoding starts anew."""
        self._sampler.restore(state["replays"])
        drawn = state["drawn"]
        self._next = None if drawn is None else [TaskSample(task, Sample(*arrays)) for task, *arrays in drawn]
        self._decoded = None

    def _submit(self, samples: Sequence[TaskSample], update: int) -> Future[list[Drawn]]:
        return self._pool.submit(
            lambda: [
                Drawn(d.task, d.sample, self._targets.make(self._tasks[d.task], d.sample, update, place))
                for place, d in enumerate(samples)
            ]
        )
