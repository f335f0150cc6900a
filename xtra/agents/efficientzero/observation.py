"""From stored frames to what the network sees, with and without augmentation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xtra.agents.efficientzero.config import OptimizerConfig


def to_observations(stacks: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Stacks `[B, frame_stack, H, W, 3]` to `[B, 3 * frame_stack, H, W]` floats in [0, 1], oldest frame first, on `device`."""
    frames = torch.from_numpy(np.ascontiguousarray(stacks)).to(device)
    channels = frames.permute(0, 1, 4, 2, 3).flatten(1, 2)
    return channels.to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)


def augment(images: Tensor, config: OptimizerConfig, generator: torch.Generator) -> Tensor:
    """Random shift, then intensity, one draw per sample for all its channels: images `[B, C, H, W]` (facts: section 7).

    The shift pads by replication and crops back; the intensity is 1 + s clip(N(0, 1), -2, 2).
    """
    if config.augmentation == "none":
        return images
    batch, _, height, width = images.shape
    shift = config.augmentation_shift
    if shift:
        padded = functional.pad(images, (shift,) * 4, mode="replicate")
        offset = torch.randint(0, 2 * shift + 1, (2, batch), generator=generator, device=images.device)
        row = offset[0, :, None] + torch.arange(height, device=images.device)
        column = offset[1, :, None] + torch.arange(width, device=images.device)
        sample = torch.arange(batch, device=images.device)
        # Advanced indices around a slice put the channels last, which is also the memory format the network wants.
        images = padded[sample[:, None, None], :, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)
    noise = torch.randn((batch, 1, 1, 1), generator=generator, device=images.device).clamp_(-2, 2)
    return images * (1 + config.augmentation_intensity * noise)
