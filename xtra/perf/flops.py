"""Floating-point operations: how many a computation takes, and how many a device can do."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from xtra.agents.efficientzero.copies import Precision

MATMUL_SIZE = {"cpu": 1024, "cuda": 8192}


def count_flops(compute: Callable[[], Any]) -> float:
    """Counts the operations of convolutions, matrix products and LSTMs, forward and backward; a multiplication and an addition
    are two."""
    # The counter of torch before 2.5 prints what it thinks of modules.
    with redirect_stdout(StringIO()), FlopCounterMode(display=False, custom_mapping=LSTMS) as counter:
        compute()
    return float(counter.get_total_flops())


def matmul_flops_per_second(device: torch.device, precision: Precision) -> float:
    """Measures the device at its best: a large square matrix product, the fastest of five."""
    size = MATMUL_SIZE[device.type]
    matrix = torch.rand(size, size, device=device, dtype=torch.bfloat16 if precision == "bfloat16" else torch.float32)
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        product = matrix @ matrix
        product[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


def _lstm(x: Any, weight_ih: Any, weight_hh: Any, *_: Any, **__: Any) -> int:
    """Counts an LSTM's operations from shapes: four gates, each a matrix product with the inputs and one with the hidden
    state."""
    (steps, batch, inputs), (gates, hidden) = x, weight_hh
    return 2 * int(steps * batch * gates * (inputs + hidden))


def _lstm_backward(*shapes: Any, **__: Any) -> int:
    return 2 * _lstm(*shapes)


def _cudnn_lstm(x: Any, weights: Any, *_: Any, **__: Any) -> int:
    return _lstm(x, weights[0], weights[1])


def _cudnn_lstm_backward(x: Any, weights: Any, *_: Any, **__: Any) -> int:
    return 2 * _lstm(x, weights[0], weights[1])


LSTMS: dict[Any, Any] = {
    torch.ops.aten.mkldnn_rnn_layer: _lstm,
    torch.ops.aten.mkldnn_rnn_layer_backward: _lstm_backward,
    torch.ops.aten._cudnn_rnn: _cudnn_lstm,
    torch.ops.aten._cudnn_rnn_backward: _cudnn_lstm_backward,
}
"""PyTorch's own counter passes them over."""
