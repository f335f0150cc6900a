"""The mixture of an update of finetuning: beside the target's own batch nothing, the source games' data, or, as a control of
equal compute, more of the target's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xtra.agents.efficientzero.copies import DelayedTarget
from xtra.agents.efficientzero.targets import TargetMaker
from xtra.agents.interface import TrainingRun
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.config import ReplayConfig
from xtra.rng import stream
from xtra.transfer.config import CrossTaskConfig
from xtra.transfer.offline_batches import OfflineBatches, TaskBatch


class Mixture(Protocol):
    """Batches for every update, each of a task that has a number and a weight."""

    def take(self, update: int, replay: ReplayBuffer) -> list[TaskBatch]:
        """Returns the batches of update number `update`; called once per update, in order. replay: the target's."""
        ...

    def set_priorities(self, batches: Sequence[TaskBatch], priorities: NDArray[np.float64], replay: ReplayBuffer) -> None:
        """Sets the priorities `[M]` of all samples, concatenated in order, where they were drawn."""
        ...

    def state(self) -> dict[str, Any]:
        """Returns everything `restore` needs to go on bit for bit; the target's replay is not part of it."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        ...


class NothingMixedIn:
    """Leaves an update to the target's own batch."""

    def take(self, update: int, replay: ReplayBuffer) -> list[TaskBatch]:
        """Returns no batch."""
        return []

    def set_priorities(self, batches: Sequence[TaskBatch], priorities: NDArray[np.float64], replay: ReplayBuffer) -> None:
        """Does nothing: there are no samples, so `priorities` is `[0]`."""

    def state(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Does nothing."""


class SourceBatches:
    """The source games' offline data with their teachers' targets (Xu et al., 2023)."""

    def __init__(self, offline: OfflineBatches) -> None:
        self._offline = offline

    def take(self, update: int, replay: ReplayBuffer) -> list[TaskBatch]:
        """Returns what was decoded ahead for this update."""
        return self._offline.take(update)

    def set_priorities(self, batches: Sequence[TaskBatch], priorities: NDArray[np.float64], replay: ReplayBuffer) -> None:
        """Sets priorities `[M]` in the tasks' own replays."""
        self._offline.set_priorities(batches, priorities)

    def state(self) -> dict[str, Any]:
        """Returns the priorities, and the samples that are drawn already."""
        return self._offline.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned; decoding starts again."""
        self._offline.restore(state)


class TargetBatches:
    """One more batch of the target's own replay per update, with targets of its own: what the sources' share would have cost."""

    def __init__(
        self, config: CrossTaskConfig, replay: ReplayConfig, maker: TargetMaker, delayed: DelayedTarget, run: TrainingRun
    ) -> None:
        self._config, self._replay_config, self._maker, self._delayed, self._run = config, replay, maker, delayed, run

    def take(self, update: int, replay: ReplayBuffer) -> list[TaskBatch]:
        """Draws a sample by priority, and has the delayed network make its targets."""
        size = round(self._config.batch_size * self._config.share(update))
        if not size:
            return []
        exponent = self._replay_config.importance_exponent(update, self._run.num_updates)
        sample = replay.sample(size, stream(self._run.seed, "mixed-replay", update), exponent)
        # A number that no update has, so that searches and padding do not repeat the draws of the target's own batch.
        batch = self._maker.make(replay, sample, self._delayed.network, update, stream_number=2 * self._run.num_updates + update)
        return [TaskBatch(0, sample, batch)]

    def set_priorities(self, batches: Sequence[TaskBatch], priorities: NDArray[np.float64], replay: ReplayBuffer) -> None:
        """Sets priorities `[M]` in the target's replay, after those of its own batch."""
        for one in batches:
            replay.update_priorities(one.sample, priorities)

    def state(self) -> dict[str, Any]:
        """Returns nothing: draws follow from the seed and the replay."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Does nothing."""
