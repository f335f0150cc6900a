"""Storage of frames: each is stored once, as written; stacks are put together when they are read.

Compressed frames, in memory and in every file, are zstd blocks of one or more consecutive frames of one environment, without
loss: a frame of 96x96 RGB Atari (28 kB) takes 0.4 to 3 kB by itself, and a tenth of that in a block of 16 with its neighbours.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import zstandard
from numpy.typing import NDArray
from torch import Tensor

ZSTD_LEVEL = 3
BLOCK_FRAMES = 16
"""Consecutive frames in one block on disk; a window of nine frames lies in one or two."""


def compress_frames(frames: NDArray[np.uint8]) -> bytes:
    """Compresses frames `[..., H, W, C]` to a block."""
    block: bytes = zstandard.compress(np.ascontiguousarray(frames).data, ZSTD_LEVEL)
    return block


def decompress_frames(block: bytes, frame_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Returns a block's frames `[n, H, W, C]`, to be read only."""
    return np.frombuffer(zstandard.decompress(block), np.uint8).reshape(-1, *frame_shape)


class FrameStore(Protocol):
    """A table of `rows` x `num_envs` frames, each `[H, W, C]` uint8."""

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        """Sets a row: frames `[N, H, W, C]`."""
        ...

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Reads the frames `[..., H, W, C]` at places `[...]`: rows and environments."""
        ...


class RawFrames:
    """A FrameStore with all frames in one array. Memory is taken as rows are written."""

    def __init__(self, rows: int, num_envs: int, frame_shape: tuple[int, int, int]) -> None:
        self._frames = np.empty((rows, num_envs, *frame_shape), np.uint8)

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        self._frames[row] = frames

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._frames[rows, envs]


class CompressedFrames:
    """A FrameStore with a block for each frame; a frame that occurs several times in one call of `read` is decoded once."""

    def __init__(self, rows: int, num_envs: int, frame_shape: tuple[int, int, int]) -> None:
        self._shape = frame_shape
        self._num_envs = num_envs
        self._blocks: list[bytes] = [b""] * (rows * num_envs)

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        for env in range(self._num_envs):
            self._blocks[row * self._num_envs + env] = compress_frames(frames[env])

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        places, inverse = np.unique(rows * self._num_envs + envs, return_inverse=True)
        decoded = np.empty((len(places), *self._shape), np.uint8)
        for i, place in enumerate(places.tolist()):
            decoded[i] = decompress_frames(self._blocks[place], self._shape)[0]
        frames: NDArray[np.uint8] = decoded[inverse.reshape(rows.shape)]
        return frames


class FinalFrames:
    """The frames seen after trajectories' last actions, by the places (slot, environment) of those actions, compressed.

    No action is taken in them, so they are no rows of the replay, but an agent learns to predict them.
    """

    def __init__(self, frame_shape: tuple[int, int, int]) -> None:
        self._shape = frame_shape
        self.blocks: dict[tuple[int, int], bytes] = {}

    def write(self, slot: int, env: int, frame: NDArray[np.uint8]) -> None:
        """Keeps the frame `[H, W, C]` of a place."""
        self.blocks[slot, env] = compress_frames(frame)

    def forget(self, slot: int, num_envs: int) -> None:
        """Drops what is kept of a slot that is written anew."""
        for env in range(num_envs):
            self.blocks.pop((slot, env), None)

    def known(self, slots: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tells which of the places `[P]` have a frame, `[P]`."""
        return np.array([place in self.blocks for place in zip(slots.tolist(), envs.tolist(), strict=True)], np.bool_)

    def read(self, slots: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Reads the frames `[P, H, W, C]` of places `[P]` that have one; a repeated place is decoded once."""
        places = list(zip(slots.tolist(), envs.tolist(), strict=True))
        decoded = {place: decompress_frames(self.blocks[place], self._shape)[0] for place in set(places)}
        return np.stack([decoded[place] for place in places]) if places else np.empty((0, *self._shape), np.uint8)


def make_frame_store(rows: int, num_envs: int, frame_shape: tuple[int, int, int], budget_gb: float) -> FrameStore:
    """Makes a store of raw frames if they fit into the budget, else of compressed ones. The choice never changes what is read."""
    raw = frames_fit(rows, num_envs, frame_shape, budget_gb)
    return (RawFrames if raw else CompressedFrames)(rows, num_envs, frame_shape)


def frames_fit(rows: int, num_envs: int, frame_shape: tuple[int, int, int], budget_gb: float) -> bool:
    """Tells whether rows x num_envs raw frames fit into `budget_gb` GB."""
    return rows * num_envs * int(np.prod(frame_shape)) <= budget_gb * 1e9


class DeviceFrames:
    """A FrameStore in the memory of a device. It reads the same frames as `RawFrames`."""

    def __init__(self, rows: int, num_envs: int, frame_shape: tuple[int, int, int], device: torch.device) -> None:
        self._frames = torch.empty((rows, num_envs, *frame_shape), dtype=torch.uint8, device=device)

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        self._frames[row] = torch.from_numpy(np.ascontiguousarray(frames)).to(self._frames.device)

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        places = torch.from_numpy(self.places(rows, envs)).to(self._frames.device)
        frames: NDArray[np.uint8] = self.gather(places).cpu().numpy()
        return frames

    def places(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers the places `[...]` for `gather`."""
        return rows * self._frames.shape[1] + envs

    def gather(self, places: Tensor) -> Tensor:
        """Reads frames `[..., H, W, C]` at `places` `[...]`, on the device, and leaves them there."""
        return self._frames.flatten(0, 1)[places]


MAX_THREADS = 4
"""Decoding threads per process; zstd runs without Python's lock."""


class BlockEncoder:
    """Encodes the frames of one trajectory, in order, in blocks of `BLOCK_FRAMES`."""

    def __init__(self) -> None:
        self._waiting: list[NDArray[np.uint8]] = []
        self._blocks: list[bytes] = []

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Adds the next frame `[H, W, C]`."""
        self._waiting.append(frame)
        if len(self._waiting) == BLOCK_FRAMES:
            self._close()

    def finish(self) -> list[bytes]:
        """Ends the trajectory, and returns all its blocks."""
        if self._waiting:
            self._close()
        return self._blocks

    def _close(self) -> None:
        self._blocks.append(compress_frames(np.stack(self._waiting)))
        self._waiting.clear()


class BlockFrames:
    """A read-only FrameStore of one column: a file of blocks, mapped into memory, in which each trajectory begins a new block.
    Several threads may read it at once.

    offsets: `[blocks + 1]` places in the file. first: `[T]`, where each transition's trajectory begins. No decoded block is kept:
    samples are spread over so many blocks that few would be read again.
    """

    def __init__(
        self,
        path: Path,
        offsets: NDArray[np.int64],
        first: NDArray[np.int64],
        frame_shape: tuple[int, int, int],
    ) -> None:
        self._data = np.memmap(path, np.uint8, "r")
        self._offsets, self._shape = offsets, frame_shape
        places = np.arange(len(first)) - first
        self._place = (places % BLOCK_FRAMES).astype(np.uint8)
        self._block = (np.cumsum(self._place == 0) - 1).astype(np.int32)

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        raise TypeError("offline data is read-only")

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Reads frames `[..., H, W, C]`; every block that is needed is decoded once per call. envs: zeros."""
        flat_rows = rows.ravel()
        order = np.argsort(self._block[flat_rows], kind="stable")
        blocks, starts = np.unique(self._block[flat_rows[order]], return_index=True)
        targets = np.split(order, starts)[1:]
        frames = np.empty((len(flat_rows), *self._shape), np.uint8)

        def fill(part: slice) -> None:
            for block, block_targets in zip(blocks[part].tolist(), targets[part], strict=True):
                decoded = self._decode(block)
                for target, place in zip(block_targets.tolist(), self._place[flat_rows[block_targets]].tolist(), strict=True):
                    frames[target] = decoded[place]

        parts = [slice(thread, None, num_threads()) for thread in range(num_threads())]
        list(_threads().map(fill, parts) if len(blocks) >= len(parts) > 1 else map(fill, [slice(None)]))
        return frames.reshape(*rows.shape, *self._shape)

    def _decode(self, block: int) -> NDArray[np.uint8]:
        """Returns a block's frames, `[frames, H, W, C]`."""
        start, end = self._offsets[block : block + 2].tolist()
        return decompress_frames(self._data[start:end].tobytes(), self._shape)


@cache
def num_threads() -> int:
    """Returns how many threads decode; results do not depend on it."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_THREADS, available)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_threads(), "decode-frames")
