"""The four aggregates of rliable (Agarwal et al., 2021), for stacks of matrices.

Each takes an array (..., runs, games) of normalised scores and returns (...). Where games have different numbers of runs, columns
are padded below with NaN and every game counts equally; on full matrices the values are rliable's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]

TRIMMED_SHARE = 0.25
"""The interquartile mean leaves out a quarter of the runs at each end."""


def interquartile_mean(scores: Array) -> Array:
    """The mean of the middle half of all runs × games (rliable: `trim_mean(x, 0.25)`)."""
    if is_ragged(scores):
        return _weighted_interquartile_mean(scores)
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = int(TRIMMED_SHARE * flat.shape[-1])
    return np.asarray(flat[..., cut : flat.shape[-1] - cut].mean(axis=-1))


def mean(scores: Array) -> Array:
    """The mean over games of the mean over runs."""
    return np.asarray(game_means(scores).mean(axis=-1))


def median(scores: Array) -> Array:
    """The median over games of the mean over runs."""
    return np.asarray(np.median(game_means(scores), axis=-1))


def optimality_gap(scores: Array) -> Array:
    """How far the runs stay below 1 on average, what is above 1 counting as 1."""
    return np.asarray(1.0 - game_means(np.minimum(scores, 1.0)).mean(axis=-1))


AGGREGATES: dict[str, Statistic] = {
    "iqm": interquartile_mean,
    "median": median,
    "mean": mean,
    "optimality_gap": optimality_gap,
}


def is_ragged(scores: Array) -> bool:
    """Whether some game has fewer runs than another. Padding is in the same place in every matrix of a stack."""
    return bool(np.isnan(scores.reshape(-1, *scores.shape[-2:])[0]).any())


def game_means(scores: Array) -> Array:
    """Means over runs: (..., runs, games) → (..., games)."""
    return np.asarray(np.nanmean(scores, axis=-2) if is_ragged(scores) else scores.mean(axis=-2))


def _weighted_interquartile_mean(scores: Array) -> Array:
    """Each run weighs 1/(runs of its game); floor(N/4)/N of all weight is trimmed at each end, as scipy trims N equal ones."""
    counts = (~np.isnan(scores.reshape(-1, *scores.shape[-2:])[0])).sum(axis=0)
    weights = np.where(np.isnan(scores), 0.0, 1.0 / (counts * len(counts)))
    flat, flat_weights = (array.reshape(*array.shape[:-2], -1) for array in (scores, weights))
    order = np.argsort(flat, axis=-1, kind="stable")  # NaN goes last, with weight 0
    ordered = np.nan_to_num(np.take_along_axis(flat, order, axis=-1))
    upper = np.cumsum(np.take_along_axis(flat_weights, order, axis=-1), axis=-1)
    lower = np.concatenate([np.zeros_like(upper[..., :1]), upper[..., :-1]], axis=-1)
    share = int(TRIMMED_SHARE * counts.sum()) / counts.sum()
    kept = np.clip(np.minimum(upper, 1.0 - share) - np.maximum(lower, share), 0.0, None)
    return np.asarray((kept * ordered).sum(axis=-1) / kept.sum(axis=-1))
