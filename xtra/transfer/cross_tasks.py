"""XTRA's finetuning: EfficientZero whose every update also sees the source games' offline data (Xu et al., 2023, section 4).

The loss is the target's plus the tasks' losses, weighted by `task_weights.py` and normalised as `loss_normalization` says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from xtra.agents.efficientzero.agent import EfficientZeroLearner, named_means
from xtra.agents.efficientzero.batch import TensorBatch, joined, to_tensors
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.losses import Losses, total_loss, unroll_losses
from xtra.agents.interface import TrainingRun
from xtra.cuda_graphs import graphed
from xtra.envs.config import EnvironmentConfig
from xtra.replay.buffer import ReplayBuffer
from xtra.rng import derive_seed
from xtra.transfer.config import CrossTaskConfig, LossTerm, TaskWeightConfig, TeacherConfig
from xtra.transfer.offline_batches import OfflineBatches, TaskSampler
from xtra.transfer.task_weights import TaskWeights, cosine, gradient
from xtra.transfer.tasks import LabelledTask, TeacherTargets


@dataclass(frozen=True)
class BatchLosses:
    """A batch, and the network's losses on it."""

    batch: TensorBatch
    losses: Losses


class JointStep(NamedTuple):
    """What a step on the target's batch of B samples and on m offline batches leaves, on the device."""

    loss_and_norm: Tensor
    """`[2]`: see `Optimizer.step`."""
    value_errors: Tensor
    """`[B]`: the target's, for its priorities."""
    means: Tensor
    """`[5]`: of the target's losses, see `Losses.means`."""
    offline_errors: Tensor
    """The value errors of all offline samples, one batch after another."""
    offline_losses: Tensor
    """`[m]`, unweighted."""


class CrossTaskLearner(EfficientZeroLearner):
    """EfficientZero's learner with another `update`. tasks: the offline tasks, in the order of their weights."""

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
        self.tasks = tuple(tasks)
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
        capturable = config.optimizer.unroll_batch_norm == "per_step"
        self._learn_jointly = graphed(self.learn_jointly, self._device, capturable=capturable)

    def update(self, replay: ReplayBuffer, update: int) -> dict[str, float]:
        """Makes update number `update`: as from scratch, with the offline tasks in the loss; inside a measuring window it also
        measures their gradients. Returns metrics."""
        offline = self._offline.take(update)
        sample, batch = self.make_batch(replay, update)
        batches = [batch]
        for place, one in enumerate(offline):
            seed = derive_seed(self._seed, "augment", update, "cross-task", place)
            batches.append(to_tensors(one.batch, self._config, self._device, seed))
        owners = [one.task for one in offline]
        weights = torch.as_tensor(self.weights.values[owners], dtype=torch.float32, device=self._device)
        self._network.train()
        self._optimizer.set_learning_rate(update)
        similarities: dict[str, float] = {}
        if self.weights.measures(update):
            losses = self._losses(batches)
            similarities = self._similarities(losses, owners)
            step = self._step(weights, losses)
        else:
            step = self._learn_jointly(weights, batches)  # on CUDA `learn_jointly` as one captured graph
        metrics = self._optimizer.metrics(step.loss_and_norm, update)
        replay.update_priorities(sample, step.value_errors.double().cpu().numpy())
        self._offline.set_priorities(offline, step.offline_errors.double().cpu().numpy())
        self.refresh_copies(update)
        metrics |= self._per_task(owners, step.offline_losses) | named_means(step.means)
        if similarities:  # only now: this update still uses the weights from before it
            self.weights.record(update, np.array(list(similarities.values())))
        return metrics | {f"gradient_similarity/{game}": similarity for game, similarity in similarities.items()}

    def learn_jointly(self, weights: Tensor, batches: Sequence[TensorBatch]) -> JointStep:
        """Forward pass, losses, backward pass and step. weights: `[m]`, of the offline batches; batches: the target's, then
        theirs."""
        return self._step(weights, self._losses(batches))

    def state(self) -> dict[str, Any]:
        """Adds the offline tasks' priorities and weights."""
        return {**super().state(), "offline": self._offline.state(), "task_weights": self.weights.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        super().restore(state)
        self._offline.restore(state["offline"])
        self.weights.restore(state["task_weights"])

    def timed_methods(self) -> dict[str, tuple[object, str]]:
        """Adds the time that an update waits for the offline tasks' batches to be decoded."""
        return {**super().timed_methods(), "offline data": (self._offline, "take")}

    def task_weight_rows(self) -> list[dict[str, Any]]:
        """Returns one row per task and measuring window, for the result table."""
        return list(self.weights.rows)

    def _losses(self, batches: Sequence[TensorBatch]) -> list[BatchLosses]:
        """Computes each batch's losses: in one pass over all, whose batch norm sees the mixture, or in one pass each."""
        if self._cross.forward == "separate":
            return [BatchLosses(batch, unroll_losses(self._network, batch, self._config)) for batch in batches]
        losses = unroll_losses(self._network, joined(batches), self._config)
        sizes = [len(batch.weights) for batch in batches]
        split = [getattr(losses, field.name).split(sizes) for field in dataclasses.fields(Losses)]
        return [BatchLosses(batch, Losses(*terms)) for batch, *terms in zip(batches, *split, strict=True)]

    def _step(self, weights: Tensor, parts: Sequence[BatchLosses]) -> JointStep:
        """Combines the losses and makes the step. weights: `[m]`; parts: the target's and the m offline batches'."""
        target, *offline = parts
        target_loss = total_loss(target.losses, target.batch, self._config)
        losses = torch.stack([total_loss(part.losses, part.batch, self._config) for part in offline])
        sizes = [len(part.batch.weights) for part in parts]
        loss = combined(target_loss, losses, weights, sizes, self._cross.loss_normalization)
        return JointStep(
            loss_and_norm=self._optimizer.step(loss),
            value_errors=target.losses.value_errors,
            means=target.losses.means(),
            offline_errors=torch.cat([part.losses.value_errors for part in offline]),
            offline_losses=losses.detach(),
        )

    def _similarities(self, parts: Sequence[BatchLosses], owners: Sequence[int]) -> dict[str, float]:
        """Returns, by game, the cosine between the gradients of its loss and the target's, both unweighted: the mean over a
        game's batches, NaN for one that has none. parts: as in `_step`."""
        target, *offline = parts
        parameters = [p for p in self._network.parameters() if p.requires_grad]

        def gradient_of(part: BatchLosses) -> Tensor:
            loss = total_loss(part.losses, part.batch, self._measured_config)
            return gradient(loss, parameters, self._clamp)

        target_gradient = gradient_of(target)
        cosines = np.array([cosine(target_gradient, gradient_of(part)) for part in offline])
        tasks = np.array(owners)
        return {game: float(cosines[tasks == i].mean()) if (tasks == i).any() else np.nan for i, game in enumerate(self._games)}

    def _per_task(self, owners: Sequence[int], losses: Tensor) -> dict[str, float]:
        values = losses.tolist()
        by_task = {task: [value for owner, value in zip(owners, values, strict=True) if owner == task] for task in owners}
        means = {f"loss/{self._games[task]}": sum(own) / len(own) for task, own in by_task.items()}
        weights = {f"task_weight/{g}": w for g, w in zip(self._games, self.weights.values.tolist(), strict=True)}
        return means | weights


def combined(target: Tensor, losses: Tensor, weights: Tensor, sizes: Sequence[int], normalization: str) -> Tensor:
    """Combines the target's mean loss with those of the offline batches `[m]` and their weights `[m]`.

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
    """Returns the configuration with the weight of every other loss term 0."""
    every: tuple[LossTerm, ...] = ("value_prefix", "policy", "value", "consistency")
    silent = {f"{term}_weight": 0.0 for term in every if term not in terms}
    return config.model_copy(update={"optimizer": config.optimizer.model_copy(update=silent)})
