"""Capturing work as a CUDA graph, on a stream that belongs to that work alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

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
