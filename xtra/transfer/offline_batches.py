"""Offline data of an update: samples drawn from all tasks, and their batches, prepared one update ahead.

Draws are a function of the configuration, the seed and the priorities. Update u's samples are drawn when update u - 1 begins,
before that update sets new priorities, so the decoding thread's speed changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xtra.agents.efficientzero.batch import Batch
from xtra.replay.buffer import Sample
from xtra.replay.config import ReplayConfig
from xtra.rng import stream
from xtra.transfer.tasks import LabelledTask, Task, TeacherTargets


@dataclass(frozen=True)
class TaskSample:
    """Transitions drawn from one task. task: its number."""

    task: int
    sample: Sample


@dataclass(frozen=True)
class TaskBatch(TaskSample):
    """Transitions drawn from one task, with what the network is trained towards."""

    batch: Batch


class TaskSampler:
    """Draws an update's transitions from all tasks, from each by its own priorities. num_updates: of the whole training.

    composition: `balanced` draws from every task in every update (Xu et al., 2023, section 3); `shared_queue` makes as many
    batches, each of a task drawn at random, as the released code's one queue does. share: of `batch_size`, by update.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        batch_size: int,
        config: ReplayConfig,
        *,
        num_updates: int,
        seed: int,
        composition: Literal["balanced", "shared_queue"] = "balanced",
        share: Callable[[int], float] = lambda update: 1.0,
    ) -> None:
        self._tasks, self._batch_size, self._config, self._share = tasks, batch_size, config, share
        self._num_updates, self._seed, self._composition = num_updates, seed, composition

    def draw(self, update: int) -> list[TaskSample]:
        """Returns one sample per task, in order, or one per place in the queue; none where a share is 0."""
        num_tasks = len(self._tasks)
        order: Sequence[int] = range(num_tasks)
        if self._composition == "shared_queue":
            order = stream(self._seed, "shared-queue", update).integers(num_tasks, size=num_tasks).tolist()
        batch_size = round(self._batch_size * self._share(update))
        exponent = self._config.importance_exponent(update, self._num_updates)
        return [
            TaskSample(task, self._tasks[task].replay.sample(size, stream(self._seed, "offline-replay", update, place), exponent))
            for place, (task, size) in enumerate(zip(order, shares(batch_size, num_tasks, update), strict=True))
            if size
        ]

    def set_priorities(self, samples: Sequence[TaskSample], priorities: NDArray[np.float64]) -> None:
        """Sets the priorities `[B]` of all samples, concatenated in order, in their tasks' replays."""
        for one, part in zip(samples, _split(priorities, samples), strict=True):
            self._tasks[one.task].replay.update_priorities(one.sample, part)

    def means(self, samples: Sequence[TaskSample], name: str, values: NDArray[np.floating]) -> dict[str, float]:
        """Returns the metric `name` of each game: the mean of its part of `values` `[B]`, which cover all samples in order."""
        parts = _split(values, samples)
        return {f"{name}/{self._tasks[one.task].game}": float(part.mean()) for one, part in zip(samples, parts, strict=True)}

    def state(self) -> list[dict[str, Any]]:
        """Returns every task's priorities."""
        return [task.replay.state() for task in self._tasks]

    def restore(self, state: Sequence[dict[str, Any]]) -> None:
        """Sets what `state` returned."""
        for task, replay in zip(self._tasks, state, strict=True):
            task.replay.restore(replay)


class OfflineBatches:
    """Batches of labelled tasks, decoded by a thread while the device works. Call `take` once per update, in order, and
    `set_priorities` with what it returned. sampler: of the same tasks."""

    def __init__(self, tasks: Sequence[LabelledTask], targets: TeacherTargets, sampler: TaskSampler) -> None:
        self._tasks, self._targets, self._sampler = tasks, targets, sampler
        self._pool = ThreadPoolExecutor(1, "offline-batches")
        self._next: list[TaskSample] | None = None
        self._decoded: Future[list[TaskBatch]] | None = None

    def take(self, update: int) -> list[TaskBatch]:
        """Returns this update's batches, and starts decoding those of the next one."""
        samples = self._next if self._next is not None else self._sampler.draw(update)
        decoded = self._decoded or self._submit(samples, update)
        self._next = self._sampler.draw(update + 1)
        # The one thread works in the order of submission, so this update's batches are not kept waiting.
        self._decoded = self._submit(self._next, update + 1)
        return decoded.result()

    def set_priorities(self, batches: Sequence[TaskBatch], priorities: NDArray[np.float64]) -> None:
        """Sets the priorities `[B]` of all samples, concatenated in order."""
        self._sampler.set_priorities(batches, priorities)

    def state(self) -> dict[str, Any]:
        """Returns the priorities, and the samples that are already drawn for the next update."""
        next_samples = (
            None if self._next is None else [(d.task, d.sample.rows, d.sample.envs, d.sample.weights) for d in self._next]
        )
        return {"drawn": next_samples, "replays": self._sampler.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned; decoding starts again."""
        self._sampler.restore(state["replays"])
        next_samples = state["drawn"]
        self._next = None if next_samples is None else [TaskSample(task, Sample(*arrays)) for task, *arrays in next_samples]
        self._decoded = None

    def _submit(self, samples: Sequence[TaskSample], update: int) -> Future[list[TaskBatch]]:
        return self._pool.submit(
            lambda: [
                TaskBatch(one.task, one.sample, self._targets.make(self._tasks[one.task], one.sample, update, place))
                for place, one in enumerate(samples)
            ]
        )


def shares(batch_size: int, num_tasks: int, update: int) -> list[int]:
    """Returns each task's number of samples in update number `update`: equal, with the remainder going round."""
    each, remainder = divmod(batch_size, num_tasks)
    return [each + ((task - update * remainder) % num_tasks < remainder) for task in range(num_tasks)]


def _split(values: NDArray[Any], samples: Sequence[TaskSample]) -> list[NDArray[Any]]:
    return np.split(values, np.cumsum([len(one.sample.rows) for one in samples])[:-1]) if samples else []
