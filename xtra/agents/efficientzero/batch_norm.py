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


class BatchNorm2d(nn.BatchNorm2d):
    """PyTorch's batch norm of `[B, C, H, W]`, except that it counts no batches where momentum is fixed, which costs a kernel in
    each call, and that it tells joined steps apart."""

    def forward(self, input: Tensor) -> Tensor:
        return normalize(self, input)


class BatchNorm1d(nn.BatchNorm1d):
    """PyTorch's batch norm of `[B, C]`; see `BatchNorm2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return normalize(self, input)


class JoinedSteps:
    """Applies modules to several steps at once. Outputs and gradients are those of one call per step, up to rounding.

    What batch norm has seen enters its running statistics by `update_running_statistics`, no sooner.
    """

    def __init__(self) -> None:
        self._times: Sequence[int] = ()
        self._statistics: dict[int, list[tuple[Layer, Tensor, Tensor]]] = {}

    def apply(self, module: Callable[[Tensor], Tensor], steps: Sequence[Tensor], times: Sequence[int]) -> Tensor:
        """Applies the module to N inputs `[B, ...]`: outputs `[B, N, X]`.

        times: N numbers, in whose order the steps enter the running statistics.
        """
        # A sample's steps lie side by side, so that batch norm of features, N * C in a row, needs no copy.
        batch = torch.stack([step.movedim(1, -1) for step in steps], dim=1).flatten(0, 1).movedim(-1, 1)
        self._times = times
        token = _joined_steps.set(self)
        try:
            outputs: Tensor = module(batch).unflatten(0, (-1, len(steps)))
            return outputs
        finally:
            _joined_steps.reset(token)

    def normalize(self, layer: Layer, x: Tensor) -> Tensor:
        """Normalizes `[B * N, C, ...]`, N steps of each sample, as N * C channels of B samples."""
        num_steps = len(self._times)
        channels = x.movedim(1, -1).unflatten(0, (-1, num_steps)).movedim(1, -2).flatten(-2).movedim(-1, 1)
        # With a momentum of 1 the batch's own mean and variance come to lie there.
        mean, variance = layer.weight.new_zeros(2, channels.shape[1]).unbind()
        weight, bias = layer.weight.repeat(num_steps), layer.bias.repeat(num_steps)
        out = functional.batch_norm(channels, mean, variance, weight, bias, True, 1.0, layer.eps)
        for time, *statistics in zip(self._times, mean.view(num_steps, -1), variance.view(num_steps, -1), strict=True):
            self._statistics.setdefault(time, []).append((layer, *statistics))
        rows: Tensor = out.movedim(1, -1).unflatten(-1, (num_steps, -1))
        return rows.movedim(-2, 1).flatten(0, 1).movedim(-1, 1)

    @torch.no_grad()
    def update_running_statistics(self) -> None:
        """Moves the running statistics of all layers by what they have seen, in the order of the steps' times."""
        for time in sorted(self._statistics):
            layers, *batch = zip(*self._statistics[time], strict=True)
            momenta = [momentum_of_next_batch(layer) for layer in layers]
            running = [layer.running_mean for layer in layers], [layer.running_var for layer in layers]
            torch._foreach_lerp_([*running[0], *running[1]], [*batch[0], *batch[1]], momenta + momenta)
        self._statistics.clear()


_joined_steps: ContextVar[JoinedSteps | None] = ContextVar("joined steps", default=None)
"""Whose batch the layers are seeing."""


def normalize(layer: Layer, x: Tensor) -> Tensor:
    """Normalizes `[B, C, ...]` by the batch's statistics, which also enter the running ones, or in evaluation by those."""
    joined = _joined_steps.get()
    if layer.training and joined is not None:
        return joined.normalize(layer, x)
    momentum = momentum_of_next_batch(layer) if layer.training else 0.0
    return functional.batch_norm(
        x, layer.running_mean, layer.running_var, layer.weight, layer.bias, layer.training, momentum, layer.eps
    )


def momentum_of_next_batch(layer: Layer) -> float:
    """Returns the weight of one more batch in the running statistics. With a momentum of None, as in PyTorch, they are the plain
    average of all batches since they were reset, which are counted then."""
    if layer.momentum is not None:
        return layer.momentum
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked += 1
    return 1 / int(layer.num_batches_tracked)
