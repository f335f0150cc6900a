"""The last few frames of each environment, as an agent sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class FrameStacks:
    """`stacks` is `[N, depth, H, W, C]`, oldest first. A new trajectory starts with its first frame repeated, as the replay reads
    it."""

    def __init__(self, first_frames: NDArray[np.uint8], depth: int) -> None:
        self.stacks = np.repeat(first_frames[:, None], depth, axis=1)

    def push(self, frames: NDArray[np.uint8], restart: NDArray[np.bool_]) -> None:
        """Adds the newest frames `[N, H, W, C]`; where `restart`, forgets all before them."""
        self.stacks = np.concatenate([self.stacks[:, 1:], frames[:, None]], axis=1)
        self.stacks[restart] = frames[restart, None]
