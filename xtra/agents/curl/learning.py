"""One update of CURL's networks: gradient step, slow followers, copies. Online learning and pretraining share it."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from xtra.agents.curl.batch import CurlBatch
from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.losses import CurlLosses, curl_losses, total_loss
from xtra.agents.curl.network import CurlNetwork


class CurlNetworks:
    """The network that learns and acts, two that follow it, and the optimiser.

    The target is a copy made every `target_update_interval` updates; the momentum network's encoder and contrastive head move
    slowly towards it at every update.
    """

    def __init__(self, config: CurlConfig, network: CurlNetwork) -> None:
        self._config, self.network = config, network
        self._target = copy.deepcopy(network).requires_grad_(False)
        self._momentum = copy.deepcopy(network).requires_grad_(False)
        settings = config.optimizer
        self._optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, eps=settings.adam_epsilon, fused=True)

    def start_from(self, weights: Mapping[str, Tensor], components: Collection[str], frozen: Collection[str]) -> None:
        """Loads some components of another network, into all three, and freezes some."""
        self.network.load_components(weights, components)
        self.network.freeze(frozen)
        for other in (self._target, self._momentum):
            other.load_state_dict(self.network.state_dict())

    def update(self, batch: CurlBatch, update: int) -> tuple[dict[str, float], CurlLosses]:
        """Makes update number `update`. Returns its metrics and its losses, which hold no gradient any more.

        Raises FloatingPointError, before any weight changes, when loss or gradient is not finite.
        """
        losses = curl_losses(self.network, self._target, self._momentum, batch, self._config)
        metrics = self._step(total_loss(losses, batch), update)
        metrics["value_loss"] = losses.value.mean().item()
        if batch.views is not None:
            metrics |= {"contrastive_loss": losses.contrastive.mean().item(), "contrastive_accuracy": losses.accuracy.item()}
            self._follow()
        if (update + 1) % self._config.targets.target_update_interval == 0:
            self._target.load_state_dict(self.network.state_dict())
        return metrics, losses

    def state(self) -> dict[str, Any]:
        """Returns everything that `restore` needs to go on bit for bit."""
        return {
            "network": self.network.state_dict(),
            "target": self._target.state_dict(),
            "momentum": self._momentum.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Sets what `state` returned."""
        self.network.load_state_dict(state["network"])
        self._target.load_state_dict(state["target"])
        self._momentum.load_state_dict(state["momentum"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _step(self, loss: Tensor, update: int) -> dict[str, float]:
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"update {update}: the loss is {loss.item()}")
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._config.optimizer.max_gradient_norm)
        if not math.isfinite(norm.item()):
            # Clipping by an infinite norm would write NaN into every weight.
            raise FloatingPointError(f"update {update}: the norm of the gradient is {norm.item()}")
        self._optimizer.step()
        return {"loss": loss.item(), "gradient_norm": norm.item()}

    @torch.no_grad()
    def _follow(self) -> None:
        share = 1 - self._config.contrastive.momentum
        for part in ("representation", "projection"):
            slow, fast = (network.get_submodule(part).parameters() for network in (self._momentum, self.network))
            for momentum_weights, weights in zip(slow, fast, strict=True):
                momentum_weights.lerp_(weights, share)
