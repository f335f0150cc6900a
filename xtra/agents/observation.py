"""Observations from stored frames, with and without augmentation.

On CPU they are written in one pass in C++ (`csrc/observations.cpp`), to the bit as torch's operations would; a GPU has these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents._observations import write_observations
from xtra.agents.efficientzero.config import OptimizerConfig
from xtra.device_copies import to_device


def to_observations(stacks: NDArray[np.uint8] | Tensor, device: torch.device) -> Tensor:
    """Turns stacks `[B, frame_stack, H, W, C]` into `[B, frame_stack * C, H, W]` floats in [0, 1], oldest frame first, on
    `device`."""
    frames = torch.as_tensor(stacks, device=device)
    samples = np.arange(len(frames))
    return observations_at(frames, samples, np.zeros_like(samples), frames.shape[1])


def observations_at(
    frames: Tensor, samples: NDArray[np.int64] | Tensor, steps: NDArray[np.int64] | Tensor, frame_stack: int
) -> Tensor:
    """Reads R observations `[R, frame_stack * C, H, W]` from runs of frames `[B, L, H, W, C]` uint8. samples, steps: `[R]`, the
    run and the place of each."""
    sample, step = to_device(frames.device, samples, steps)
    if frames.device.type == "cpu":
        unchanged = Augmentation(torch.zeros(len(sample), 2, dtype=torch.int64), torch.ones(len(sample)))
        return gather(frames, sample, step, unchanged, frame_stack)
    return join_frames([frames[sample, step + i] for i in range(frame_stack)])


class Augmentation(NamedTuple):
    """One draw per sample, which holds for all its frames (EfficientZero's released code)."""

    shifts: Tensor
    """`[B, 2]` int64: how far down and to the right a pixel is taken from; the padding by replication is cropped back."""
    scales: Tensor
    """`[B]`: factors of the intensity."""

    @staticmethod
    def draw(batch_size: int, config: OptimizerConfig, generator: torch.Generator, device: torch.device) -> Augmentation:
        """Draws shifts, and intensities 1 + s clip(N(0, 1), -2, 2); changes nothing where `augmentation` is `none`."""
        if config.augmentation == "none":
            return Augmentation(
                torch.zeros(batch_size, 2, dtype=torch.int64, device=device), torch.ones(batch_size, device=device)
            )
        shift = config.augmentation_shift
        shifts = torch.randint(-shift, shift + 1, (2, batch_size), generator=generator, device=device)
        noise = torch.randn(batch_size, generator=generator, device=device).clamp_(-2, 2)
        return Augmentation(shifts.t().contiguous(), 1 + config.augmentation_intensity * noise)


def augment(frames: Tensor, frame_stack: int, config: OptimizerConfig, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Makes all observations of runs of frames `[B, L, H, W, C]` uint8, augmented: L - frame_stack + 1 times `[B, frame_stack *
    C, H, W]`. On a GPU they are views, which overlap."""
    augmentation = Augmentation.draw(len(frames), config, generator, frames.device)
    num_observations = frames.shape[1] - frame_stack + 1
    if frames.device.type == "cpu":
        samples = torch.arange(len(frames))
        steps = (torch.full_like(samples, step) for step in range(num_observations))
        return tuple(gather(frames, samples, step, augmentation, frame_stack) for step in steps)
    length, whole = frame_stack * frames.shape[-1], shifted_frames(frames, augmentation)
    return tuple(whole.narrow(1, step * frames.shape[-1], length) for step in range(num_observations))


def gather(frames: Tensor, samples: Tensor, steps: Tensor, augmentation: Augmentation, frame_stack: int) -> Tensor:
    """Makes R observations `[R, frame_stack * C, H, W]`, each augmented by itself, of frames `[B, L, H, W, C]` uint8 on the CPU.

    samples, steps: `[R]`, the run and the place of each. They lie channels last, which a convolution reads without another copy.
    """
    _, _, height, width, channels = frames.shape
    out = torch.empty(len(samples), height, width, frame_stack * channels)
    frames = frames if frames[:1].is_contiguous() else frames.contiguous()
    write_observations(frames, samples, steps, *augmentation, out, torch.get_num_threads())
    return out.permute(0, 3, 1, 2)


def shifted_frames(frames: Tensor, augmentation: Augmentation) -> Tensor:
    """Augments runs of frames, `[B, L, H, W, C]` uint8 to `[B, L * C, H, W]` floats in [0, 1] times their sample's scale."""
    batch, _, height, width, _ = frames.shape
    down, right = augmentation.shifts[:, :, None].unbind(1)
    # A clamped index is replicated padding.
    row = (down + torch.arange(height, device=frames.device)).clamp_(0, height - 1)
    column = (right + torch.arange(width, device=frames.device)).clamp_(0, width - 1)
    sample = torch.arange(batch, device=frames.device)[:, None, None]
    places = (sample * height + row[:, :, None]) * width + column[:, None, :]
    # A pixel of all frames is one piece of memory, so that it is moved as one.
    pixels = torch.cat(frames.unbind(1), dim=-1).flatten(0, 2)
    shifted = pixels.index_select(0, places.flatten()).view(batch, height, width, -1)
    scaled = shifted.to(torch.float32).div_(255).mul_(augmentation.scales.view(-1, 1, 1, 1))
    return scaled.permute(0, 3, 1, 2)


def join_frames(frames: Sequence[Tensor]) -> Tensor:
    """Joins frames `[B, H, W, C]` into observations `[B, frame_stack * C, H, W]`, as bytes, before they are cast."""
    return torch.cat(list(frames), dim=-1).to(torch.float32).div_(255).permute(0, 3, 1, 2)


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
