"""Observations from stored frames, with and without augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.config import OptimizerConfig


def to_observations(stacks: NDArray[np.uint8] | Tensor, device: torch.device) -> Tensor:
    """Turns stacks `[B, frame_stack, H, W, C]` into `[B, frame_stack * C, H, W]` floats in [0, 1], oldest frame first, on
    `device`."""
    return join_frames(torch.as_tensor(stacks, device=device).unbind(1))


def join_frames(frames: Sequence[Tensor]) -> Tensor:
    """Joins frames `[B, H, W, C]` into observations `[B, frame_stack * C, H, W]`.

    They are joined as bytes, channels last, which a convolution reads without another copy.
    """
    return torch.cat(list(frames), dim=-1).to(torch.float32).div_(255).permute(0, 3, 1, 2)


def observations_at(frames: Tensor, samples: NDArray[np.int64], steps: NDArray[np.int64], frame_stack: int) -> Tensor:
    """Reads R observations from runs of frames `[B, L, H, W, C]` uint8. samples, steps: `[R]`, the run and the place of each."""
    sample, step = (torch.from_numpy(places).to(frames.device) for places in (samples, steps))
    return join_frames([frames[sample, step + i] for i in range(frame_stack)])


def augment(frames: Tensor, config: OptimizerConfig, generator: torch.Generator) -> Tensor:
    """Augments runs of frames, `[B, L, H, W, C]` uint8 to `[B, L * C, H, W]` floats: random shift, then intensity.

    One draw per sample holds for all its frames (EfficientZero's released code). The shift pads by replication and crops back;
    the intensity is 1 + s clip(N(0, 1), -2, 2).
    """
    if config.augmentation == "none":
        return join_frames(frames.unbind(1))
    batch, _, height, width, _ = frames.shape
    shift, device = config.augmentation_shift, frames.device
    offsets = torch.randint(-shift, shift + 1, (2, batch, 1), generator=generator, device=device)
    # A clamped index is replicated padding.
    row = (offsets[0] + torch.arange(height, device=device)).clamp_(0, height - 1)
    column = (offsets[1] + torch.arange(width, device=device)).clamp_(0, width - 1)
    sample = torch.arange(batch, device=device)[:, None, None]
    places = (sample * height + row[:, :, None]) * width + column[:, None, :]
    # A pixel of all frames is one piece of memory, so that it is moved as one.
    pixels = torch.cat(frames.unbind(1), dim=-1).flatten(0, 2)
    shifted = pixels.index_select(0, places.flatten()).view(batch, height, width, -1)
    noise = torch.randn((batch, 1, 1, 1), generator=generator, device=device).clamp_(-2, 2)
    scaled = shifted.to(torch.float32).div_(255).mul_(1 + config.augmentation_intensity * noise)
    return scaled.permute(0, 3, 1, 2)


def random_view(images: Tensor, margin: int, padding: int, generator: torch.Generator) -> Tensor:
    """Crops images `[B, C, S, S]` to S - margin, pads them by replication on every side, and crops them back to S.

    Each image has places of its own for both crops, which all its channels share. The three steps are one look-up: where a pixel
    comes from is known before any is moved. With margin 0 this is a random shift by up to `padding` pixels.
    """
    batch, channels, size, _ = images.shape

    def origins() -> Tensor:
        first = torch.randint(0, margin + 1, (batch, 1), generator=generator, device=images.device)
        second = torch.randint(0, 2 * padding - margin + 1, (batch, 1), generator=generator, device=images.device)
        in_crop = (second - padding + torch.arange(size, device=images.device)).clamp(0, size - margin - 1)
        return first + in_crop

    pixels = origins()[:, :, None] * size + origins()[:, None, :]
    return images.flatten(2).gather(2, pixels.flatten(1)[:, None].expand(-1, channels, -1)).view(images.shape)
