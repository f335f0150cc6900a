"""rliable's stratified bootstrap, seeded and vectorised, and the intervals that are estimated from it: rliable's, and one that
stays honest with three or five runs per game.

rliable 1.2 draws from NumPy's global generator whatever seed it is given, one resample at a time. The subclass here keeps its
meaning (runs are drawn with replacement within each game) and its interface (`update_indices`, `bootstrap`, `conf_int`), draws
many resamples at once from its own generator, and allows games with different numbers of runs.

The percentile bootstrap resamples n runs from n: at n = 3 its spread is too small by sqrt(3/2), and it uses normal tails where
the spread itself is hardly known. `coverage_study.py` measures what both intervals really cover.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rliable import library
from scipy import stats

from xtra_analysis.matrices import Array, Statistic, is_ragged, runs_per_game

CHUNK_ELEMENTS = 1 << 21
"""Numbers resampled at once: enough for NumPy's loops, small enough for any machine's memory."""
CONFIDENCE = 0.95
"""Level of every interval in a report."""
STUDENT_LEVEL = 0.965
"""Level that Student's t is taken at, so that skewed and failing populations are covered about as often as CONFIDENCE says
(`coverage_study.py`)."""
LARGEST_RELATIVE_SPREAD = 2.0
"""Largest relative spread that counts: beyond it a game's mean is too near zero to measure a spread by."""
JointStatistic = Callable[..., Array]
"""Takes one stack `[..., runs, games]` per sample, returns `[...]`."""


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


@dataclass(frozen=True)
class Interval:
    """Bounds; both NaN where the data cannot give any: a game with one run, or runs all alike, say nothing about spread."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        return not np.isnan(self.low)

    def clip(self, low: float, high: float) -> Interval:
        """Returns the part between two natural limits of the quantity."""
        return Interval(float(np.clip(self.low, low, high)), float(np.clip(self.high, low, high)))


UNKNOWN = Interval(float("nan"), float("nan"))


def percentile_interval(distribution: Array) -> Interval:
    """Computes rliable's interval, the central 95 % of the bootstrap distribution `[reps]`."""
    low, high = np.percentile(distribution, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Interval(float(low), float(high))


def small_sample_interval(
    statistic: JointStatistic,
    samples: Sequence[Array],
    distribution: Array,
    estimate: float | None = None,
    longer_arm: bool = False,
) -> Interval:
    """Computes estimate ± t · spread, the spread being how far the resamples `[reps]` lie from the estimate (root mean square),
    corrected for few runs.

    Measured from the estimate, the spread includes the bias of medians and ratios. A bootstrap of n runs is too narrow by
    sqrt((n - 1) / n); the smallest n counts. The degrees of freedom of t are Satterthwaite's, from the jackknife variance that
    each (sample, game) contributes: one game that dominates counts as the n runs it is, and many equal games as many. They are
    shrunk, because they come from few runs themselves; `coverage_study.py` is the reason for how much.

    estimate: the centre, where it is not the statistic of `samples`.
    longer_arm: let the longer arm of the percentile interval set the spread where that is more, for statistics that lean.
    """
    middle = float(statistic(*samples))
    center = middle if estimate is None else estimate
    fewest = int(min((~np.isnan(sample)).sum(axis=0).min() for sample in samples))
    spread = _root_sum_square(distribution - middle) / float(np.sqrt(len(distribution)))
    if fewest < 2 or spread == 0.0:
        return UNKNOWN
    if longer_arm:
        bounds = percentile_interval(distribution)
        spread = max(spread, max(middle - bounds.low, bounds.high - middle) / float(stats.norm.ppf(0.5 * (1 + CONFIDENCE))))
    freedom = effective_degrees_of_freedom(statistic, samples) * (fewest - 1) / (fewest + 1)
    student = float(stats.t.ppf(0.5 * (1 + STUDENT_LEVEL), max(freedom, fewest - 1)))
    reach = student * spread * float(np.sqrt(fewest / (fewest - 1)))
    return Interval(center - reach, center + reach)


def pool_spread(scores: Array) -> Array:
    """Moves runs of scores `[runs, games]` that agree suspiciously well apart, until their game spreads, relative to its mean, as
    games do on average.

    A mean is ruled by its largest games, and at three runs these can look calm by luck, most of all where scores are skewed. The
    mean of each game stays; no game's spread shrinks.
    """
    if (~np.isnan(scores)).sum(axis=0).min() < 2:
        return scores
    center, spread = np.nanmean(scores, axis=0), np.nanstd(scores, axis=0, ddof=1)
    relative = spread / np.maximum(np.abs(center), np.finfo(np.float64).tiny)
    typical = float(np.sqrt(np.mean(np.minimum(relative, LARGEST_RELATIVE_SPREAD) ** 2)))
    factor = np.maximum(1.0, typical * np.abs(center) / np.where(spread > 0, spread, np.inf))
    return np.asarray(center + (scores - center) * factor)


def effective_degrees_of_freedom(statistic: JointStatistic, samples: Sequence[Array]) -> float:
    """Computes Satterthwaite's degrees of freedom: (Σ v)² / Σ (v² / (n - 1)) over the variance contributions v of all (sample,
    game), samples being `[runs, games]`; at least min n - 1."""
    roots, freedoms = [], []
    for position, sample in enumerate(samples):
        for game in range(sample.shape[1]):
            count = int((~np.isnan(sample[:, game])).sum())
            values = _leave_one_out(statistic, samples, position, game, count)
            roots.append(float(np.sqrt((count - 1) / count)) * _root_sum_square(values - values.mean()))
            freedoms.append(count - 1)
    freedom = np.array(freedoms, dtype=np.float64)
    if max(roots) == 0.0:
        return float(freedom.min())
    variance = (np.array(roots) / max(roots)) ** 2  # relative: squares of large or tiny scores leave what a float can hold
    return float(variance.sum() ** 2 / (variance**2 / freedom).sum())


def _root_sum_square(values: Array) -> float:
    """Computes √Σv², of values of any size."""
    largest = float(np.abs(values).max())
    return largest * float(np.sqrt(((values / largest) ** 2).sum())) if largest > 0 else 0.0


def _leave_one_out(statistic: JointStatistic, samples: Sequence[Array], position: int, game: int, count: int) -> Array:
    """Computes the statistic without each of the `count` runs of one game of one sample, `[count]`."""
    column = samples[position][:count, game]
    stack = np.repeat(samples[position][None], count, axis=0)
    for run in range(count):
        stack[run, : count - 1, game] = np.delete(column, run)
    stack[:, count - 1, game] = np.nan
    others = [np.broadcast_to(other, (count, *other.shape)) for other in samples]
    others[position] = stack
    return np.asarray(statistic(*others))


def joint_estimate(
    statistic: Callable[[Array, Array], Array],
    samples: list[Array],
    reps: int,
    random: np.random.Generator,
    limits: tuple[float, float] = (-np.inf, np.inf),
    longer_arm: bool = False,
) -> dict[str, Any]:
    """Estimates a statistic of two samples `[runs, games]` with both intervals, and counts the games and runs that it comes
    from."""
    size = samples[0].shape[0] * samples[1].size
    distribution = joint_distribution(statistic, samples, reps, random, size)
    counts = [runs_per_game(sample) for sample in samples]
    fewest, most = min(count[0] for count in counts), max(count[1] for count in counts)
    honest = small_sample_interval(statistic, samples, distribution, longer_arm=longer_arm).clip(*limits)
    percentile = percentile_interval(distribution) if fewest > 1 else UNKNOWN
    return {
        "estimate": float(statistic(*samples)),
        "low": honest.low,
        "high": honest.high,
        "percentile_low": percentile.low,
        "percentile_high": percentile.high,
        "num_games": samples[0].shape[1],
        "min_runs": fewest,
        "max_runs": most,
    }
