"""From an update's data in host memory to what the losses read: observations, augmented, on the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.losses import TensorBatch
from xtra.agents.efficientzero.observation import augment, to_observations
from xtra.agents.efficientzero.targets import Batch


def to_tensors(batch: Batch, config: EfficientZeroConfig, device: torch.device, seed: int) -> TensorBatch:
    """The batch on the device. seed: of the augmentation alone."""
    generator = torch.Generator(device).manual_seed(seed % 2**63)
    stack, unroll = config.network.frame_stack, config.targets.num_unroll_steps
    # One draw for the first observation and one for all that follow: they share their frames' shift.
    first = augment(to_observations(batch.frames[:, :stack], device), config.optimizer, generator)
    following = augment(to_observations(batch.frames[:, 1:], device), config.optimizer, generator)
    channels = first.shape[1] // stack
    windows = [following[:, channels * k : channels * (k + stack)] for k in range(unroll)]

    def tensor(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(device)

    return TensorBatch(
        observation=first,
        next_observations=torch.stack(windows, dim=1),
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
