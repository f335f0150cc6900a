"""Work captured as a CUDA graph and replayed: the host launches one graph instead of a thousand kernels.

`graphed` wraps a function from outside, as a decorator does; the function knows nothing of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

P = ParamSpec("P")
R = TypeVar("R")

FlatFunction = Callable[..., tuple[Tensor, ...]]
"""A function of tensors that returns tensors."""

Shapes = tuple[tuple[torch.Size, torch.dtype], ...]

WARM_UP_CALLS = 3
"""Calls of one shape that run as they are before its capture, for lazy initialisation and for what an optimiser makes at its
first step; PyTorch's advice for CUDA graphs."""

SWITCH = "XTRA_CUDA_GRAPHS"

_suspensions = 0


def graphs_are_wanted(device: torch.device) -> bool:
    """Tells whether work on this device is captured: on CUDA, unless the environment variable `XTRA_CUDA_GRAPHS` is 0."""
    return device.type == "cuda" and os.environ.get(SWITCH) != "0" and not _suspensions


@contextmanager
def without_graphs() -> Iterator[None]:
    """Runs everything kernel by kernel while it lasts, with the same results: for measurements that count operators."""
    global _suspensions
    _suspensions += 1
    try:
        yield
    finally:
        _suspensions -= 1


def graphed(function: Callable[P, R], device: torch.device, *, capturable: bool = True) -> Callable[P, R]:
    """Wraps `function` of tensors on `device` as a `GraphedFunction` if graphs are wanted there, else returns it as it is.
    capturable: False if it waits for the device or branches on its data."""
    return GraphedFunction(function, CudaRecorder(device)) if capturable and graphs_are_wanted(device) else function


def report_refusal(error: RuntimeError) -> None:
    """Says, once for each piece of work, that it could not be captured and why."""
    reason = error.__context__ or error
    print(f"this work is not captured as a CUDA graph ({reason}); it runs kernel by kernel: slower, with the same results")


class CaptureStream:
    """A stream for the warm-up and the capture of one graph. cuBLAS keeps a workspace per stream, whose address a graph remembers
    and which is freed with a graph that was captured on that stream: graphs that shared a stream would lose theirs."""

    def __init__(self, device: torch.device) -> None:
        new_stream: Any = torch.cuda.Stream  # typed or not, depending on how torch was built
        self._device, self._stream = device, new_stream(device)

    def warm_up(self, function: Callable[[], R]) -> R:
        """Runs the function on this stream. The gradient accumulators that autograd keeps for weights must not belong to the
        default stream before a capture."""
        main = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            result = function()
        main.wait_stream(self._stream)
        return result

    def capture(self, function: Callable[[], R]) -> tuple[torch.cuda.CUDAGraph, R]:
        """Records its kernels and runs none. Raises RuntimeError, with the original fault as its context, for what a graph cannot
        hold."""
        graph = torch.cuda.CUDAGraph()
        # The outer context gives the stream back when a capture fails; torch.cuda.graph itself then does not. What other threads
        # do meanwhile (they decode offline data) is no part of the capture and must not end it.
        with (
            torch.cuda.stream(self._stream),
            torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            result = function()
        return graph, result


class Captured(Protocol):
    """A captured call: `replay` repeats it on what `inputs` hold and leaves what it returned in `outputs`."""

    inputs: Sequence[Tensor]
    outputs: tuple[Tensor, ...]

    def replay(self) -> None: ...


class Recorder(Protocol):
    """A way to warm up and capture calls, which in tests needs no CUDA device. Inputs and outputs have any shapes `[...]`."""

    def warm_up(self, function: FlatFunction, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Makes the call as it is, on inputs `[...]`, and returns its outputs `[...]`."""
        ...

    def capture(self, function: FlatFunction, inputs: Sequence[Tensor]) -> Captured:
        """Captures the call on copies of `inputs`, `[...]` each."""
        ...


class CudaRecorder:
    """A recorder on a CUDA stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._stream = CaptureStream(device)

    def warm_up(self, function: FlatFunction, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return self._stream.warm_up(lambda: function(*inputs))

    def capture(self, function: FlatFunction, inputs: Sequence[Tensor]) -> Captured:
        return _CudaGraph(self._stream, function, inputs)


class _CudaGraph:
    def __init__(self, stream: CaptureStream, function: FlatFunction, inputs: Sequence[Tensor]) -> None:
        self.inputs: Sequence[Tensor] = [tensor.clone() for tensor in inputs]
        self._graph, self.outputs = stream.capture(lambda: function(*self.inputs))

    def replay(self) -> None:
        self._graph.replay()


class GraphedFunction(Generic[P, R]):
    """Runs `function` as it is `WARM_UP_CALLS` times for each combination of its inputs' shapes, then captures it once and
    replays it.

    Arguments and result are tensors, or tuples, lists and named tuples of them. The function must not wait for the device nor
    branch on its data, and whatever it reads or changes besides its inputs must stay where it is in memory. Its results hold
    until the next call. A function that cannot be captured runs as it is.
    """

    def __init__(self, function: Callable[P, R], recorder: Recorder) -> None:
        self._function, self._recorder = function, recorder
        self._calls: dict[Shapes, int] = {}
        self._refused = False
        self._result_structure: Any = None
        self.captured: dict[Shapes, Captured] = {}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._refused or _suspensions:
            return self._function(*args, **kwargs)
        inputs, structure = pytree.tree_flatten((args, kwargs))

        def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
            rebuilt_args, rebuilt_kwargs = pytree.tree_unflatten(list(tensors), structure)
            leaves, self._result_structure = pytree.tree_flatten(self._function(*rebuilt_args, **rebuilt_kwargs))
            return tuple(leaves)

        result: R = pytree.tree_unflatten(list(self._run(flat, inputs)), self._result_structure)
        return result

    def _run(self, flat: FlatFunction, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        calls = self._calls[shapes] = self._calls.get(shapes, 0) + 1
        if calls <= WARM_UP_CALLS:
            return self._recorder.warm_up(flat, inputs)
        if shapes not in self.captured:
            try:
                self.captured[shapes] = self._recorder.capture(flat, inputs)
            except RuntimeError as error:
                report_refusal(error)
                self._refused = True
                self.captured.clear()
                return flat(*inputs)
        captured = self.captured[shapes]
        for captured_input, new_input in zip(captured.inputs, inputs, strict=True):
            captured_input.copy_(new_input)
        captured.replay()
        return captured.outputs
