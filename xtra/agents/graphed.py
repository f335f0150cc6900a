"""A function of tensors, captured as a CUDA graph and replayed: the host launches one graph instead of a thousand kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

Function = Callable[..., tuple[Tensor, ...]]

WARM_UP_CALLS = 3
"""Calls that run as they are before the capture, for lazy initialisation and for what an optimiser makes at its first step."""

SWITCH = "XTRA_CUDA_GRAPHS"


def graphs_are_wanted(device: torch.device) -> bool:
    """Whether work on this device is captured: on CUDA, unless the environment variable `XTRA_CUDA_GRAPHS` is 0."""
    return device.type == "cuda" and os.environ.get(SWITCH) != "0"


class Captured(Protocol):
    """A captured call: `replay` repeats it on what `inputs` hold and leaves what it returned in `outputs`."""

    inputs: Sequence[Tensor]
    outputs: tuple[Tensor, ...]

    def replay(self) -> None: ...


Capture = Callable[[Function, Sequence[Tensor]], Captured]


class CudaGraph:
    """Captures one call on copies of `inputs`. A capture records kernels and runs none."""

    def __init__(self, function: Function, inputs: Sequence[Tensor]) -> None:
        self.inputs: Sequence[Tensor] = [tensor.clone() for tensor in inputs]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self.outputs = function(*self.inputs)

    def replay(self) -> None:
        """One launch."""
        self._graph.replay()


class GraphedFunction:
    """`function`, captured at its call number `WARM_UP_CALLS` and replayed from then on: same arguments, same kernels.

    The function must not wait for the device nor branch on its data, and whatever it reads or changes besides its inputs must
    stay where it is in memory. What it returns holds until the next call. Inputs of other shapes than the captured ones, and a
    function that cannot be captured, run as they are.
    """

    def __init__(self, function: Function, capture: Capture = CudaGraph) -> None:
        self._function = function
        self._capture: Capture | None = capture
        self._captured: Captured | None = None
        self._calls_before_capture = WARM_UP_CALLS

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self._calls_before_capture > 0:
            self._calls_before_capture -= 1
            return _on_side_stream(self._function, inputs)
        if self._captured is None and self._capture is not None:
            self._captured = self._try_to_capture(self._capture, inputs)
        if self._captured is None or not all(map(_alike, self._captured.inputs, inputs)):
            return self._function(*inputs)
        for held, given in zip(self._captured.inputs, inputs, strict=True):
            held.copy_(given)
        self._captured.replay()
        return self._captured.outputs

    def _try_to_capture(self, capture: Capture, inputs: Sequence[Tensor]) -> Captured | None:
        try:
            return capture(self._function, inputs)
        except RuntimeError as error:
            print(f"this work is not captured as a CUDA graph ({error}); it runs kernel by kernel: slower, with the same results")
            self._capture = None
            return None


def _alike(held: Tensor, given: Tensor) -> bool:
    return held.shape == given.shape and held.dtype == given.dtype


def _on_side_stream(function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """PyTorch's rule before a capture: whatever autograd keeps for a weight must not belong to the default stream."""
    device = inputs[0].device
    if device.type != "cuda":
        return function(*inputs)
    new_stream: Any = torch.cuda.Stream  # typed or not, depending on how torch was built
    side, main = new_stream(device), torch.cuda.current_stream(device)
    side.wait_stream(main)
    with torch.cuda.stream(side):
        outputs = function(*inputs)
    main.wait_stream(side)
    return outputs
