"""CURL while it learns one game, and the player that it leaves: noisy exploration, prioritised replay, n-step targets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.curl.batch import CurlBatch, Tasks, make_batch, transitions, valid_actions
from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.learning import CurlNetworks, priorities
from xtra.agents.curl.network import CurlNetwork
from xtra.agents.interface import Decision, TrainingRun
from xtra.agents.observation import to_observations
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import NUM_ACTIONS, find_game
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.rng import derive_seed, stream


class CurlPlayer:
    """A trained network that plays greedily, without noise, but for a rare random action. Its draws derive from `seed`."""

    def __init__(self, config: CurlConfig, environment: EnvironmentConfig, network: CurlNetwork, seed: int) -> None:
        self.frame_stack = config.network.frame_stack
        self._network, self._seed, self._device = network, seed, network.atoms.device
        self._epsilon = config.acting.evaluation_epsilon
        self._action_ids = np.array(find_game(environment.game).action_ids)
        self._valid = valid_actions([environment.game], self._device)

    @torch.no_grad()
    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """Returns one action id per environment, `[N]`; ties go to the lowest. stacks: `[N, frame_stack, H, W, C]`."""
        observations = to_observations(stacks, self._device)
        greedy = self._network.values(observations, self._valid.expand(len(stacks), -1), None).argmax(1).cpu().numpy()
        rng = stream(self._seed, "evaluation-epsilon", env_step)
        at_random = rng.random(len(stacks)) < self._epsilon
        return np.where(at_random, rng.choice(self._action_ids, len(stacks)), greedy)


class CurlLearner:
    """CURL while it learns one game. Of `run` it uses the seed and the number of updates; threads and the budget of env steps
    play no role."""

    def __init__(self, config: CurlConfig, environment: EnvironmentConfig, run: TrainingRun) -> None:
        self._config, self._num_updates, self._seed, self._device = config, run.num_updates, run.seed, run.device
        self.frame_stack = config.network.frame_stack
        self._networks = CurlNetworks(config, make_network(config, environment, run.seed, run.device))
        self._tasks = Tasks.of([environment.game] * config.optimizer.batch_size, config, run.device)
        self._valid = valid_actions([environment.game], run.device)
        self._player = CurlPlayer(config, environment, self._networks.network, run.seed)

    def start_from(self, weights: Mapping[str, Tensor], components: Collection[str], frozen: Collection[str]) -> None:
        """Loads and freezes components: the encoder is `representation`, the dueling heads `prediction`, the contrastive head
        `projection`."""
        self._networks.start_from(weights, components, frozen)

    def make_replay(self, num_envs: int, frame_shape: tuple[int, int, int], expected_transitions: int) -> ReplayBuffer:
        """Makes an empty replay. A transition's targets look at the rewards of n steps and the observation after them."""
        return ReplayBuffer(self._config.replay, num_envs, frame_shape, NUM_ACTIONS, self._config.window, expected_transitions)

    @torch.no_grad()
    def act(self, stacks: NDArray[np.uint8], row: int, updates: int) -> Decision:
        """Takes the best valid action under noise, drawn for each environment and row, from the first row on. stacks: `[N,
        frame_stack, H, W, C]`."""
        network = self._networks.network
        noise = network.prediction.draw_noise(stream(self._seed, "noise", "act", row), len(stacks), self._device)
        values = network.values(to_observations(stacks, self._device), self._valid.expand(len(stacks), -1), noise)
        best, actions = (x.cpu().numpy() for x in values.max(1))
        return Decision(actions, np.eye(NUM_ACTIONS, dtype=np.float32)[actions], best)

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """Plays as in evaluation, for learning curves: action ids `[N]` for stacks `[N, frame_stack, H, W, C]`."""
        return self._player.play(stacks, env_step)

    def update(self, replay: ReplayBuffer, update: int) -> dict[str, float]:
        """Draws a batch, learns from it, and sets the samples' new priorities."""
        sample, batch = self.make_batch(replay, update)
        metrics, losses = self._networks.update(batch, update)
        replay.update_priorities(sample, priorities(losses, batch, self._config).double().cpu().numpy())
        return metrics

    def make_batch(self, replay: ReplayBuffer, update: int) -> tuple[Sample, CurlBatch]:
        """Draws the prioritised sample of update number `update`, and reads its transitions."""
        correction = self._config.replay.importance_exponent(update, self._num_updates)
        sample = replay.sample(self._config.optimizer.batch_size, stream(self._seed, "replay", update), correction)
        samples = transitions(replay, sample, self._config)
        batch = make_batch(samples, self._tasks, self._networks.network, self._config, seed=self._seed, update=update)
        return sample, batch

    def finish(self) -> None:
        """Does nothing: CURL acts with the network that learns."""

    def state(self) -> dict[str, Any]:
        """Returns networks and optimiser; there is no generator to save."""
        return self._networks.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        self._networks.restore(state)

    def network_state(self) -> dict[str, Any]:
        """Returns the learning network's weights."""
        return self._networks.network.state_dict()

    def timed_methods(self) -> dict[str, tuple[object, str]]:
        """Names the parts that are timed. The batch is made within the update."""
        return {"acting": (self, "act"), "batch": (self, "make_batch"), "update": (self, "update")}


def make_player(
    config: CurlConfig, environment: EnvironmentConfig, weights: Mapping[str, Tensor], *, seed: int, num_threads: int
) -> CurlPlayer:
    """Makes a player with the network weights `weights` (a `state_dict`), on the device that they are on."""
    network = make_network(config, environment, seed, next(iter(weights.values())).device)
    network.load_state_dict(weights)
    return CurlPlayer(config, environment, network, seed)


def make_network(config: CurlConfig, environment: EnvironmentConfig, seed: int, device: torch.device) -> CurlNetwork:
    """Makes a network with weights drawn from the stream `network` of `seed`; the global generator is left as it was."""
    channels = config.network.frame_stack * (1 if environment.color == "gray" else 3)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "network") % 2**63)
        return CurlNetwork(config, channels, environment.frame_size).to(device)
