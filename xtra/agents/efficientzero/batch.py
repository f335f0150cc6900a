"""A batch of an update: the data of its samples, as the replay gives them and as the losses read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.observation import augment
from xtra.device_copies import to_device
from xtra.replay.window import Float, Int, Mask


@dataclass(frozen=True)
class Batch:
    """One update's data: B samples, K unroll steps; arrays of the host, or tensors where targets were made on the device.

    frames: `[B, frame_stack + K, H, W, C]` uint8; observation k is frames k to k + frame_stack - 1. actions: `[B, K]`, indices of
    the network's action space. value_prefixes: `[B, K]`. values: `[B, K + 1]`. policies: `[B, K + 1, A]`. alive: `[B, K + 1]`,
    step k is within the trajectory. observed: `[B, K]`, the observation after action k is known. weights: `[B]` importance
    weights."""

    frames: NDArray[np.uint8] | Tensor
    actions: Int | Tensor
    value_prefixes: Float | Tensor
    values: Float | Tensor
    policies: Float | Tensor
    alive: Mask | Tensor
    observed: Mask | Tensor
    weights: Float | Tensor


def take_every(batch: Batch, start: int, step: int) -> Batch:
    """Takes every `step`-th sample of a batch from `start` on, as views."""
    return Batch(**{name: array[start::step] for name, array in vars(batch).items()})


class TensorBatch(NamedTuple):
    """A `Batch` on the device, its frames made into observations in [0, 1] and augmented; F frames are one observation."""

    observation: Tensor
    """`[B, 3 F, H, W]`: of the sampled step."""
    next_observations: tuple[Tensor, ...]
    """K observations `[B, 3 F, H, W]` of the steps after it; on a GPU views of the same frames, of which a captured update
    holds copies: 0.57 GB of 256 samples at paper size."""
    actions: Tensor
    """`[B, K]` int64."""
    value_prefixes: Tensor
    """`[B, K]`."""
    values: Tensor
    """`[B, K + 1]`."""
    policies: Tensor
    """`[B, K + 1, A]`."""
    alive: Tensor
    """`[B, K + 1]` bool: step k is within the trajectory."""
    observed: Tensor
    """`[B, K]` bool: the observation after action k is known, that after a trajectory's last action included."""
    weights: Tensor
    """`[B]`."""


def to_tensors(batch: Batch, config: EfficientZeroConfig, device: torch.device, seed: int) -> TensorBatch:
    """Puts the batch on the device, its observations augmented. seed: of the augmentation alone."""
    generator = torch.Generator(device).manual_seed(seed % 2**63)
    # Of a batch whose targets were made on a GPU, nothing is on the host.
    fields = dict(zip(vars(batch), to_device(device, *vars(batch).values()), strict=True))
    frames, stack = fields.pop("frames"), config.network.frame_stack
    # One draw for the first observation and one for all that follow: they share their frames' shift.
    (first,) = augment(frames[:, :stack], stack, config.optimizer, generator)
    following = augment(frames[:, 1:], stack, config.optimizer, generator)

    return TensorBatch(first, following, **fields)


def joined(batches: Sequence[TensorBatch]) -> TensorBatch:
    """Joins batches into one, samples in order."""
    return tree_map(lambda *parts: torch.cat(parts), *batches)  # type: ignore[no-any-return]
