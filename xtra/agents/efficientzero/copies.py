"""The copies of a network that only infer: the one that acts, and the delayed one that makes targets.

In bfloat16, which takes half the memory and is several times as fast on a GPU with tensor cores, they keep their convolutions,
linear layers and LSTM in it, so that a search of 50 inferences casts no weight at all.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xtra.agents.efficientzero.network import EfficientZeroNetwork

Precision = Literal["float32", "bfloat16"]


def inference_copy(network: EfficientZeroNetwork, precision: Precision) -> EfficientZeroNetwork:
    """A copy that only infers. `load_state_dict` of a float32 network rounds into it."""
    return for_inference(copy.deepcopy(network), precision)


def for_inference(network: EfficientZeroNetwork, precision: Precision) -> EfficientZeroNetwork:
    """The network itself, made to infer only. Batch norm stays in float32: its statistics are sums over long times."""
    for module in network.modules():
        if precision == "bfloat16" and isinstance(module, nn.Conv2d | nn.Linear | nn.LSTM):
            module.to(torch.bfloat16)
        if isinstance(module, nn.LSTM):
            join_weights(module)
    return network.eval()


@torch.no_grad()
def join_weights(lstm: nn.LSTM) -> None:
    """Lays the weights of an LSTM of one layer into one piece of memory, which cuDNN would otherwise do at every call: a copy's
    lie in pieces. `flatten_parameters` passes bfloat16 over, because `cudnn.is_acceptable` refuses it (PyTorch 2.11)."""
    weights: list[Tensor] = list(lstm.parameters())
    if weights[0].is_cuda and weights[0].dtype == torch.bfloat16:
        lstm_mode, projection, layers, batch_first, both_ways = 2, 0, 1, False, False
        sizes = lstm.input_size, lstm_mode, lstm.hidden_size, projection, layers
        torch._cudnn_rnn_flatten_weight(weights, len(weights), *sizes, batch_first, both_ways)
    else:
        lstm.flatten_parameters()


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

    @property
    def next_network(self) -> EfficientZeroNetwork:
        """The snapshot that follows, in float32."""
        return self._next

    def reset(self, source: EfficientZeroNetwork) -> None:
        """Starts anew from `source`."""
        for network in (self.network, self._next):
            network.load_state_dict(source.state_dict())

    def state(self) -> dict[str, Any]:
        """Both copies."""
        return {"target": self.network.state_dict(), "next_target": self._next.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets both copies to what `state` returned."""
        self.network.load_state_dict(state["target"])
        self._next.load_state_dict(state["next_target"])
