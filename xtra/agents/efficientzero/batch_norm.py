"""Batch norm over an unroll: steps that run as one batch, each normalized by its own statistics.

In the shapes: B samples, N steps, C channels. What does not depend on the step before takes all steps at once, so a convolution
or a matrix product runs once instead of N times, forwards and backwards; only batch norm must still tell the steps apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Layer = nn.BatchNorm1d | nn.BatchNorm2d
Normalize = Callable[[Layer, Tensor], Tensor]


class BatchNorm2d(nn.BatchNorm2d):
    """PyTorch's batch norm of `[B, C, H, W]`, except that it does not count batches where momentum is fixed (counting costs a
    kernel a call), and that it tells joined steps apart."""

    def forward(self, input: Tensor) -> Tensor:
        return normalize(self, input)


class BatchNorm1d(nn.BatchNorm1d):
    """PyTorch's batch norm of `[B, C]`; see `BatchNorm2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return normalize(self, input)


class JoinedSteps:
    """Applies modules to several steps at once. Outputs and gradients are those of one call per step, up to rounding.

    What batch norm has seen enters its running statistics only when `update_running_statistics` is called.
    """

    def __init__(self) -> None:
        self._statistics: dict[int, list[tuple[Layer, Tensor, Tensor]]] = {}

    def apply(self, module: Callable[[Tensor], Tensor], steps: Sequence[Tensor], times: Sequence[int]) -> Tensor:
        """Applies the module to N inputs `[B, ...]`: outputs `[B, N, X]`.

        times: N numbers, in whose order the steps enter the running statistics.
        """
        # A sample's steps lie side by side, so that batch norm of features, N * C in a row, needs no copy.
        batch = torch.stack([step.movedim(1, -1) for step in steps], dim=1).flatten(0, 1).movedim(-1, 1)
        token = _normalize_joined.set(lambda layer, x: self._normalize(layer, x, times))
        try:
            outputs: Tensor = module(batch).unflatten(0, (-1, len(steps)))
            return outputs
        finally:
            _normalize_joined.reset(token)

    @torch.no_grad()
    def update_running_statistics(self) -> None:
        """Moves the running statistics of all layers by what they have seen, in the order of the steps' times."""
        for time in sorted(self._statistics):
            by_weight: dict[float, tuple[list[Tensor], list[Tensor]]] = {}
            for layer, mean, variance in self._statistics[time]:
                running, batch = by_weight.setdefault(weight_of_next_batch(layer), ([], []))
                assert layer.running_mean is not None and layer.running_var is not None
                running += [layer.running_mean, layer.running_var]
                batch += [mean, variance]
            for weight, (running, batch) in by_weight.items():
                torch._foreach_lerp_(running, batch, weight)
        self._statistics.clear()

    def _normalize(self, layer: Layer, x: Tensor, times: Sequence[int]) -> Tensor:
        """Normalizes `[B * N, C, ...]`, N steps of each sample, as N * C channels of B samples."""
        num_steps = len(times)
        channels = x.unflatten(0, (-1, num_steps)).flatten(1, 2)
        # With a momentum of 1 the batch's own mean and variance come to lie there.
        mean, variance = layer.weight.new_zeros(2, channels.shape[1]).unbind()
        weight, bias = layer.weight.repeat(num_steps), layer.bias.repeat(num_steps)
        out = functional.batch_norm(channels, mean, variance, weight, bias, True, 1.0, layer.eps)
        for time, *statistics in zip(times, mean.view(num_steps, -1), variance.view(num_steps, -1), strict=True):
            self._statistics.setdefault(time, []).append((layer, *statistics))
        steps: Tensor = out.unflatten(1, (num_steps, -1))
        return steps.flatten(0, 1)


_normalize_joined: ContextVar[Normalize | None] = ContextVar("normalize joined", default=None)
"""How layers normalize while `JoinedSteps.apply` runs."""


def normalize(layer: Layer, x: Tensor) -> Tensor:
    """Normalizes `[B, C, ...]` by the batch's statistics, which also enter the running ones; in evaluation by the running
    ones."""
    joined = _normalize_joined.get()
    if layer.training and joined is not None:
        return joined(layer, x)
    momentum = weight_of_next_batch(layer) if layer.training else 0.0
    return functional.batch_norm(
        x, layer.running_mean, layer.running_var, layer.weight, layer.bias, layer.training, momentum, layer.eps
    )


def weight_of_next_batch(layer: Layer) -> float:
    """Returns the next batch's weight in the running statistics. Where momentum is None they are, as in PyTorch, the plain
    average of all batches since the reset, so the batch is counted."""
    if layer.momentum is not None:
        return layer.momentum
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked += 1
    return 1 / int(layer.num_batches_tracked)
