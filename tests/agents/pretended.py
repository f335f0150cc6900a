"""CUDA graphs without CUDA: what they hold, what they refuse, and when they are replayed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from xtra.cuda_graphs import FlatFunction


class NoHostReads(TorchDispatchMode):
    """Refuses what a CUDA graph cannot hold: what makes the host wait for the device or a shape depend on data, and tensors made
    of numbers on the host."""

    REFUSED = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "repeat_interleave", "lift_fresh")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.REFUSED:
            raise RuntimeError(f"{name} cannot be captured")
        return func(*args, **(kwargs or {}))


class PretendedGraph:
    """Holds what a CUDA graph holds, inputs at fixed places and a call, and calls again where that replays."""

    def __init__(self, function: FlatFunction, inputs: Sequence[torch.Tensor]) -> None:
        self._function = function
        self.inputs: Sequence[torch.Tensor] = [tensor.clone() for tensor in inputs]
        self.outputs: tuple[torch.Tensor, ...] = ()
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with NoHostReads():
            self.outputs = self._function(*self.inputs)


class PretendedRecorder:
    def warm_up(self, function: FlatFunction, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return function(*inputs)

    def capture(self, function: FlatFunction, inputs: Sequence[torch.Tensor]) -> PretendedGraph:
        return PretendedGraph(function, inputs)
