"""Where frames wait: each stored once, as written; stacks are put together when they are read.

`RawFrames` is plain memory; `CompressedFrames` keeps each frame as a lossless zstd block (96x96 RGB Atari: 28 kB becomes 0.4-3
kB).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import zstandard
from numpy.typing import NDArray

ZSTD_LEVEL = 3


class FrameStore(Protocol):
    """A table of `rows` x `num_envs` frames, each `[H, W, 3]` uint8."""

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        """Sets a row: frames `[N, H, W, 3]`."""
        ...

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames at the given places: index arrays of one shape `[...]` give `[..., H, W, 3]`."""
        ...


class RawFrames:
    """Frames in one array. Memory is taken as rows are written."""

    def __init__(self, rows: int, num_envs: int, frame_shape: tuple[int, int, int]) -> None:
        self._frames = np.empty((rows, num_envs, *frame_shape), np.uint8)

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        self._frames[row] = frames

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._frames[rows, envs]


class CompressedFrames:
    """Frames as separate zstd blocks; a repeated read of one frame in a call decodes it once."""

    def __init__(self, rows: int, num_envs: int, frame_shape: tuple[int, int, int]) -> None:
        self._shape = frame_shape
        self._num_envs = num_envs
        self._blocks: list[bytes] = [b""] * (rows * num_envs)
        self._compress = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress
        self._decompress = zstandard.ZstdDecompressor().decompress

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        for env in range(self._num_envs):
            self._blocks[row * self._num_envs + env] = self._compress(frames[env].tobytes())

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        places, inverse = np.unique(rows * self._num_envs + envs, return_inverse=True)
        decoded = np.empty((len(places), *self._shape), np.uint8)
        for i, place in enumerate(places.tolist()):
            decoded[i] = np.frombuffer(self._decompress(self._blocks[place]), np.uint8).reshape(self._shape)
        frames: NDArray[np.uint8] = decoded[inverse.reshape(rows.shape)]
        return frames


def make_frame_store(rows: int, num_envs: int, frame_shape: tuple[int, int, int], budget_gb: float) -> FrameStore:
    """Raw frames if they fit into the budget, else compressed ones. The choice never changes what is read."""
    raw = frames_fit(rows, num_envs, frame_shape, budget_gb)
    return (RawFrames if raw else CompressedFrames)(rows, num_envs, frame_shape)


def frames_fit(rows: int, num_envs: int, frame_shape: tuple[int, int, int], budget_gb: float) -> bool:
    """Whether so many raw frames fit into so many GB."""
    return rows * num_envs * int(np.prod(frame_shape)) <= budget_gb * 1e9
