"""From stored frames to what a network sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_observations(stacks: NDArray[np.uint8] | Tensor, device: torch.device) -> Tensor:
    """Stacks `[B, frame_stack, H, W, C]` to `[B, frame_stack * C, H, W]` floats in [0, 1], oldest frame first, on `device`."""
    return join_frames(torch.as_tensor(stacks, device=device).unbind(1))


def join_frames(frames: Sequence[Tensor]) -> Tensor:
    """The same of frames `[B, H, W, C]`. Joined as bytes, channels last, which a convolution reads without another copy."""
    return torch.cat(list(frames), dim=-1).to(torch.float32).div_(255).permute(0, 3, 1, 2)
