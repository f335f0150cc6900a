"""rliable's stratified bootstrap, seeded and vectorised.

rliable 1.2 draws from NumPy's global generator whatever seed it is given, one resample at a time. This subclass keeps its meaning
(runs are drawn with replacement within each game) and its interface (`update_indices`, `bootstrap`, `conf_int`), draws many
resamples at once from its own generator, and allows games with different numbers of runs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rliable import library

from xtra_analysis.matrices import Array, Statistic, is_ragged

CHUNK_ELEMENTS = 1 << 21
"""Numbers resampled at once: enough for NumPy's loops, small enough for any machine's memory."""


def generator(seed: int, *names: str) -> np.random.Generator:
    """Makes a stream of its own for each purpose, so that one more method or figure does not change the numbers of the others."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


class SeededStratifiedBootstrap(library.StratifiedBootstrap):  # type: ignore[misc]
    """The bootstrap of matrices `[runs, games]`; columns with fewer runs are padded below with NaN."""

    def __init__(self, scores: Array, random: np.random.Generator) -> None:
        super().__init__(scores, seed=random)
        self.scores = scores
        self.counts = (~np.isnan(scores)).sum(axis=0)
        if not self.counts.all():
            raise ValueError("a game without any run cannot be resampled")
        self._random = random
        self._ragged = is_ragged(scores)

    def update_indices(self) -> tuple[NDArray[np.intp], ...]:
        """Draws one resample's indices, `[runs, 1]` and `[1, games]` as rliable's loop asks for them, from our own generator."""
        return (self._draw(1)[0], *self._strata_indices)

    def resamples(self, reps: int, chunk: int | None = None) -> Iterator[Array]:
        """Yields `reps` resampled matrices in chunks `[chunk, runs, games]`."""
        chunk = chunk or max(1, CHUNK_ELEMENTS // self.scores.size)
        columns = np.arange(self.scores.shape[1])
        for start in range(0, reps, chunk):
            drawn = self.scores[self._draw(min(chunk, reps - start)), columns]
            if self._ragged:
                drawn[:, np.isnan(self.scores)] = np.nan
            yield drawn

    def distribution(self, statistics: Sequence[Statistic], reps: int) -> Array:
        """Returns the bootstrap distribution `[reps, statistics]` of statistics that take a stack of matrices."""
        parts = [np.stack([statistic(drawn) for statistic in statistics], axis=-1) for drawn in self.resamples(reps)]
        return np.concatenate(parts)

    def _draw(self, num: int) -> NDArray[np.intp]:
        uniform = self._random.random((num, *self.scores.shape))
        indices: NDArray[np.intp] = (uniform * self.counts).astype(np.intp)
        return indices


def joint_distribution(
    statistic: Callable[..., Array], samples: Sequence[Array], reps: int, random: np.random.Generator, size: int = 1
) -> Array:
    """Returns the bootstrap distribution `[reps, ...]` of a statistic of several samples, each resampled on its own.

    `size` is how many numbers the statistic makes of one resample, where that is more than its samples hold.
    """
    chunk = max(1, CHUNK_ELEMENTS // max(size, *(sample.size for sample in samples)))
    streams = [SeededStratifiedBootstrap(sample, random).resamples(reps, chunk) for sample in samples]
    return np.concatenate([statistic(*drawn) for drawn in zip(*streams, strict=True)])
