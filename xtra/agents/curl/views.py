"""Random crops: the contrastive loss's two views of an observation, and the shift of `DER+shift`."""

from __future__ import annotations

import torch
from torch import Tensor


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
