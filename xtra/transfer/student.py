"""One EfficientZero network for several games, trained on their offline data at once (Xu et al., 2023, section 3).

Every update is one forward pass over samples of all games, so that batch norm sees the mixture. The subclasses differ only in
where targets come from: one teacher per game, or the network's own search.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.batch import Batch, TensorBatch, joined, to_tensors
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.copies import DelayedTarget
from xtra.agents.efficientzero.losses import total_loss, unroll_losses
from xtra.agents.efficientzero.optimizer import Optimizer
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.efficientzero.targets import TargetMaker
from xtra.agents.interface import TrainingRun
from xtra.cuda_graphs import graphed
from xtra.device_copies import to_host
from xtra.rng import derive_seed
from xtra.transfer.config import TeacherConfig
from xtra.transfer.offline_batches import OfflineBatches, TaskBatch, TaskSample, TaskSampler
from xtra.transfer.registry import PretrainingSetup
from xtra.transfer.tasks import LabelledTask, Task, TeacherTargets, load_labelled_tasks, load_tasks


class Student(ABC):
    """A student of several games. batch_size: samples per update, of all games together. Schedules and optimiser are
    EfficientZero's."""

    def __init__(
        self, config: EfficientZeroConfig, frame_size: int, tasks: Sequence[Task], batch_size: int, run: TrainingRun
    ) -> None:
        self._config, self._run = config, run
        self._games = [task.game for task in tasks]
        self._sampler = TaskSampler(tasks, batch_size, config.replay, num_updates=run.num_updates, seed=run.seed)
        self._network = make_network(config.network, frame_size, run.seed, run.device)
        self._optimizer = Optimizer(self._network, config.optimizer)
        self._learn = graphed(self.learn, run.device, capturable=config.optimizer.unroll_batch_norm == "per_step")

    @abstractmethod
    def take(self, update: int) -> list[TaskBatch]:
        """Returns samples of all games with their targets."""

    def update(self, update: int) -> dict[str, float]:
        """Makes one joint optimiser step, then sets new priorities in every game's replay. Returns metrics."""
        batches = self.take(update)
        batch = joined([to_tensors(b.batch, self._config, self._run.device, self._augmentation_seed(b, update)) for b in batches])
        self._network.ensure_training()
        self._optimizer.set_learning_rate(update)
        loss_and_norm, value_errors, terms = to_host(*self._learn(batch))  # on CUDA `learn` as one captured graph
        metrics = self._optimizer.metrics(loss_and_norm, update)
        self._sampler.set_priorities(batches, value_errors.astype(np.float64))
        return metrics | self._losses_by_game(batches, torch.from_numpy(terms))

    def learn(self, batch: TensorBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Makes forward pass, losses, backward pass and step.

        Returns the loss with its gradient's norm `[2]`, the value errors `[B]` for the priorities, and each term per sample `[4,
        B]`.
        """
        losses = unroll_losses(self._network, batch, self._config)
        terms = torch.stack([losses.value_prefix, losses.policy, losses.value, losses.consistency]).detach()
        loss_and_norm = self._optimizer.step(total_loss(losses, batch, self._config))
        return loss_and_norm, losses.value_errors, terms

    def state(self) -> dict[str, Any]:
        """Returns network and optimiser; subclasses add their replays."""
        return {"network": self._network.state_dict(), "optimizer": self._optimizer.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        self._network.load_state_dict(state["network"])
        self._optimizer.restore(state["optimizer"])

    def network_state(self) -> dict[str, Any]:
        """Returns the network's weights and batch-norm statistics."""
        return self._network.state_dict()

    def _augmentation_seed(self, sample: TaskSample, update: int) -> int:
        return derive_seed(self._run.seed, "augment", self._games[sample.task], update)

    def _losses_by_game(self, samples: Sequence[TaskSample], terms: Tensor) -> dict[str, float]:
        """Returns each term's unweighted mean over each game's samples."""
        sizes = [len(one.sample.rows) for one in samples]
        means = torch.stack([part.mean(1) for part in terms.split(sizes, dim=1)]).tolist()
        names = ("value_prefix_loss", "policy_loss", "value_loss", "consistency_loss")
        return {
            f"{name}/{self._games[one.task]}": mean
            for one, by_term in zip(samples, means, strict=True)
            for name, mean in zip(names, by_term, strict=True)
        }


class DistilledStudent(Student):
    """Imitates one teacher per game: its policies, n-step returns that end in its values, and the data's own rewards."""

    def __init__(
        self,
        config: EfficientZeroConfig,
        frame_size: int,
        tasks: Sequence[LabelledTask],
        batch_size: int,
        run: TrainingRun,
        teacher: TeacherConfig,
    ) -> None:
        super().__init__(config, frame_size, tasks, batch_size, run)
        self._batches = OfflineBatches(tasks, TeacherTargets(config, teacher, run.seed), self._sampler)

    def take(self, update: int) -> list[TaskBatch]:
        """Returns batches whose targets are made of the labels; they never change."""
        return self._batches.take(update)

    def state(self) -> dict[str, Any]:
        """Adds the priorities and the samples that are drawn already."""
        return super().state() | {"offline": self._batches.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        super().restore(state)
        self._batches.restore(state["offline"])


class MultiTaskStudent(Student):
    """Learns without teachers, as the paper's comparison: each game's targets are searched anew by EfficientZero's reanalysis,
    over the game's own actions, with a delayed copy of the student.

    `optimizer.average_decay` and `targets.batches_at_once` are not read: nothing is averaged, nothing drawn ahead.
    """

    def __init__(
        self, config: EfficientZeroConfig, frame_size: int, tasks: Sequence[Task], batch_size: int, run: TrainingRun
    ) -> None:
        super().__init__(config, frame_size, tasks, batch_size, run)
        self._tasks = tasks
        self._target = DelayedTarget(self._network, config.targets.target_update_interval, config.precision)
        self._makers = [self._make_maker(task) for task in tasks]

    def take(self, update: int) -> list[TaskBatch]:
        """Returns batches whose targets the delayed copy makes now."""
        return [TaskBatch(one.task, one.sample, self._make_targets(one, update)) for one in self._sampler.draw(update)]

    def update(self, update: int) -> dict[str, float]:
        """Updates as every student does, then refreshes the delayed copy where it is due."""
        metrics = super().update(update)
        self._target.refresh(self._network, update)
        return metrics

    def state(self) -> dict[str, Any]:
        """Adds the priorities, the delayed copies and what is kept of reanalysis."""
        makers = [maker.state() for maker in self._makers]
        return super().state() | self._target.state() | {"replays": self._sampler.state(), "targets": makers}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        super().restore(state)
        self._target.restore(state)
        self._sampler.restore(state["replays"])
        for maker, maker_state in zip(self._makers, state["targets"], strict=True):
            maker.restore(maker_state, self._run.device)

    def _make_targets(self, one: TaskSample, update: int) -> Batch:
        replay = self._tasks[one.task].replay
        return self._makers[one.task].make(replay, one.sample, self._target.network, update)

    def _make_maker(self, task: Task) -> TargetMaker:
        seed = derive_seed(self._run.seed, task.game)
        planner = Planner(self._config.search, task.action_space, seed, self._run.num_threads)
        return TargetMaker(self._config, planner, seed)


def make_distilled_student(setup: PretrainingSetup) -> DistilledStudent:
    """Makes the student of the games' teachers."""
    agent = setup.agent
    assert isinstance(agent, EfficientZeroConfig)
    assert setup.teacher is not None
    tasks = load_labelled_tasks(setup.games, setup.datasets, setup.labels, agent.replay, agent.window)
    frame_size, batch_size = setup.environment.frame_size, setup.pretraining.batch_size
    return DistilledStudent(agent, frame_size, tasks, batch_size, setup.run, setup.teacher)


def make_multi_task_student(setup: PretrainingSetup) -> MultiTaskStudent:
    """Makes the student of the games' own reanalysed data."""
    agent = setup.agent
    assert isinstance(agent, EfficientZeroConfig)
    tasks = load_tasks(setup.games, setup.datasets, agent.replay, agent.window)
    return MultiTaskStudent(agent, setup.environment.frame_size, tasks, setup.pretraining.batch_size, setup.run)
