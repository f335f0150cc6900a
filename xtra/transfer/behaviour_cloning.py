"""Behaviour cloning on several games' offline data (the paper's control): cross-entropy with the actions or a teacher's policies.

The network is EfficientZero's; only its representation and its policy head learn, so that EfficientZero can be finetuned from it.
A cloned policy also plays as it is, without a search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.config import CloningConfig
from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.losses import cross_entropy
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.optimizer import Optimizer
from xtra.agents.interface import TrainingRun
from xtra.agents.observation import augment, to_observations
from xtra.cuda_graphs import graphed
from xtra.device_copies import to_device, to_host
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import NUM_ACTIONS, find_game
from xtra.replay.config import ReplayConfig
from xtra.rng import derive_seed
from xtra.transfer.offline_batches import TaskSample, TaskSampler
from xtra.transfer.registry import PretrainingSetup
from xtra.transfer.tasks import LabelledTask, Task, load_labelled_tasks, load_tasks

REPLAY = ReplayConfig()
"""No priority is ever set, so transitions are drawn uniformly."""


class BehaviourCloning:
    """Imitates the teachers of tasks that have labels, and the dataset's own actions in the others."""

    def __init__(self, config: CloningConfig, frame_size: int, tasks: Sequence[Task], batch_size: int, run: TrainingRun) -> None:
        self._config, self._tasks, self._run = config, tasks, run
        self._sampler = TaskSampler(tasks, batch_size, REPLAY, num_updates=run.num_updates, seed=run.seed)
        self._network = make_network(config.network, frame_size, run.seed, run.device)
        self._optimizer = Optimizer(self._network, config.optimizer)
        self._learn = graphed(self.learn, run.device)

    def update(self, update: int) -> dict[str, float]:
        """Makes one joint optimiser step over samples of all games. Returns metrics."""
        samples = self._sampler.draw(update)
        observations = self._observations(samples, update)
        (targets,) = to_device(self._run.device, np.concatenate([self._policies(one) for one in samples]))
        self._network.ensure_training()
        self._optimizer.set_learning_rate(update)
        loss_and_norm, losses, agrees = to_host(*self._learn(observations, targets))
        metrics = self._optimizer.metrics(loss_and_norm, update)
        for name, values in {"policy_loss": losses, "agreement": agrees.astype(np.float32)}.items():
            metrics |= self._sampler.means(samples, name, values)
        return metrics

    def learn(self, observations: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Makes forward pass, loss, backward pass and step on observations `[B, 3 F, H, W]` and policies `[B, 18]`.

        Returns the loss with its gradient's norm `[2]`, and per sample `[B]` its own loss and whether the most probable action is
        the target's. The softmax is over all 18 actions, as EfficientZero trains it.
        """
        logits = policy_logits(self._network, observations)
        losses = cross_entropy(logits, targets)
        return self._optimizer.step(losses.mean()), losses.detach(), logits.argmax(1) == targets.argmax(1)

    def state(self) -> dict[str, Any]:
        """Returns network and optimiser; priorities never change."""
        return {"network": self._network.state_dict(), "optimizer": self._optimizer.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        self._network.load_state_dict(state["network"])
        self._optimizer.restore(state["optimizer"])

    def network_state(self) -> dict[str, Any]:
        """Returns a whole EfficientZero network, so that EfficientZero can start from any component of it."""
        return self._network.state_dict()

    def _observations(self, samples: Sequence[TaskSample], update: int) -> Tensor:
        frame_stack, device = self._config.network.frame_stack, self._run.device
        stacks = [self._tasks[one.task].replay.stacks(one.sample.rows, one.sample.envs, frame_stack) for one in samples]
        generator = torch.Generator(device).manual_seed(derive_seed(self._run.seed, "augment", update) % 2**63)
        frames = torch.as_tensor(np.concatenate(stacks), device=device)
        (observations,) = augment(frames, frame_stack, self._config.optimizer, generator)
        return observations

    def _policies(self, one: TaskSample) -> NDArray[np.float32]:
        task = self._tasks[one.task]
        slots = task.replay.slots(one.sample.rows)
        if isinstance(task, LabelledTask):
            return task.labels.teacher_policies[slots]
        return np.eye(NUM_ACTIONS, dtype=np.float32)[task.replay.actions[slots, one.sample.envs]]


def make_behaviour_cloning(setup: PretrainingSetup) -> BehaviourCloning:
    """Makes the learner that imitates the games' teachers where they are followed, else whoever played."""
    agent = setup.agent
    assert isinstance(agent, CloningConfig)
    tasks: Sequence[Task]
    if setup.teacher is not None:
        tasks = load_labelled_tasks(setup.games, setup.datasets, setup.labels, REPLAY, window=0)
    else:
        tasks = load_tasks(setup.games, setup.datasets, REPLAY, window=0)
    return BehaviourCloning(agent, setup.environment.frame_size, tasks, setup.pretraining.batch_size, setup.run)


class CloningPlayer:
    """Takes the most probable valid action; ties go to the lowest id."""

    def __init__(self, config: CloningConfig, environment: EnvironmentConfig, network: EfficientZeroNetwork) -> None:
        self.frame_stack = config.network.frame_stack
        self._network = network.eval()
        self._device = next(network.parameters()).device
        self._action_ids = np.array(find_game(environment.game).action_ids)

    @torch.no_grad()
    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """Returns one valid action id per environment, `[N]`. stacks: `[N, frame_stack, H, W, 3]`."""
        logits = policy_logits(self._network, to_observations(stacks, self._device)).cpu().numpy()
        actions: NDArray[np.int64] = self._action_ids[logits[:, self._action_ids].argmax(1)]
        return actions


def make_player(
    config: CloningConfig, environment: EnvironmentConfig, weights: Mapping[str, Tensor], *, seed: int, num_threads: int
) -> CloningPlayer:
    """Makes a player with the network weights `weights` (a `state_dict`), on the device that they are on."""
    device = next(iter(weights.values())).device
    network = make_network(config.network, environment.frame_size, seed, device)
    network.load_state_dict(weights)
    return CloningPlayer(config, environment, network)


def policy_logits(network: EfficientZeroNetwork, observations: Tensor) -> Tensor:
    """Returns the policy's logits `[B, 18]`. The value head is computed too, but no loss reads it."""
    logits: Tensor = network.prediction(network.representation(observations))[0]
    return logits
