"""XTRA's second stage: EfficientZero whose every update also sees offline tasks (facts: paper sections 4.1 to 4.3).

loss = L(target) + what `loss_normalization` makes of the tasks' losses and weights
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xtra.agents.efficientzero.agent import EfficientZeroLearner, named_means
from xtra.agents.efficientzero.batches import joined, to_tensors
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.losses import Losses, TensorBatch, total_loss, unroll_losses
from xtra.agents.interface import TrainingRun
from xtra.envs.config import EnvironmentConfig
from xtra.replay.buffer import ReplayBuffer
from xtra.rng import derive_seed
from xtra.transfer.config import CrossTaskConfig, LossTerm, TaskWeightConfig, TeacherConfig
from xtra.transfer.offline_batches import OfflineBatches
from xtra.transfer.sampling import TaskSampler
from xtra.transfer.task_weights import TaskWeights, cosine, gradient
from xtra.transfer.tasks import LabelledTask, TeacherTargets


@dataclass(frozen=True)
class Part:
    """One task's share of an update: its samples, and the network's losses on them."""

    batch: TensorBatch
    losses: Losses


class CrossTaskLearner(EfficientZeroLearner):
    """tasks: the offline tasks, in the order of their weights."""

    def __init__(
        self,
        config: EfficientZeroConfig,
        environment: EnvironmentConfig,
        run: TrainingRun,
        tasks: Sequence[LabelledTask],
        cross_tasks: CrossTaskConfig,
        task_weights: TaskWeightConfig,
        teacher: TeacherConfig,
    ) -> None:
        super().__init__(config, environment, run)
        self._cross, self._games = cross_tasks, [task.game for task in tasks]
        self.weights = TaskWeights(task_weights, self._games)
        self._measured_config = only_terms(config, task_weights.terms)
        self._clamp = task_weights.gradient_clamp
        targets = TeacherTargets(config, teacher, run.seed)
        sampler = TaskSampler(
            tasks,
            cross_tasks.batch_size,
            config.replay,
            num_updates=run.num_updates,
            seed=run.seed,
            composition=cross_tasks.composition,
        )
        self._offline = OfflineBatches(tasks, targets, sampler)

    def update(self, replay: ReplayBuffer, update: int) -> dict[str, float]:
        """As from scratch, with the offline tasks in the loss, and in due time with a measurement of their gradients."""
        drawn = self._offline.take(update)
        sample, batch = self.make_batch(replay, update)
        batches = [batch]
        for place, offline in enumerate(drawn):
            seed = derive_seed(self._seed, "augment", update, "cross-task", place)
            batches.append(to_tensors(offline.batch, self._config, self._device, seed))
        self._network.train()
        owners = [offline.task for offline in drawn]
        weights = torch.as_tensor(self.weights.values[owners], dtype=torch.float32, device=self._device)
        metrics, (errors, means, offline_errors, _) = self._step(weights, batches, owners, update)
        replay.update_priorities(sample, errors.double().numpy())
        self._offline.set_priorities(drawn, offline_errors.double().numpy())
        self.refresh_copies(update)
        return metrics | named_means(means)

    def evaluate(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """From the offline batches' weights `[m]` and the tensors of the target's batch and of theirs to the loss, the target's
        value errors and means, and the offline batches' value errors, all in one, and losses `[m]`."""
        weights, *tensors = inputs
        size = len(dataclasses.fields(TensorBatch))
        batches = [TensorBatch(*tensors[i : i + size]) for i in range(0, len(tensors), size)]
        return self._outcome(weights, self._parts(batches))

    def state(self) -> dict[str, Any]:
        """Also the offline tasks' priorities and the weights."""
        return {**super().state(), "offline": self._offline.state(), "task_weights": self.weights.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        super().restore(state)
        self._offline.restore(state["offline"])
        self.weights.restore(state["task_weights"])

    def timed_methods(self) -> dict[str, tuple[object, str]]:
        """Also what an update waits for the offline tasks' batches beyond what was decoded ahead."""
        return {**super().timed_methods(), "offline data": (self._offline, "take")}

    def task_weight_rows(self) -> list[dict[str, Any]]:
        """One row per task and measurement, for the result table."""
        return list(self.weights.rows)

    def _parts(self, batches: Sequence[TensorBatch]) -> list[Part]:
        """The losses of each batch: of one pass over all of them, whose batch norm sees the mix, or of one pass each."""
        if self._cross.forward == "separate":
            return [Part(batch, unroll_losses(self._network, batch, self._config)) for batch in batches]
        losses = unroll_losses(self._network, joined(batches), self._config)
        sizes = [len(batch.weights) for batch in batches]
        fields = {field.name: getattr(losses, field.name).split(sizes) for field in dataclasses.fields(Losses)}
        return [Part(batch, Losses(**{name: values[i] for name, values in fields.items()})) for i, batch in enumerate(batches)]

    def _step(
        self, weights: Tensor, batches: Sequence[TensorBatch], owners: Sequence[int], update: int
    ) -> tuple[dict[str, float], list[Tensor]]:
        if not self.weights.measures(update):
            inputs = (weights, *(tensor for batch in batches for tensor in batch.tensors()))
            metrics, outputs = self._descent.step(inputs, update)
            return metrics | self._per_task(owners, outputs[-1]), outputs
        target, *crossed = self._parts(batches)
        similarities = self._similarities(target, crossed, owners)
        metrics, outputs = self._descent.step_from(self._outcome(weights, [target, *crossed]), update)
        metrics |= self._per_task(owners, outputs[-1])
        # Only now: this update still goes by the weights that it found.
        self.weights.record(update, similarities)
        measured = {f"gradient_similarity/{game}": s for game, s in zip(self._games, similarities.tolist(), strict=True)}
        return metrics | measured, outputs

    def _outcome(self, weights: Tensor, parts: Sequence[Part]) -> tuple[Tensor, ...]:
        """What `evaluate` returns."""
        target, *crossed = parts
        own = total_loss(target.losses, target.batch, self._config)
        losses = torch.stack([total_loss(part.losses, part.batch, self._config) for part in crossed])
        sizes = [len(part.batch.weights) for part in parts]
        loss = combined(own, losses, weights, sizes, self._cross.loss_normalization)
        errors = torch.cat([part.losses.value_errors for part in crossed])
        return loss, target.losses.value_errors, target.losses.means(), errors, losses

    def _similarities(
        self, target: Part, crossed: Sequence[Part], owners: Sequence[int]
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """`[m]`: of each task's gradient with the target's, without any weight; NaN for a task without a batch. Of a task's
        several batches the mean."""
        parameters = [p for p in self._network.parameters() if p.requires_grad]

        def of(part: Part) -> Tensor:
            loss = total_loss(part.losses, part.batch, self._measured_config)
            return gradient(loss, parameters, self._clamp)

        wanted = of(target)
        found = np.array([cosine(wanted, of(part)) for part in crossed])
        tasks = np.array(owners)
        return np.array([found[tasks == i].mean() if (tasks == i).any() else np.nan for i in range(len(self._games))])

    def _per_task(self, owners: Sequence[int], losses: Tensor) -> dict[str, float]:
        values = losses.tolist()
        drawn = {task: [value for owner, value in zip(owners, values, strict=True) if owner == task] for task in owners}
        of_tasks = {f"loss/{self._games[task]}": sum(own) / len(own) for task, own in drawn.items()}
        weights = {f"task_weight/{g}": w for g, w in zip(self._games, self.weights.values.tolist(), strict=True)}
        return of_tasks | weights


def combined(target: Tensor, losses: Tensor, weights: Tensor, sizes: Sequence[int], normalization: str) -> Tensor:
    """One loss from the target's mean loss, those of the offline batches `[m]` and their weights `[m]`.

    sizes: samples of the target's batch, then of each offline one.
    """
    weighted = weights * losses
    if normalization == "per_task":
        return target + weighted.mean()
    if normalization == "paper_sum":
        return target + weighted.sum()
    # Filled on the device: a copy from the host could not be captured.
    counts = torch.cat([losses.new_full((1,), size) for size in sizes])
    return (counts[0] * target + (counts[1:] * weighted).sum()) / counts.sum()


def only_terms(config: EfficientZeroConfig, terms: Sequence[LossTerm]) -> EfficientZeroConfig:
    """The configuration with every other loss term's weight 0."""
    everything: tuple[LossTerm, ...] = ("value_prefix", "policy", "value", "consistency")
    silent = {f"{term}_weight": 0.0 for term in everything if term not in terms}
    return config.model_copy(update={"optimizer": config.optimizer.model_copy(update=silent)})
