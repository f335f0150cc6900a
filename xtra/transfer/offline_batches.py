"""Batches of the offline tasks for finetuning, drawn one update ahead so that their frames decode while the update before runs.

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

from xtra.agents.efficientzero.schedules import priority_correction
from xtra.agents.efficientzero.targets import Batch
from xtra.replay.buffer import Sample
from xtra.replay.config import ReplayConfig
from xtra.rng import stream
from xtra.transfer.config import CrossTaskConfig
from xtra.transfer.tasks import LabelledTask, TeacherTargets


@dataclass(frozen=True)
class Drawn:
    """A batch of the task number `task`."""

    task: int
    sample: Sample
    batch: Batch


class OfflineBatches:
    """Call `take` once per update, in order, and `set_priorities` with what it gave."""

    def __init__(
        self,
        tasks: Sequence[LabelledTask],
        targets: TeacherTargets,
        config: CrossTaskConfig,
        replay: ReplayConfig,
        *,
        num_updates: int,
        seed: int,
    ) -> None:
        self._tasks, self._targets, self._config, self._replay = tasks, targets, config, replay
        self._num_updates, self._seed = num_updates, seed
        self._pool = ThreadPoolExecutor(1, "offline-batches")
        self._next: list[tuple[int, Sample]] | None = None
        self._decoded: Future[list[Drawn]] | None = None

    def take(self, update: int) -> list[Drawn]:
        """One batch per task; with `shared_queue` as many batches, each of a task drawn at random."""
        samples = self._next if self._next is not None else self._draw(update)
        decoded = self._decoded or self._submit(samples, update)
        self._next = self._draw(update + 1)
        # The one thread works in the order of submission, so this update's batches are not kept waiting.
        self._decoded = self._submit(self._next, update + 1)
        return decoded.result()

    def set_priorities(self, drawn: Drawn, value_errors: NDArray[np.float64]) -> None:
        """In the task's own replay."""
        self._tasks[drawn.task].replay.update_priorities(drawn.sample, value_errors)

    def state(self) -> dict[str, Any]:
        """Priorities, and the samples that are drawn already."""
        drawn = None if self._next is None else [(task, s.rows, s.envs, s.weights) for task, s in self._next]
        return {"drawn": drawn, "replays": [task.replay.state() for task in self._tasks]}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`; decoding starts anew."""
        for task, replay in zip(self._tasks, state["replays"], strict=True):
            task.replay.restore(replay)
        drawn = state["drawn"]
        self._next = None if drawn is None else [(task, Sample(*arrays)) for task, *arrays in drawn]
        self._decoded = None

    def _draw(self, update: int) -> list[tuple[int, Sample]]:
        num_tasks = len(self._tasks)
        order: Sequence[int] = range(num_tasks)
        if self._config.composition == "shared_queue":
            order = stream(self._seed, "shared-queue", update).integers(num_tasks, size=num_tasks).tolist()
        correction = priority_correction(min(update, self._num_updates - 1), self._num_updates, self._replay)
        size = self._config.batch_size // num_tasks
        return [
            (task, self._tasks[task].replay.sample(size, stream(self._seed, "cross-task", update, place), correction))
            for place, task in enumerate(order)
        ]

    def _submit(self, samples: list[tuple[int, Sample]], update: int) -> Future[list[Drawn]]:
        return self._pool.submit(
            lambda: [
                Drawn(task, sample, self._targets.make(self._tasks[task], sample, update, place))
                for place, (task, sample) in enumerate(samples)
            ]
        )
