"""One update's samples from several games: evenly from all of them, of each by its own priorities (facts: paper section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xtra.replay.buffer import Sample
from xtra.replay.config import ReplayConfig
from xtra.rng import stream
from xtra.transfer.tasks import Task


@dataclass(frozen=True)
class TaskSample:
    """A sample of the task number `task`."""

    task: int
    sample: Sample


class TaskSampler:
    """Draws are a function of the seed, the update and the priorities. num_updates: all that will be made.

    composition: `balanced` draws from every game in every update; `shared_queue` makes as many batches, each of a game drawn at
    random, as in the released code's one queue.
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
    ) -> None:
        self._tasks, self._batch_size, self._config = tasks, batch_size, config
        self._num_updates, self._seed, self._composition = num_updates, seed, composition

    def draw(self, update: int) -> list[TaskSample]:
        """One sample per game, in order, none of a game whose turn it is not; or one per place in the queue."""
        num_tasks = len(self._tasks)
        order: Sequence[int] = range(num_tasks)
        if self._composition == "shared_queue":
            order = stream(self._seed, "shared-queue", update).integers(num_tasks, size=num_tasks).tolist()
        correction = self._config.importance_exponent(update, self._num_updates)
        return [
            TaskSample(
                task, self._tasks[task].replay.sample(size, stream(self._seed, "offline-replay", update, place), correction)
            )
            for place, (task, size) in enumerate(zip(order, shares(self._batch_size, num_tasks, update), strict=True))
            if size
        ]

    def set_priorities(self, drawn: Sequence[TaskSample], priorities: NDArray[np.float64]) -> None:
        """Of all samples, one after another."""
        for d, part in zip(drawn, _split(priorities, drawn), strict=True):
            self._tasks[d.task].replay.update_priorities(d.sample, part)

    def means(self, drawn: Sequence[TaskSample], name: str, values: NDArray[np.floating]) -> dict[str, float]:
        """Metric `name` of each game: the mean of `values`, which are of all samples one after another."""
        parts = _split(values, drawn)
        return {f"{name}/{self._tasks[d.task].game}": float(part.mean()) for d, part in zip(drawn, parts, strict=True)}

    def state(self) -> list[dict[str, Any]]:
        """The priorities of every game."""
        return [task.replay.state() for task in self._tasks]

    def restore(self, state: Sequence[dict[str, Any]]) -> None:
        """The inverse of `state`."""
        for task, replay in zip(self._tasks, state, strict=True):
            task.replay.restore(replay)


def shares(batch_size: int, num_tasks: int, update: int) -> list[int]:
    """Samples of each task in update number `update`: equal, with the remainder going round, so that no task is favoured."""
    each, left = divmod(batch_size, num_tasks)
    return [each + ((task - update * left) % num_tasks < left) for task in range(num_tasks)]


def _split(values: NDArray[Any], drawn: Sequence[TaskSample]) -> list[NDArray[Any]]:
    return np.split(values, np.cumsum([len(d.sample.rows) for d in drawn])[:-1])
