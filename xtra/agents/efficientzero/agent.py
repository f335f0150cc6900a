"""EfficientZero with: self-play by search, prioritised replay, reanalysed targets, SGD. The order of effects in one place.

Three copies of the network: the one that learns; the one that acts, refreshed every `network_update_interval` updates; the one
that makes targets, a snapshot taken every `target_update_interval` updates and used one interval late. With `average_decay` the
last two are copies of the first one's average over past updates.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.batch import TensorBatch, to_tensors
from xtra.agents.efficientzero.config import ActingConfig, EfficientZeroConfig, NetworkConfig
from xtra.agents.efficientzero.copies import DelayedTarget, WeightAverage, inference_copy, refresh
from xtra.agents.efficientzero.diagnostics import loss_rows, policy_rows
from xtra.agents.efficientzero.draws import BatchDraws
from xtra.agents.efficientzero.losses import total_loss, unroll_losses
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.optimizer import Optimizer
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.efficientzero.targets import TargetMaker
from xtra.agents.interface import Decision, TrainingRun
from xtra.agents.observation import to_observations
from xtra.cuda_graphs import graphed
from xtra.device_copies import to_host
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import NUM_ACTIONS, ActionSpace
from xtra.replay.buffer import ReplayBuffer, Sample, table_rows
from xtra.replay.frames import DeviceFrames, frames_fit
from xtra.rng import derive_seed, stream
from xtra.search import SearchResult


class EfficientZeroPlayer:
    """A trained network that plays by a search without noise, as `acting.evaluation_action` says.

    network: an `inference_copy` of it.  seed: of the draws, if it plays by the search's policy.
    """

    def __init__(
        self,
        config: EfficientZeroConfig,
        environment: EnvironmentConfig,
        network: EfficientZeroNetwork,
        seed: int,
        num_threads: int,
    ) -> None:
        self.frame_stack = config.network.frame_stack
        self._network, self._seed = network, seed
        self._greedy = config.acting.evaluation_action == "greedy"
        self._device = next(network.parameters()).device
        self.space = ActionSpace.of(config.network.action_space, environment.game)
        self._planner = Planner(config.search, self.space, seed, num_threads)

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """Returns one action id per environment, `[N]`. stacks: `[N, frame_stack, H, W, 3]`."""
        return self.decide(self.search(stacks), env_step)

    def search(self, stacks: NDArray[np.uint8]) -> SearchResult:
        """Returns the search that `play` decides by, from stacks `[N, frame_stack, H, W, 3]`, over the actions of `space`."""
        return self._planner.exploit(self._network, to_observations(stacks, self._device))

    def decide(self, result: SearchResult, env_step: int) -> NDArray[np.int64]:
        """Returns the action ids `[N]` that follow from a search: the best, ties to the lowest, or draws that depend on (seed,
        env step) alone."""
        if self._greedy:
            return self.space.to_ids(result.actions.cpu().numpy())
        rng = stream(self._seed, "play", env_step)
        return self.space.to_ids(sample_actions(result.action_weights.cpu().numpy(), 1.0, rng))


class EfficientZeroLearner:
    """EfficientZero while it learns one game."""

    def __init__(self, config: EfficientZeroConfig, environment: EnvironmentConfig, run: TrainingRun) -> None:
        self._config, self._run, self._seed, self._device = config, run, run.seed, run.device
        by_env_steps = config.acting.temperature_span == "env_steps"
        self._temperature_span = run.env_step_updates if by_env_steps else run.num_updates
        self.frame_stack = config.network.frame_stack
        self._space = ActionSpace.of(config.network.action_space, environment.game)
        self._network = make_network(config.network, environment.frame_size, run.seed, run.device, self._space.size)
        self._pretrained = False
        self._average = WeightAverage(self._network, config.optimizer.average_decay)
        self._acting = inference_copy(self._network, config.precision)
        self._target = DelayedTarget(self._network, config.targets.target_update_interval, config.precision)
        self._optimizer = Optimizer(self._network, config.optimizer)
        self._learn = graphed(self.learn, self._device, capturable=config.optimizer.unroll_batch_norm == "per_step")
        self._planner = Planner(config.search, self._space, run.seed, run.num_threads)
        self._targets = TargetMaker(config, self._planner, run.seed)
        self._draws = BatchDraws(config, self._targets, self._target, run)
        self._player = EfficientZeroPlayer(config, environment, self._acting, run.seed, run.num_threads)

    def start_from(self, weights: Mapping[str, Tensor], components: Collection[str], frozen: Collection[str]) -> None:
        """Loads and freezes components, in all copies of the network, so that self-play uses them from the first step on."""
        self._network.load_components(weights, components)
        self._network.freeze(frozen)
        self.reset_copies()
        self._pretrained = True

    @property
    def network(self) -> EfficientZeroNetwork:
        """The network that learns."""
        return self._network

    def randomize_heads(self) -> None:
        """Gives an untrained network varied policies and values, in all copies: draws the last layers of the policy and value
        heads, which start at zero, as other layers are drawn. The value prefix stays 0."""
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(derive_seed(self._seed, "heads") % 2**63)
            for layer in self._network.prediction.modules():
                if isinstance(layer, torch.nn.Linear) and not layer.weight.any():
                    layer.reset_parameters()
        self.reset_copies()

    def make_replay(self, num_envs: int, frame_shape: tuple[int, int, int], expected_transitions: int) -> ReplayBuffer:
        """Makes an empty replay with room for the search's policies and root values; frames lie on the GPU if there is one and
        they fit."""
        config, frames = self._config.replay, None
        rows = table_rows(config, num_envs, expected_transitions)
        if self._device.type == "cuda" and frames_fit(rows, num_envs, frame_shape, config.device_frame_memory_gb):
            frames = DeviceFrames(rows, num_envs, frame_shape, self._device)
        return ReplayBuffer(config, num_envs, frame_shape, self._space.size, self._config.window, expected_transitions, frames)

    def act(self, stacks: NDArray[np.uint8], row: int, updates: int) -> Decision:
        """Samples actions in proportion to visits^(1/temperature); uniformly until updates begin, if so configured.

        stacks: `[N, frame_stack, H, W, 3]`. The root policy `gumbel` explores by its own noise: it plays the winner of sequential
        halving (Danihelka et al., 2022), or draws from the improved policy, as `acting.gumbel_action` says.
        """
        rng = stream(self._seed, "act", row)
        valid = np.array(self._space.valid)
        if updates == 0 and self._acts_at_random_first():
            policies = np.zeros((len(stacks), self._space.size), np.float32)
            policies[:, valid] = 1 / len(valid)
            actions = rng.choice(valid, len(stacks))
            return Decision(self._space.to_ids(actions), policies, np.zeros(len(stacks), np.float32))
        result = self._planner.explore(
            self._acting, to_observations(stacks, self._device), self._planner.draw_exploration(len(stacks), "act", row)
        )
        policies, root_values, best = to_host(result.action_weights, result.root_values, result.actions)
        if self._config.search.policy == "puct":
            exponent = 1 / temperature(updates, self._temperature_span, self._config.acting)
            actions = sample_actions(policies, exponent, rng)
        elif self._config.acting.gumbel_action == "policy":
            actions = sample_actions(policies, 1.0, rng)
        else:
            actions = best
        return Decision(self._space.to_ids(actions), policies, root_values)

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """Plays as in evaluation with the acting network, for learning curves."""
        return self._player.play(stacks, env_step)

    def update(self, replay: ReplayBuffer, update: int) -> dict[str, float]:
        """Draws a batch with its targets, takes one step of the optimiser, sets priorities, refreshes the copies that are due."""
        sample, batch = self.make_batch(replay, update)
        self._network.ensure_training()
        self._optimizer.set_learning_rate(update)
        loss_and_norm, value_errors, means = to_host(*self._learn(batch))  # on CUDA `learn` as one captured graph
        metrics = self._optimizer.metrics(loss_and_norm, update)
        replay.update_priorities(sample, value_errors.astype(np.float64))
        self.refresh_copies(update)
        return metrics | named_means(means)

    def learn(self, batch: TensorBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Makes forward pass, losses, backward pass and step.

        Returns the loss with its gradient's norm `[2]`, the value errors `[B]` for the priorities, and the means of the losses'
        terms `[5]`.
        """
        losses = unroll_losses(self._network, batch, self._config)
        loss = total_loss(losses, batch, self._config)
        loss_and_norm = self._optimizer.step(loss)
        return loss_and_norm, losses.value_errors, losses.means()

    def make_batch(self, replay: ReplayBuffer, update: int) -> tuple[Sample, TensorBatch]:
        """The prioritised sample of update number `update`, with the targets that the delayed network makes."""
        sample, batch = self._draws.take(replay, update)
        return sample, to_tensors(batch, self._config, self._device, derive_seed(self._seed, "augment", update))

    def diagnose(self, replay: ReplayBuffer, update: int) -> list[dict[str, Any]]:
        """Measures how training goes (`diagnostics`), on a batch that follows from `update`, the number made so far. Changes
        nothing."""
        sample = replay.sample(self._config.optimizer.batch_size, stream(self._seed, "diagnose", update), 0.0)
        # A maker of its own: what is kept of reanalysis stays what the updates made it.
        batch = TargetMaker(self._config, self._planner, self._seed).make(replay, sample, self._target.network, update)
        tensors = to_tensors(batch, self._config, self._device, derive_seed(self._seed, "diagnose", update))
        copies = self._acting, self._target.network, self._target.next_network
        policies = policy_rows(*copies, tensors, self._planner, self._config.search.discount, update)
        return loss_rows(self._network, tensors, self._config) + policies

    def reset_copies(self) -> None:
        """Makes all copies those of the network as it is now."""
        self._average.reset(self._network)
        refresh(self._acting, self._network, self._config.precision)
        self._target.reset(self._network)

    def refresh_copies(self, update: int) -> None:
        """Refreshes the average, and the acting and the target network where they are due, after update number `update`."""
        self._average.update(self._network)
        if (update + 1) % self._config.acting.network_update_interval == 0:
            refresh(self._acting, self._average.network, self._config.precision)
        self._target.refresh(self._average.network, update)

    def finish(self) -> None:
        """Makes it play with the final weights."""
        refresh(self._acting, self._average.network, self._config.precision)

    def state(self) -> dict[str, Any]:
        """Returns networks, optimiser, what is kept of reanalysis and what is drawn ahead; there is no generator to save."""
        return {
            "network": self._network.state_dict(),
            "average": self._average.state(),
            "acting": self._acting.state_dict(),
            "optimizer": self._optimizer.state(),
            "targets": self._targets.state(),
            "draws": self._draws.state(),
            **self._target.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        self._network.load_state_dict(state["network"])
        self._average.restore(state.get("average", {}))  # nor did earlier releases have this
        self._acting.load_state_dict(state["acting"])
        self._optimizer.restore(state["optimizer"])
        self._targets.restore(state["targets"], self._device)
        self._draws.restore(state.get("draws", {}))  # which earlier releases did not have
        self._target.restore(state)

    def network_state(self) -> dict[str, Any]:
        """The weights and batch-norm statistics that the run ends with: the average's, if there is one."""
        return self._average.network.state_dict()

    def timed_methods(self) -> dict[str, tuple[object, str]]:
        """Names what is timed apart. Targets are made within the batch, and that within the update."""
        targets = (self._targets, "make")
        return {"search": (self, "act"), "reanalysis": targets, "batch": (self, "make_batch"), "update": (self, "update")}

    def _acts_at_random_first(self) -> bool:
        when = self._config.acting.random_until_training
        return when == "always" or (when == "from_scratch" and not self._pretrained)


def temperature(updates: int, span: int, config: ActingConfig) -> float:
    """Returns the temperature of visit counts in self-play: one of three phases, which switch at shares of `span` updates."""
    phase = sum(updates >= share * span for share in config.temperature_switches)
    return config.temperatures[phase]


def named_means(means: NDArray[np.float32]) -> dict[str, float]:
    """Names the means `[5]` of `Losses.means` as in the metrics."""
    names = ("value_prefix_loss", "policy_loss", "value_loss", "consistency_loss", "value_error")
    return dict(zip(names, means.tolist(), strict=True))


def make_player(
    config: EfficientZeroConfig,
    environment: EnvironmentConfig,
    weights: Mapping[str, Tensor],
    *,
    seed: int,
    num_threads: int,
) -> EfficientZeroPlayer:
    """A player with these weights, on the device that they are on."""
    space = ActionSpace.of(config.network.action_space, environment.game)
    device = next(iter(weights.values())).device
    network = make_network(config.network, environment.frame_size, seed, device, space.size)
    network.load_state_dict(weights)
    return EfficientZeroPlayer(config, environment, inference_copy(network, config.precision), seed, num_threads)


def make_network(
    config: NetworkConfig, frame_size: int, seed: int, device: torch.device, num_actions: int = NUM_ACTIONS
) -> EfficientZeroNetwork:
    """A network for so many actions, with weights drawn from the stream `network` of `seed`; the global generator is left as it
    was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "network") % 2**63)
        network = EfficientZeroNetwork(config, frame_size, num_actions)
    # Channels last is up to twice as fast, on CPU and on GPU.
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def sample_actions(policies: NDArray[np.float32], exponent: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws an action for each row of `[N, A]`, in proportion to policy^exponent: `[N]`; never one of probability 0.

    Raises FloatingPointError for a policy from which nothing can be drawn.
    """
    mass = policies.astype(np.float64) ** exponent
    unusable = np.flatnonzero(~(mass.sum(axis=1) > 0) | ~np.isfinite(mass.sum(axis=1)))
    if unusable.size:
        first = int(unusable[0])
        raise FloatingPointError(
            f"the policy of environment {first} is {policies[first].tolist()}: no action can be drawn from it"
        )
    total = mass.cumsum(axis=1)
    draws = rng.random(len(mass)) * total[:, -1]
    actions: NDArray[np.int64] = (total <= draws[:, None]).sum(axis=1)
    return actions
