"""Behaviour cloning: the network that learns to act as someone did, and the player that follows its policy without a search."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.config import CloningConfig
from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.descent import Descent
from xtra.agents.efficientzero.losses import cross_entropy
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.observation import augment, to_observations
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import GAMES
from xtra.rng import derive_seed


class CloningPlayer:
    """The most probable valid action; ties go to the lowest id."""

    def __init__(self, config: CloningConfig, environment: EnvironmentConfig, network: EfficientZeroNetwork) -> None:
        self.frame_stack = config.network.frame_stack
        self._network = network.eval()
        self._device = next(network.parameters()).device
        self._action_ids = np.array(GAMES[environment.game].action_ids)

    @torch.no_grad()
    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """One valid action id per environment."""
        logits = policy_logits(self._network, to_observations(stacks, self._device)).cpu().numpy()
        actions: NDArray[np.int64] = self._action_ids[logits[:, self._action_ids].argmax(1)]
        return actions


class Cloner:
    """A whole EfficientZero network of which representation and policy head learn; the rest stays as it was drawn."""

    def __init__(self, config: CloningConfig, frame_size: int, seed: int, device: torch.device) -> None:
        self._config, self._seed, self._device = config, seed, device
        self.network = make_network(config.network, frame_size, seed, device)
        self._descent = Descent(self.network, config.optimizer, self.evaluate)

    def update(
        self, stacks: NDArray[np.uint8], policies: NDArray[np.float32], update: int
    ) -> tuple[dict[str, float], Tensor, Tensor]:
        """Update number `update` on observations `[B, frame_stack, H, W, 3]` and the policies `[B, 18]` to imitate.

        Returns metrics, and per sample `[B]` the loss and whether the most probable action is the policy's. The softmax is over
        all 18 actions, as EfficientZero trains it. Raises FloatingPointError when the loss is not finite.
        """
        generator = torch.Generator(self._device).manual_seed(derive_seed(self._seed, "augment", update) % 2**63)
        observations = augment(torch.as_tensor(stacks, device=self._device), self._config.optimizer, generator)
        wanted = torch.from_numpy(policies).to(self._device)
        self.network.train()
        metrics, (losses, agrees) = self._descent.step((observations, wanted), update)
        return metrics, losses, agrees

    def evaluate(self, observations: Tensor, wanted: Tensor) -> tuple[Tensor, ...]:
        """The loss, and per sample its own and whether the most probable action is the wanted one."""
        logits = policy_logits(self.network, observations)
        losses = cross_entropy(logits, wanted)
        return losses.mean(), losses, logits.argmax(1) == wanted.argmax(1)

    def state(self) -> dict[str, Any]:
        """Network and optimiser."""
        return {"network": self.network.state_dict(), "optimizer": self._descent.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.network.load_state_dict(state["network"])
        self._descent.restore(state["optimizer"])


def policy_logits(network: EfficientZeroNetwork, observations: Tensor) -> Tensor:
    """`[B, 18]` of what is seen. The value head is computed, and left out of every loss: no gradient reaches it."""
    logits: Tensor = network.prediction(network.representation(observations))[0]
    return logits
