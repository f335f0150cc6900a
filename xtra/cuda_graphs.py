"""Work captured as a CUDA graph and replayed: the host launches one graph instead of a thousand kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class CaptureStream:
    """One for each graph, for its warm-up and its capture. cuBLAS keeps a workspace per stream, whose address a graph remembers
    and which goes when a graph that was captured on that stream goes: graphs that shared one would lose theirs."""

    def __init__(self, device: torch.device) -> None:
        new_stream: Any = torch.cuda.Stream  # typed or not, depending on how torch was built
        self._device, self._stream = device, new_stream(device)

    def warm_up(self, function: Callable[[], T]) -> T:
        """Runs it here. Whatever autograd keeps for a weight must not belong to the default stream before a capture."""
        main = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            found = function()
        main.wait_stream(self._stream)
        return found

    def capture(self, function: Callable[[], T]) -> tuple[torch.cuda.CUDAGraph, T]:
        """Records its kernels and runs none. Raises RuntimeError, with the original fault as its context, for what a graph cannot
        hold."""
        graph = torch.cuda.CUDAGraph()
        # The outer context gives the stream back when a capture fails; torch.cuda.graph itself then does not.
        with torch.cuda.stream(self._stream), torch.cuda.graph(graph, stream=self._stream):
            found = function()
        return graph, found


Function = Callable[..., tuple[Tensor, ...]]
Shapes = tuple[tuple[torch.Size, torch.dtype], ...]

WARM_UP_CALLS = 3
"""Calls that run as they are before the capture, for lazy initialisation and for what an optimiser makes at its first step."""

SWITCH = "XTRA_CUDA_GRAPHS"
_suspensions = 0


def graphs_are_wanted(device: torch.device) -> bool:
    """Whether work on this device is captured: on CUDA, unless the environment variable `XTRA_CUDA_GRAPHS` is 0."""
    return device.type == "cuda" and os.environ.get(SWITCH) != "0" and not _suspensions


@contextmanager
def without_graphs() -> Iterator[None]:
    """While it lasts, everything runs operator by operator, also what has been captured: for those who count operators."""
    global _suspensions
    _suspensions += 1
    try:
        yield
    finally:
        _suspensions -= 1


class Captured(Protocol):
    """A captured call: `replay` repeats it on what `inputs` hold and leaves what it returned in `outputs`."""

    inputs: Sequence[Tensor]
    outputs: tuple[Tensor, ...]

    def replay(self) -> None: ...


class Recorder(Protocol):
    """How calls are warmed up and captured; not a CUDA device in tests."""

    def warm_up(self, function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]: ...

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Captured: ...


class CudaRecorder:
    """On a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._stream = CaptureStream(device)

    def warm_up(self, function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """A call as it is."""
        return self._stream.warm_up(lambda: function(*inputs))

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Captured:
        """A call on copies of `inputs`."""
        return _CudaGraph(self._stream, function, inputs)


class _CudaGraph:
    def __init__(self, stream: CaptureStream, function: Function, inputs: Sequence[Tensor]) -> None:
        self.inputs: Sequence[Tensor] = [tensor.clone() for tensor in inputs]
        self._graph, self.outputs = stream.capture(lambda: function(*self.inputs))

    def replay(self) -> None:
        self._graph.replay()


class GraphedFunction:
    """`function`, run as it is `WARM_UP_CALLS` times, then captured once for each combination of its inputs' shapes and replayed.

    The function must not wait for the device nor branch on its data, and whatever it reads or changes besides its inputs must
    stay where it is in memory. What it returns holds until the next call. One that cannot be captured runs as it is.
    """

    def __init__(self, function: Function, recorder: Recorder) -> None:
        self._function, self._recorder = function, recorder
        self._warm_ups_left = WARM_UP_CALLS
        self._refused = False
        self.captured: dict[Shapes, Captured] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if _suspensions:
            return self._function(*inputs)
        if self._warm_ups_left > 0:
            self._warm_ups_left -= 1
            return self._recorder.warm_up(self._function, inputs)
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        if shapes not in self.captured and not self._refused:
            self._capture(shapes, inputs)
        if self._refused:
            return self._function(*inputs)
        captured = self.captured[shapes]
        for held, given in zip(captured.inputs, inputs, strict=True):
            held.copy_(given)
        captured.replay()
        return captured.outputs

    def _capture(self, shapes: Shapes, inputs: Sequence[Tensor]) -> None:
        try:
            self.captured[shapes] = self._recorder.capture(self._function, inputs)
        except RuntimeError as error:
            reason = error.__context__ or error
            print(
                f"this work is not captured as a CUDA graph ({reason}); it runs kernel by kernel: slower, with the same results"
            )
            self._refused = True
            self.captured.clear()
