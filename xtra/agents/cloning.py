"""Plays by a cloned policy, without a search. `xtra.transfer.behaviour_cloning` trains it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.config import CloningConfig
from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.observation import to_observations
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import ActionSpace, find_game


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
    space = ActionSpace.of(config.network.action_space, environment.game)
    device = next(iter(weights.values())).device
    network = make_network(config.network, environment.frame_size, seed, device, space.size)
    network.load_state_dict(weights)
    return CloningPlayer(config, environment, network)


def policy_logits(network: EfficientZeroNetwork, observations: Tensor) -> Tensor:
    """Returns the policy's logits `[B, 18]`. The value head is computed too, but no loss reads it."""
    logits: Tensor = network.prediction(network.representation(observations))[0]
    return logits
