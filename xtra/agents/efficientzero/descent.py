"""One step of the optimiser, and the delayed copy of the network that makes targets: what every way of training it shares."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from xtra.agents.efficientzero.config import OptimizerConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.precision import Precision, inference_copy
from xtra.agents.efficientzero.schedules import learning_rate


def make_optimizer(network: EfficientZeroNetwork, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Over all parameters; the learning rate is set at every update. On CUDA all weights are changed by one kernel."""
    rate, decay = config.learning_rate, config.weight_decay
    fused = True if next(network.parameters()).is_cuda else None
    if config.method == "adam":
        return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=fused)
    return torch.optim.SGD(network.parameters(), lr=rate, momentum=config.momentum, weight_decay=decay, fused=fused)


def descend(
    network: EfficientZeroNetwork, optimizer: torch.optim.Optimizer, config: OptimizerConfig, loss: Tensor, update: int
) -> dict[str, float]:
    """One step of the optimiser. Raises FloatingPointError, before any weight changes, if loss or gradient is not finite.

    This is where an update waits for the device, once: copies to the host that were begun before are complete afterwards.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), config.max_gradient_norm)
    loss_value, norm_value = torch.stack([loss.detach(), norm]).tolist()
    if not math.isfinite(loss_value):
        raise FloatingPointError(f"update {update}: the loss is {loss_value}")
    if not math.isfinite(norm_value):
        # Clipping by an infinite norm would write NaN into every weight.
        raise FloatingPointError(f"update {update}: the norm of the gradient is {norm_value}")
    rate = learning_rate(update, config)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return {"loss": loss_value, "gradient_norm": norm_value, "learning_rate": rate}


class DelayedTarget:
    """A snapshot of a network, taken every `interval` updates and used one interval late."""

    def __init__(self, network: EfficientZeroNetwork, interval: int, precision: Precision = "float32") -> None:
        self._interval = interval
        self.network = inference_copy(network, precision)
        self._next = copy.deepcopy(network).eval()

    def refresh(self, source: EfficientZeroNetwork, update: int) -> None:
        """After update number `update` of `source`."""
        if (update + 1) % self._interval == 0:
            self.network.load_state_dict(self._next.state_dict())
            self._next.load_state_dict(source.state_dict())

    def reset(self, source: EfficientZeroNetwork) -> None:
        """Starts anew from `source`."""
        for network in (self.network, self._next):
            network.load_state_dict(source.state_dict())

    def state(self) -> dict[str, Any]:
        """Both copies."""
        return {"target": self.network.state_dict(), "next_target": self._next.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.network.load_state_dict(state["target"])
        self._next.load_state_dict(state["next_target"])
