"""Plasticity of a network: its dormant units and the effective rank of its latents, on what it has recently seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.observation import to_observations
from xtra.replay.buffer import ReplayBuffer

DORMANT = 0.025
"""A unit is dormant when its mean activation is at most this share of its layer's mean (Sokar et al., 2023, tau)."""

DISCARDED = 0.01
"""The share of the singular values' sum that the effective rank leaves out (Kumar et al., 2021, delta)."""

NUM_OBSERVATIONS = 256
"""Observations that a measurement sees; the effective rank is at most this. [ours]"""

RECTIFIERS = (torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, functional.relu)


def plasticity_on_replay(network: EfficientZeroNetwork, replay: ReplayBuffer, rng: np.random.Generator) -> dict[str, float]:
    """Measures a network on observations drawn uniformly from the last half of the transitions that a replay holds."""
    oldest = (replay.oldest_row + replay.num_rows) // 2
    rows = rng.integers(oldest, replay.num_rows, NUM_OBSERVATIONS)
    stacks = replay.stacks(rows, rng.integers(replay.num_envs, size=NUM_OBSERVATIONS), network.config.frame_stack)
    return plasticity(network, to_observations(stacks, next(network.parameters()).device))


class _Rectified(TorchFunctionMode):
    """Collects the output of every ReLU that is called."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in RECTIFIERS:
            self.outputs.append(output)
        return output


@torch.no_grad()
def plasticity(network: EfficientZeroNetwork, observations: Tensor) -> dict[str, float]:
    """Measures a network on observations `[B, 3 F, H, W]`. Returns `dormant_fraction`, of the units of all rectified layers that
    representation and prediction have, and `effective_rank`, of the latents. Leaves the network as it was."""
    copy_of_modes = {module: module.training for module in network.modules()}
    network.eval()
    with _Rectified() as rectified:
        latents = network.representation(observations)
        network.prediction(latents)
    for module, training in copy_of_modes.items():
        module.training = training
    return {
        "dormant_fraction": dormant_fraction(rectified.outputs),
        "effective_rank": effective_rank(latents.flatten(1)),
    }


def dormant_fraction(layers: list[Tensor]) -> float:
    """Returns the share of dormant units. layers: activations `[B, units]` or `[B, channels, H, W]`, a channel being a unit."""
    scores = []
    for layer in layers:
        activity = layer.abs().flatten(2).mean((0, 2)) if layer.dim() > 2 else layer.abs().mean(0)
        scores.append(activity / activity.mean().clamp_min(torch.finfo(activity.dtype).tiny))
    return float((torch.cat(scores) <= DORMANT).float().mean())


def effective_rank(features: Tensor) -> int:
    """Returns the least number of singular values of features `[B, D]` that sum to 1 - DISCARDED of all; 0 for zeros."""
    values = torch.linalg.svdvals(features.float())
    if not values.any():
        return 0
    return int((values.cumsum(0) / values.sum() < 1 - DISCARDED).sum()) + 1
