"""One EfficientZero network for several games, trained on their offline data at once (facts: paper section 3).

Every update is one pass over samples of all games, so that batch norm sees the mix. Where its targets come from is the
subclasses' matter: from teachers (distill.py), or from the network's own search (multi_task.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.batches import joined, to_tensors
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.descent import Descent
from xtra.agents.efficientzero.losses import TensorBatch, total_loss, unroll_losses
from xtra.agents.interface import TrainingRun
from xtra.rng import derive_seed
from xtra.transfer.offline_batches import Drawn
from xtra.transfer.sampling import TaskSampler
from xtra.transfer.tasks import Task


class Student(ABC):
    """batch_size: samples per update, of all games together. The schedules are EfficientZero's."""

    def __init__(
        self, config: EfficientZeroConfig, frame_size: int, tasks: Sequence[Task], batch_size: int, run: TrainingRun
    ) -> None:
        self._config, self._run = config, run
        self._games = [task.game for task in tasks]
        self._sampler = TaskSampler(tasks, batch_size, config.replay, num_updates=run.num_updates, seed=run.seed)
        self._network = make_network(config.network, frame_size, run.seed, run.device)
        self._descent = Descent(self._network, config.optimizer, self.evaluate)

    @abstractmethod
    def take(self, update: int) -> list[Drawn]:
        """Samples of all games with what the network is trained towards."""

    def update(self, update: int) -> dict[str, float]:
        """One joint step of the optimiser, then new priorities in every game's replay."""
        drawn = self.take(update)
        batch = joined([to_tensors(d.batch, self._config, self._run.device, self._augmentation(d, update)) for d in drawn])
        self._network.train()
        metrics, (errors, terms) = self._descent.step(batch.tensors(), update)
        self._sampler.set_priorities(drawn, errors.double().numpy())
        return metrics | self._losses_by_game(drawn, terms)

    def evaluate(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """From a batch's tensors to the loss, the value errors `[B]` for the priorities, and each term per sample `[4, B]`."""
        batch = TensorBatch(*inputs)
        losses = unroll_losses(self._network, batch, self._config)
        terms = torch.stack([losses.value_prefix, losses.policy, losses.value, losses.consistency])
        return total_loss(losses, batch, self._config), losses.value_errors, terms

    def state(self) -> dict[str, Any]:
        """Network and optimiser; the replays are the subclasses'."""
        return {"network": self._network.state_dict(), "optimizer": self._descent.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self._network.load_state_dict(state["network"])
        self._descent.restore(state["optimizer"])

    def network_state(self) -> dict[str, Any]:
        """The network's weights and batch-norm statistics."""
        return self._network.state_dict()

    def _augmentation(self, drawn: Drawn, update: int) -> int:
        return derive_seed(self._run.seed, "augment", self._games[drawn.task], update)

    def _losses_by_game(self, drawn: Sequence[Drawn], terms: Tensor) -> dict[str, float]:
        """Each term's plain mean over each game's samples."""
        sizes = [len(d.sample.rows) for d in drawn]
        means = torch.stack([part.mean(1) for part in terms.split(sizes, dim=1)]).tolist()
        names = ("value_prefix_loss", "policy_loss", "value_loss", "consistency_loss")
        return {
            f"{name}/{self._games[d.task]}": mean
            for d, by_term in zip(drawn, means, strict=True)
            for name, mean in zip(names, by_term, strict=True)
        }
