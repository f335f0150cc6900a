"""The training loop of stages `teacher` and `pretrain`, which learn from offline data alone."""

from __future__ import annotations

import json
from typing import Any, Protocol

import torch

from xtra.agents.interface import NETWORK_FILE
from xtra.stages.context import StageContext
from xtra.stages.resumable import complete_training

METRICS_INTERVAL = 20
"""Updates between lines in metrics.jsonl."""


class OfflineLearner(Protocol):
    """Learns from data that do not change. It holds no generator state: draws derive from the seed and the update's number."""

    def update(self, update: int) -> dict[str, float]:
        """Makes optimiser step number `update` (from 0). Returns metrics. Raises FloatingPointError for a loss not finite."""
        ...

    def state(self) -> dict[str, Any]:
        """Returns everything `restore` needs to go on bit for bit: the replays' priorities too, but not the data."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        ...

    def network_state(self) -> dict[str, Any]:
        """Returns the trained network's weights."""
        ...


def train_offline(learner: OfflineLearner, num_updates: int, checkpoint_interval: int, context: StageContext) -> None:
    """Trains, going on from `work/checkpoints` if there are any. Leaves network.pt, summary.json and metrics.jsonl."""
    complete_training(OfflineTraining(learner, num_updates, checkpoint_interval, context), context)


class OfflineTraining:
    """The state of an offline training; a checkpoint between any two moves resumes exactly."""

    def __init__(self, learner: OfflineLearner, num_updates: int, checkpoint_interval: int, context: StageContext) -> None:
        self._learner, self._context = learner, context
        self._num_updates, self._checkpoint_interval = num_updates, checkpoint_interval
        self.updates = 0

    def move(self) -> bool:
        """Makes one update; False when all are made."""
        if self.updates == self._num_updates:
            return False
        metrics = self._learner.update(self.updates)
        self.updates += 1
        if self.updates % METRICS_INTERVAL == 0:
            self._context.telemetry.metrics(updates=self.updates, **metrics)
        self._progress(loss=metrics["loss"])
        return True

    def checkpoint_due(self) -> bool:
        """Returns True after every so many updates."""
        return self.updates % self._checkpoint_interval == 0

    def position(self) -> str:
        """Describes the number of updates."""
        return f"{self.updates:,} updates"

    def state(self) -> dict[str, Any]:
        """Returns everything that the next move depends on but the data."""
        return {"learner": self._learner.state(), "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        self._learner.restore(state["learner"])
        self.updates = state["updates"]

    def save_outputs(self) -> None:
        """Saves the network, the number of updates and the metrics."""
        out = self._context.out
        torch.save(self._learner.network_state(), out / NETWORK_FILE)
        (out / "summary.json").write_text(json.dumps({"updates": self.updates}))
        metrics = self._context.work / "metrics.jsonl"
        (out / "metrics.jsonl").write_bytes(metrics.read_bytes() if metrics.exists() else b"")
        self._progress(force=True)

    def _progress(self, *, activity: str = "", force: bool = False, **figures: float) -> None:
        self._context.telemetry.progress(self.updates, self._num_updates, "updates", figures, activity=activity, force=force)
