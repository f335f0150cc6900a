"""Frames of the small games: pictures of 10x10 cells in the configured size and colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xtra.envs.config import CELLS, EnvironmentConfig
from xtra.envs.vector import Frames

LUMINANCE = np.array([299, 587, 114])
"""Thousandths of red, green and blue in a gray value (ITU-R BT.601), as the Atari emulator has them."""


def to_frames(pictures: NDArray[np.uint8], config: EnvironmentConfig) -> Frames:
    """Turns pictures `[N, 10, 10, 3]` into frames `[N, H, W, C]`."""
    if config.color == "gray":
        pictures = to_gray(pictures)
    scale = config.frame_size // CELLS
    return pictures.repeat(scale, axis=1).repeat(scale, axis=2)


def to_gray(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the luminance `[..., 1]` of pictures `[..., 3]`."""
    luminance: NDArray[np.uint8] = ((pictures @ LUMINANCE + 500) // 1000).astype(np.uint8)
    return luminance[..., None]
