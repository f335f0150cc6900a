"""Arithmetic in bfloat16: half the memory and, on a GPU with tensor cores, several times the speed.

Updates run under autocast: weights, gradients, batch norm and losses stay in float32. Copies of the network that only ever infer
keep their convolutions, linear layers and LSTM in bfloat16 instead, so that a search of 50 inferences casts no weight at all.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import nn

from xtra.agents.efficientzero.network import EfficientZeroNetwork

Precision = Literal["float32", "bfloat16"]


def update_precision(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which an update computes its losses."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def inference_copy(network: EfficientZeroNetwork, precision: Precision) -> EfficientZeroNetwork:
    """A copy that only infers. `load_state_dict` of a float32 network rounds into it."""
    return for_inference(copy.deepcopy(network), precision)


def for_inference(network: EfficientZeroNetwork, precision: Precision) -> EfficientZeroNetwork:
    """The network itself, made to infer only. Batch norm stays in float32: its statistics are sums over long times."""
    if precision == "bfloat16":
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.LSTM):
                module.to(torch.bfloat16)
    return network.eval()
