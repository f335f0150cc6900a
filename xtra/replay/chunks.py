"""Frames in one flat file: zstd blocks of up to 16 consecutive frames, cut where a trajectory ends.

Neighbouring frames are alike, so a block is a tenth of separately compressed frames, and a window of nine frames lies in one or
two blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import NDArray

CHUNK_FRAMES = 16
ZSTD_LEVEL = 3
MAX_THREADS = 4
"""Decoding threads per process; zstd runs without Python's lock."""


class ChunkEncoder:
    """The frames of one trajectory, in order, to blocks."""

    def __init__(self) -> None:
        self._compress = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress
        self._waiting: list[bytes] = []
        self._blocks: list[bytes] = []

    def add(self, frame: NDArray[np.uint8]) -> None:
        """The next frame `[H, W, C]`."""
        self._waiting.append(frame.tobytes())
        if len(self._waiting) == CHUNK_FRAMES:
            self._close()

    def finish(self) -> list[bytes]:
        """All blocks; the trajectory has ended."""
        if self._waiting:
            self._close()
        return self._blocks

    def _close(self) -> None:
        self._blocks.append(self._compress(b"".join(self._waiting)))
        self._waiting.clear()


class ChunkedFrames:
    """A read-only FrameStore of one column over such a file, mapped into memory. May be read by several threads at once.

    offsets: `[blocks + 1]` places in the file. first: `[T]`, where each transition's trajectory begins. No decoded block is kept:
    samples are spread over so many that few would be met again.
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
        self._place = (places % CHUNK_FRAMES).astype(np.uint8)
        self._block = (np.cumsum(self._place == 0) - 1).astype(np.int32)

    def write(self, row: int, frames: NDArray[np.uint8]) -> None:
        raise TypeError("offline data is read-only")

    def read(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """As FrameStore says; every block that is needed is decoded once per call. envs: zeros."""
        wanted = rows.ravel()
        order = np.argsort(self._block[wanted], kind="stable")
        blocks, starts = np.unique(self._block[wanted[order]], return_index=True)
        targets = np.split(order, starts)[1:]
        frames = np.empty((len(wanted), *self._shape), np.uint8)

        def fill(part: slice) -> None:
            decompress = zstandard.ZstdDecompressor().decompress  # not to be shared by threads
            for block, block_targets in zip(blocks[part].tolist(), targets[part], strict=True):
                decoded = self._decode(block, decompress)
                for target, place in zip(block_targets.tolist(), self._place[wanted[block_targets]].tolist(), strict=True):
                    frames[target] = decoded[place]

        parts = [slice(thread, None, num_threads()) for thread in range(num_threads())]
        list(_threads().map(fill, parts) if len(blocks) >= len(parts) > 1 else map(fill, [slice(None)]))
        return frames.reshape(*rows.shape, *self._shape)

    def _decode(self, block: int, decompress: Callable[[bytes], bytes]) -> NDArray[np.uint8]:
        """`[frames, H, W, C]`"""
        start, end = self._offsets[block : block + 2].tolist()
        return np.frombuffer(decompress(self._data[start:end].tobytes()), np.uint8).reshape(-1, *self._shape)


@cache
def num_threads() -> int:
    """How many threads decode; results do not depend on it."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_THREADS, available)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_threads(), "decode-frames")
