"""Ranking of the source games of each target by the gain that they will bring: how well a predictor does it, and how sure that
is.

In the shapes: T targets, S sources, R seeds. Gains and what is measured of pairs are `[T, S, R]`, NaN where a game would be its
own source or a run is missing; a ranking is `[..., T, S]`, the larger the better. Only the order within a target counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from xtra_analysis.matrices import Array

Ranker = Callable[[Array], Array]
"""A function of gains, means over seeds `[..., T, S]`, that ranks `[..., T, S]` the sources of each target by the other targets
alone."""

Predictor = Array | Ranker

REPS = 2_000
"""Resamples of the bootstrap, and relabellings of the test."""
MOST_SPLITS = 200
"""Ways to halve the seeds that the noise ceiling averages over."""


def kendall_tau(ranking: Array, gains: Array) -> Array:
    """Computes Kendall's tau `[...]` of two orders `[..., S]`: the pairs of sources that both order alike less those that they
    order otherwise, over all pairs with values of both. A tie orders nothing, so a constant has 0; NaN where there is no pair."""
    upper = np.triu_indices(gains.shape[-1], 1)
    predicted, real = (np.sign(values[..., upper[0]] - values[..., upper[1]]) for values in (ranking, gains))
    agreement = predicted * real
    counts = (~np.isnan(agreement)).sum(-1)
    return np.asarray(np.where(counts > 0, np.nansum(agreement, -1) / np.maximum(counts, 1), np.nan))


def mean_tau(ranking: Array, gains: Array) -> Array:
    """Averages the tau of each target, of rankings `[..., T, S]`, over targets: `[...]`."""
    return _mean(kendall_tau(ranking, gains), -1)


def static_ranking(gains: Array) -> Array:
    """Ranks sources the same everywhere: for each target by their mean gain on the others, `[..., T, S]`."""
    known = ~np.isnan(gains)
    sums, counts = np.where(known, gains, 0.0).sum(-2, keepdims=True), known.sum(-2, keepdims=True)
    others = counts - known
    return np.asarray(np.where(others > 0, (sums - np.where(known, gains, 0.0)) / np.maximum(others, 1), np.nan))


def ranking_of(predictor: Predictor, gains: Array, seeds: NDArray[np.intp]) -> Array:
    """Returns a predictor's value of each pair, `[B, T, S]`, from the seeds of each of B draws `[B, R]`."""
    return predictor(over_seeds(gains, seeds)) if callable(predictor) else over_seeds(predictor, seeds)


def over_seeds(values: Array, seeds: NDArray[np.intp]) -> Array:
    """Averages values `[T, S, R]` over the seeds of each of B draws `[B, X]`: `[B, T, S]`."""
    return _mean(np.moveaxis(values[..., seeds], 2, 0), -1)


def bootstrap_taus(predictors: Sequence[Predictor], gains: Array, random: np.random.Generator, reps: int = REPS) -> Array:
    """Computes the mean tau of each predictor in each resample, `[reps, predictors]`.

    Targets and seeds are drawn with replacement, each on its own, for they are crossed (Owen, 2007), and the same for all
    predictors, so that differences are paired.
    """
    num_targets, _, num_seeds = gains.shape
    seeds, targets = (random.integers(size, size=(reps, size)) for size in (num_seeds, num_targets))
    real = over_seeds(gains, seeds)
    by_target = [kendall_tau(ranking_of(predictor, gains, seeds), real) for predictor in predictors]
    return np.stack([_mean(np.take_along_axis(taus, targets, 1), -1) for taus in by_target], axis=-1)


def central_interval(draws: Array, estimates: Array, tail: float) -> Array:
    """Computes the quantiles `tail` and 1 - `tail` of resamples `[reps, X]`, `[2, X]`; NaN where the estimate
    `[X]` is not defined."""
    bounds = np.full((2, len(estimates)), np.nan)
    defined = ~np.isnan(estimates)
    bounds[:, defined] = np.nanquantile(draws[:, defined], [tail, 1 - tail], axis=0)
    return bounds


def no_better_test(differences: Array, estimates: Array) -> Array:
    """Computes the one-sided p-values of "it is no better" `[X]` from resampled differences `[reps, X]`; NaN where the difference
    `[X]` itself is not defined. Resamples without a difference count against what is tested."""
    p_values = (1 + (~(differences > 0)).sum(0)) / (1 + len(differences))
    return np.where(np.isnan(estimates), np.nan, p_values)


def relabelling_test(
    predictor: Predictor,
    gains: Array,
    targets: Sequence[str],
    sources: Sequence[str],
    random: np.random.Generator,
    reps: int = REPS,
) -> float:
    """Computes the one-sided p-value of "it orders the sources no better than chance", for a predictor and gains `[T, S, R]`.

    What is measured is compared with itself after games change their names: a source with a source, a target that is a source
    too along with it (Mantel, 1967). So the level also holds where a predictor is the same for all targets and gains are alike
    in all; reshuffling each target by itself would count that as many confirmations. A ranker made of gains would move with them:
    there the gains of each target are reshuffled among its sources. The order as it is counts among the draws (Phipson and
    Smyth, 2010); ties, and draws that order nothing, count against the predictor. NaN where its own tau is not defined.
    """
    everything = np.arange(gains.shape[2])[None]
    real = over_seeds(gains, everything)[0]
    if callable(predictor):
        observed = float(mean_tau(predictor(real), real))
        shuffled = _reshuffled(real, random, reps)
        drawn = mean_tau(predictor(shuffled), shuffled)
    else:
        ranking = over_seeds(predictor, everything)[0]
        observed = float(mean_tau(ranking, real))
        rows, columns = _relabelled(targets, sources, random, reps)
        drawn = mean_tau(ranking[rows[:, :, None], columns[:, None, :]], real)
    if np.isnan(observed):
        return float("nan")
    return float((1 + (~(drawn < observed - 1e-12)).sum()) / (1 + reps))


def noise_ceiling(gains: Array, random: np.random.Generator) -> float:
    """Computes the mean tau between the gains `[T, S, R]` of two disjoint halves of the seeds: how well gains themselves foretell
    gains. NaN for one seed.

    Each half has fewer seeds than the gains that predictors are judged by, so a predictor may come out above it.
    """
    half = gains.shape[2] // 2
    if half == 0:
        return float("nan")
    order = random.permuted(np.tile(np.arange(gains.shape[2]), (MOST_SPLITS, 1)), axis=1)
    one, other = over_seeds(gains, order[:, :half]), over_seeds(gains, order[:, half : 2 * half])
    return float(mean_tau(one, other).mean())


def gain_lost(ranking: Array, gains: Array) -> float:
    """Computes what is lost by taking the source that a ranking `[T, S]` puts first: the best source's gain less that one's, mean
    over targets.

    Sources that share the first place are drawn from, so a constant loses what a random choice does.
    """
    known = ~np.isnan(gains) & ~np.isnan(ranking)
    scores = np.where(known, ranking, -np.inf)
    first = known & (scores == scores.max(1, keepdims=True))
    usable = known.any(1)
    chosen = np.where(first, gains, 0.0).sum(1)[usable] / first.sum(1)[usable]
    best = np.where(known, gains, -np.inf).max(1)[usable]
    return float((best - chosen).mean()) if usable.any() else float("nan")


def _relabelled(
    targets: Sequence[str], sources: Sequence[str], random: np.random.Generator, reps: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of targets `[reps, T]` and sources `[reps, S]` after games change their names within two kinds: sources that are
    targets too, and those that are none."""
    rows, columns = np.tile(np.arange(len(targets)), (reps, 1)), np.tile(np.arange(len(sources)), (reps, 1))
    both = [game for game in sources if game in targets]
    for kind in (both, [game for game in sources if game not in targets]):
        places = np.array([list(sources).index(game) for game in kind], np.intp)
        order = random.permuted(np.tile(np.arange(len(kind)), (reps, 1)), axis=1)
        columns[:, places] = places[order]
        if kind is both:
            own = np.array([list(targets).index(game) for game in kind], np.intp)
            rows[:, own] = own[order]
    return rows, columns


def _reshuffled(gains: Array, random: np.random.Generator, reps: int) -> Array:
    """Gains `[T, S]` with those of each target in another order, `[reps, T, S]`; what is absent stays absent."""
    drawn = np.tile(gains, (reps, 1, 1))
    for target, known in enumerate(~np.isnan(gains)):
        drawn[:, target, known] = random.permuted(drawn[:, target, known], axis=1)
    return drawn


def _mean(values: Array, axis: int) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing but NaN the mean is NaN
        return np.asarray(np.nanmean(values, axis=axis))
