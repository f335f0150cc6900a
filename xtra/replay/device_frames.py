"""Frames in the memory of a device: a batch is gathered where it is used, and only places cross the bus."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class DeviceFrames:
    """A FrameStore. What it reads is what `RawFrames` reads."""

    def __init__(self, rows: int, num_envs: int, frame_shape: tuple[int, int, int], device: torch.device) -> None:
        self._frames = torch.empty((rows, num_envs, *frame_shape), dtype=torch.uint8, device=device)

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        self._frames[row] = torch.from_numpy(np.ascontiguousarray(frames)).to(self._frames.device)

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        frames: NDArray[np.uint8] = self.gather(rows, envs).cpu().numpy()
        return frames

    def gather(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> Tensor:
        """As `read`, left on the device."""
        places = torch.from_numpy(rows * self._frames.shape[1] + envs).to(self._frames.device)
        return self._frames.flatten(0, 1)[places]
