"""XTRA's finetuning: EfficientZero whose update answers four questions, each by an object that knows nothing of the others
(Xu et al., 2023, section 4).

    what it starts from    start.py              the weights that `start_from` loads, and batch-norm statistics
    what is mixed in       mixture.py            batches beside the target's own, in one loss
    how it is weighed      task_weights.py       a weight per task, from the direction of its gradient
    what is held back      retention.py          a penalty on forgetting
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.agent import EfficientZeroLearner, named_means
from xtra.agents.efficientzero.batch import TensorBatch, joined, to_tensors
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.draws import BatchDraws
from xtra.agents.efficientzero.losses import Losses, total_loss, unroll_losses
from xtra.agents.efficientzero.optimizer import Optimizer
from xtra.agents.efficientzero.targets import TargetMaker
from xtra.agents.interface import Learner, TrainingRun, load_weights, make_learner
from xtra.agents.registry import AgentConfig
from xtra.cuda_graphs import graphed
from xtra.device_copies import to_device, to_host
from xtra.envs.config import EnvironmentConfig
from xtra.registry import load_object
from xtra.replay.buffer import ReplayBuffer
from xtra.rng import derive_seed
from xtra.transfer.config import FinetuningConfig, LossTerm, TaskWeightConfig
from xtra.transfer.mixture import Mixture, NothingMixedIn, SourceBatches, TargetBatches
from xtra.transfer.offline_batches import OfflineBatches, TaskBatch, TaskSampler
from xtra.transfer.registry import STARTS
from xtra.transfer.retention import Retention, make_retention
from xtra.transfer.start import estimating_batch_norm
from xtra.transfer.task_weights import cosine, gradient, make_task_weights
from xtra.transfer.tasks import LabelledTask, Task, TeacherTargets, load_labelled_tasks, load_tasks

BATCH_NORM_PASSES = 10
"""Batches of the target's data that batch-norm statistics are estimated from. [ours]"""


class BatchLosses(NamedTuple):
    """A batch, and the network's losses on it."""

    batch: TensorBatch
    losses: Losses


class JointStep(NamedTuple):
    """The results of an update, on the device. B: samples of the target; M: samples mixed in, in m batches."""

    loss_and_norm: Tensor
    """`[2]`: the loss, and its gradient's norm before clipping."""
    value_errors: Tensor
    """`[B]`: the target's, for its priorities."""
    means: Tensor
    """`[5]`: the target's, as `Losses.means`."""
    mixed_errors: Tensor
    """`[M]`: value errors of all batches, concatenated."""
    mixed_losses: Tensor
    """`[m]`: unweighted."""


class FinetuningLearner(EfficientZeroLearner):
    """EfficientZero's learner with another update. tasks: the source games, in the order of their weights; with labels where they
    are mixed in."""

    def __init__(
        self,
        config: EfficientZeroConfig,
        environment: EnvironmentConfig,
        run: TrainingRun,
        finetuning: FinetuningConfig,
        tasks: Sequence[Task] = (),
    ) -> None:
        super().__init__(config, environment, run)
        self._finetuning, self.tasks = finetuning, tuple(tasks)
        weights = finetuning.task_weights or TaskWeightConfig(method="uniform")
        self.mixture = self._make_mixture()
        self._games = self._mixed_games(environment.game)
        self.weights = make_task_weights(weights, self._games)
        self._measured_config, self._clamp = only_terms(config, weights.terms), weights.gradient_clamp
        self._retention: Retention | None = None
        if finetuning.learning_rates is not None:
            self._optimizer = Optimizer(self._network, config.optimizer, finetuning.learning_rates.model_dump())
        capturable = config.optimizer.unroll_batch_norm == "per_step"
        self._learn_jointly = graphed(self.learn_jointly, self._device, capturable=capturable)

    def start_from(self, weights: Mapping[str, Tensor], components: Collection[str], frozen: Collection[str]) -> None:
        """Loads and freezes components; a penalty on forgetting, if there is one, measures the distance from these weights."""
        super().start_from(weights, components, frozen)
        if self._finetuning.retention is not None:
            valid_actions = self._space.valid
            self._retention = make_retention(
                self._finetuning.retention, self._network, components, valid_actions, self.tasks, self._seed
            )

    def update(self, replay: ReplayBuffer, update: int) -> dict[str, float]:
        """Makes update number `update`: as from scratch, with what is mixed in and held back in the loss; inside a measuring
        window it also measures gradients. Returns metrics."""
        if update == 0:
            self._adapt_batch_norm(replay)
        mixed = self.mixture.take(update, replay)
        sample, batch = self.make_batch(replay, update)
        batches = [batch, *(self._mixed_batch(place, one, update) for place, one in enumerate(mixed))]
        tasks = [one.task for one in mixed]
        factors = self._factors(tasks, update)
        self._network.ensure_training()
        self._optimizer.set_learning_rate(update)
        similarities: dict[str, float] = {}
        if mixed and self.weights.measures(update):
            parts = self._losses(batches)
            similarities = self._similarities(parts, tasks)
            step = self._step(factors, parts)
        else:
            step = self._learn_jointly(factors, batches)  # on CUDA one captured graph
        loss_and_norm, value_errors, means, mixed_errors, mixed_losses = to_host(*step)
        metrics = self._optimizer.metrics(loss_and_norm, update)
        replay.update_priorities(sample, value_errors.astype(np.float64))
        self.mixture.set_priorities(mixed, mixed_errors.astype(np.float64), replay)
        self.refresh_copies(update)
        metrics |= named_means(means) | self._per_task(tasks, mixed_losses)
        if similarities:  # only now: this update still used the weights from before it
            self.weights.record(update, np.array(list(similarities.values())))
        return metrics | {f"gradient_similarity/{game}": similarity for game, similarity in similarities.items()}

    def learn_jointly(self, factors: Tensor, batches: Sequence[TensorBatch]) -> JointStep:
        """Makes forward pass, losses, backward pass and step. factors: `[m + 1]`, see `_factors`; batches: the target's, then the
        m mixed in."""
        return self._step(factors, self._losses(batches))

    def state(self) -> dict[str, Any]:
        """Adds what the mixture and the task weights have come to. A penalty follows from the inputs, so it is made again."""
        return {**super().state(), "mixture": self.mixture.state(), "task_weights": self.weights.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        super().restore(state)
        self.mixture.restore(state["mixture"])
        self.weights.restore(state["task_weights"])

    def timed_methods(self) -> dict[str, tuple[object, str]]:
        """Adds the time that an update waits for the batches mixed in."""
        return {**super().timed_methods(), "offline data": (self.mixture, "take")}

    def task_weight_rows(self) -> list[dict[str, Any]]:
        """Returns one row per task and measuring window, for the result table."""
        return list(self.weights.rows)

    def _make_mixture(self) -> Mixture:
        mixed, config, run = self._finetuning.cross_tasks, self._config, self._run
        if mixed is None:
            return NothingMixedIn()
        if mixed.filled_by == "target":
            return TargetBatches(mixed, config.replay, self._targets, self._target, run)
        labelled = [task for task in self.tasks if isinstance(task, LabelledTask)]
        if self._finetuning.teacher is None or len(labelled) < len(self.tasks):
            raise ValueError("batches of the sources need teacher and labels")
        sampler = TaskSampler(
            labelled,
            mixed.batch_size,
            config.replay,
            num_updates=run.num_updates,
            seed=run.seed,
            composition=mixed.composition,
            share=mixed.share,
        )
        targets = TeacherTargets(config, self._finetuning.teacher, run.seed)
        return SourceBatches(OfflineBatches(labelled, targets, sampler))

    def _mixed_games(self, target: str) -> list[str]:
        if self._finetuning.cross_tasks is None:
            return []
        return [target] if self._finetuning.cross_tasks.filled_by == "target" else [task.game for task in self.tasks]

    def _adapt_batch_norm(self, replay: ReplayBuffer) -> None:
        """Estimates batch norm's statistics on the target's frames before the first update, where asked for, in all copies."""
        start = self._finetuning.start
        if start is None or start.batch_norm == "pretrained":
            return
        # A maker of its own: what is kept of reanalysis would be taken for answers of the network made here.
        draws = BatchDraws(self._config, TargetMaker(self._config, self._planner, self._seed), self._target, self._run)
        self._network.ensure_training()
        with estimating_batch_norm(self._network):
            for number in range(self._run.num_updates, self._run.num_updates + BATCH_NORM_PASSES):  # draws of no update
                _, batch = draws.take(replay, number)
                seed = derive_seed(self._seed, "augment", number)
                unroll_losses(self._network, to_tensors(batch, self._config, self._device, seed), self._config)
        self.reset_copies()

    def _mixed_batch(self, place: int, one: TaskBatch, update: int) -> TensorBatch:
        seed = derive_seed(self._seed, "augment", update, "cross-task", place)
        return to_tensors(one.batch, self._config, self._device, seed)

    def _factors(self, tasks: Sequence[int], update: int) -> Tensor:
        """Returns `[m + 1]` on the device: each mixed batch's weight, and the strength of the penalty."""
        weights = self.weights.values[list(tasks)].tolist()
        mixed, retention = self._finetuning.cross_tasks, self._finetuning.retention
        if mixed is not None and mixed.loss_normalization != "released":
            # A mean over fewer samples: each counts as before only if their mean counts less.
            weights = [weight * mixed.share(update) for weight in weights]
        strength = retention.strength * retention.decay**update if retention is not None else 0.0
        return to_device(self._device, torch.tensor([*weights, strength], dtype=torch.float32))[0]

    def _losses(self, batches: Sequence[TensorBatch]) -> list[BatchLosses]:
        """Computes each batch's losses: in one pass over all, whose batch norm sees the mixture, or in one pass each."""
        mixed = self._finetuning.cross_tasks
        if mixed is not None and mixed.forward == "separate":
            return [BatchLosses(batch, unroll_losses(self._network, batch, self._config)) for batch in batches]
        losses = unroll_losses(self._network, joined(batches), self._config)
        sizes = [len(batch.weights) for batch in batches]
        split = [term.split(sizes) for term in vars(losses).values()]
        return [BatchLosses(batch, Losses(*terms)) for batch, *terms in zip(batches, *split, strict=True)]

    def _step(self, factors: Tensor, parts: Sequence[BatchLosses]) -> JointStep:
        """Combines the losses and steps down their gradient. parts: of the target, then of the m batches mixed in."""
        target, *mixed = parts
        losses = [total_loss(part.losses, part.batch, self._config) for part in parts]
        mixed_losses = torch.stack(losses[1:]) if mixed else factors.new_zeros(0)
        normalization = self._finetuning.cross_tasks.loss_normalization if self._finetuning.cross_tasks else "per_task"
        loss = combined(losses[0], mixed_losses, factors[:-1], [len(part.batch.weights) for part in parts], normalization)
        if self._retention is not None:
            loss = loss + factors[-1] * self._retention.penalty(self._network, target.batch.observation)
        return JointStep(
            loss_and_norm=self._optimizer.step(loss),
            value_errors=target.losses.value_errors,
            means=target.losses.means(),
            mixed_errors=torch.cat([part.losses.value_errors for part in mixed]) if mixed else factors.new_zeros(0),
            mixed_losses=mixed_losses.detach(),
        )

    def _similarities(self, parts: Sequence[BatchLosses], tasks: Sequence[int]) -> dict[str, float]:
        """Returns, by game, the cosine between the gradients of its loss and the target's, both unweighted: the mean over a
        game's batches, NaN for one that has none. parts: as in `_step`; tasks: of the batches mixed in."""
        parameters = [p for p in self._network.parameters() if p.requires_grad]

        def gradient_of(part: BatchLosses) -> Tensor:
            loss = total_loss(part.losses, part.batch, self._measured_config)
            return gradient(loss, parameters, self._clamp)

        target, *mixed = parts
        target_gradient = gradient_of(target)
        cosines, owners = np.array([cosine(target_gradient, gradient_of(part)) for part in mixed]), np.array(tasks)
        return {game: float(cosines[owners == i].mean()) if (owners == i).any() else np.nan for i, game in enumerate(self._games)}

    def _per_task(self, tasks: Sequence[int], losses: NDArray[np.float32]) -> dict[str, float]:
        values = losses.tolist()
        by_task = {task: [value for owner, value in zip(tasks, values, strict=True) if owner == task] for task in tasks}
        means = {f"loss/{self._games[task]}": sum(own) / len(own) for task, own in by_task.items()}
        return means | {f"task_weight/{g}": w for g, w in zip(self._games, self.weights.values.tolist(), strict=True)}


def make_finetuning_learner(
    agent: AgentConfig,
    environment: EnvironmentConfig,
    finetuning: FinetuningConfig,
    inputs: Mapping[str, tuple[Path, ...]],
    run: TrainingRun,
) -> Learner:
    """Makes an agent's learner. inputs: `pretrained` where weights are loaded; `dataset` and `label`, one per source game, where
    source data are read."""
    if isinstance(agent, EfficientZeroConfig):
        learner: Learner = FinetuningLearner(agent, environment, run, finetuning, _load_sources(agent, finetuning, inputs))
    else:
        learner = make_learner(agent, environment, run)
    if finetuning.start is not None:
        (directory,) = inputs["pretrained"]
        make = load_object(STARTS[finetuning.start.method].factory)
        weights = make(load_weights(directory, run.device), learner.network_state(), finetuning.start)
        learner.start_from(weights, finetuning.start.components, finetuning.start.frozen)
    return learner


def _load_sources(
    agent: EfficientZeroConfig, finetuning: FinetuningConfig, inputs: Mapping[str, tuple[Path, ...]]
) -> Sequence[Task]:
    games = finetuning.sources
    if "label" in inputs:
        return load_labelled_tasks(games, inputs["dataset"], inputs["label"], agent.replay, agent.window)
    return load_tasks(games, inputs["dataset"], agent.replay, agent.window) if "dataset" in inputs else ()


def combined(target: Tensor, losses: Tensor, weights: Tensor, sizes: Sequence[int], normalization: str) -> Tensor:
    """Combines the target's mean loss with those of m batches `[m]` and their weights `[m]`; with m = 0 it is the target's.

    sizes: samples of the target's batch, then of each of the m.
    """
    if not len(losses):
        return target
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
