"""The start of finetuning: pretrained weights, whole, shrunk towards a fresh network, or with fresh heads; and batch-norm
statistics estimated again on the target's frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from xtra.transfer.config import StartConfig

HEADS = ("prediction.policy_head.", "prediction.value_head.", "dynamics.head.")
"""The layers that `reset_heads` draws anew: of the policy, the value and the value prefix the last two linear layers and the
batch norm between them. What comes before is kept: each head's convolution and, of the value prefix, the LSTM and its batch
norm."""

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def starting_weights(pretrained: Mapping[str, Tensor], fresh: Mapping[str, Tensor], config: StartConfig) -> dict[str, Tensor]:
    """Returns the `state_dict` to load. pretrained, fresh: those of the pretrained and of a newly initialised network, of the
    same shapes.

    Shrinking interpolates parameters, `retained` x pretrained + (1 - `retained`) x fresh, and leaves batch-norm statistics alone.
    """
    weights = dict(pretrained)
    if config.retained < 1.0:
        for name, value in pretrained.items():
            if name in fresh and not name.endswith(STATISTICS):
                weights[name] = torch.lerp(fresh[name].to(value.device), value, config.retained)
    if config.reset_heads:
        weights |= {name: value for name, value in fresh.items() if name.startswith(HEADS)}
    return weights


@contextmanager
def estimating_batch_norm(network: nn.Module) -> Iterator[None]:
    """Inside, forward passes in training mode compute the running statistics from scratch, as plain averages over the passes
    (Schneider et al., 2020). Layers in evaluation mode, such as those of frozen components, keep theirs."""
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) and m.training]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # PyTorch's word for a plain average
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            assert layer.num_batches_tracked is not None
            layer.num_batches_tracked.zero_()
