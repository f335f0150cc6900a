"""From an update's data to what the losses read: observations, augmented, on the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.losses import TensorBatch
from xtra.agents.efficientzero.targets import Batch
from xtra.agents.observation import augment


def to_tensors(batch: Batch, config: EfficientZeroConfig, device: torch.device, seed: int) -> TensorBatch:
    """The batch on the device. seed: of the augmentation alone."""
    generator = torch.Generator(device).manual_seed(seed % 2**63)
    stack, frames = config.network.frame_stack, torch.as_tensor(batch.frames, device=device)
    # One draw for the first observation and one for all that follow: they share their frames' shift.
    first = augment(frames[:, :stack], config.optimizer, generator)
    following = augment(frames[:, 1:], config.optimizer, generator).permute(0, 2, 3, 1)
    channels = frames.shape[-1]
    starts = range(0, channels * config.targets.num_unroll_steps, channels)
    # Each step's observations in one piece of memory, channels last.
    next_observations = torch.stack([following[..., i : i + channels * stack] for i in starts])

    def tensor(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(device)

    return TensorBatch(
        observation=first,
        next_observations=next_observations.permute(1, 0, 4, 2, 3),
        actions=tensor(batch.actions),
        value_prefixes=tensor(batch.value_prefixes),
        values=tensor(batch.values),
        policies=tensor(batch.policies),
        alive=tensor(batch.alive),
        weights=tensor(batch.weights),
    )


def joined(batches: Sequence[TensorBatch]) -> TensorBatch:
    """All samples in one batch, in order."""
    names = [field.name for field in dataclasses.fields(TensorBatch)]
    return TensorBatch(**{name: torch.cat([getattr(batch, name) for batch in batches]) for name in names})
