"""A test of "no difference" that holds at any number of runs, and its correction for how many are made."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import stats

from xtra_analysis.matrices import Array

LEVEL = 0.05
"""Level of all tests, after their correction."""
MOST_COUNTED_PAIRS = 16
"""Most pairs of which all sign patterns are counted: 65,536 at most."""
FLIPS = 100_000
"""Sign patterns drawn where there are more pairs."""
FLIPS_AT_ONCE = 10_000
MOST_STEPS = 1 << 20
"""Steps of the grid on which games are added up; unequal numbers of runs could ask for more than memory holds."""


def permutation_test(scores: Array, baseline: Array) -> float:
    """Computes the two-sided p-value of "in every game, runs of both come from one distribution", run labels exchanged within
    games, for scores `[runs, games]` of either.

    The statistic is the probability of improvement. Nothing is drawn: the ways to each rank sum of a game are counted, and the
    games' distributions convolved, so the value is exact (with unequal runs beyond MOST_STEPS, slightly too large).
    """
    pairs = [tuple(sample[~np.isnan(sample)] for sample in pair) for pair in zip(scores.T, baseline.T, strict=True)]
    exact_steps = math.lcm(*(2 * len(runs) * len(reference) for runs, reference in pairs))
    steps = min(exact_steps, MOST_STEPS // len(pairs))
    total, chances = 0.0, np.ones(1)
    for runs, reference in pairs:
        observed, distribution = _rank_sums(runs, reference, steps)
        total, chances = total + observed, _chances_of_sums(chances, distribution)
    middle = 0.5 * len(pairs)
    rounding = 1e-9 if steps == exact_steps else 0.5 * len(pairs) / steps
    extreme = np.abs(np.arange(len(chances)) / steps - middle) >= abs(total - middle) - rounding
    return float(np.clip(math.fsum(chances[extreme]), np.finfo(np.float64).eps, 1.0))


def least_p_value(num_runs: int, num_baseline_runs: int) -> float:
    """Returns the least p-value that `permutation_test` can give in one game: of all ways to label the runs, the two in which
    they are sorted."""
    return min(1.0, 2 / math.comb(num_runs + num_baseline_runs, num_runs))


def fewest_runs(level: float) -> int:
    """Returns the number of runs of either from which on `permutation_test` can give less than `level` in one game."""
    return next(runs for runs in itertools.count(1) if least_p_value(runs, runs) < level)


def _rank_sums(runs: Array, reference: Array, steps: int) -> tuple[float, Array]:
    """Computes P(X > Y) + ½ P(X = Y) of one game, and its chances `[steps + 1]` on an even grid from 0 to 1 if labels mean
    nothing."""
    count, others = len(runs), len(reference)
    ranks = np.rint(2 * stats.rankdata(np.concatenate([runs, reference]))).astype(np.intp)  # doubled: ties share half ranks
    ways = np.zeros((count + 1, int(ranks.sum()) + 1))  # to choose so many runs with such a sum
    ways[0, 0] = 1.0
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    sums = np.flatnonzero(ways[count])
    values = (sums - count * (count + 1)) / (2 * count * others)
    chances = np.zeros(steps + 1)
    np.add.at(chances, np.rint(values * steps).astype(np.intp), ways[count, sums] / ways[count].sum())
    return float((ranks[:count].sum() - count * (count + 1)) / (2 * count * others)), chances


def _chances_of_sums(chances: Array, distribution: Array) -> Array:
    """Convolves the chances of two independent values on one grid, `[m]` and `[n]` → `[m + n - 1]`.

    Added up term by term, which every processor rounds alike; `np.convolve` leaves the order to BLAS.
    """
    sums = np.zeros(len(chances) + len(distribution) - 1)
    for place in np.flatnonzero(distribution):
        sums[place : place + len(chances)] += chances * distribution[place]
    return sums


def sign_flip_test(differences: Array, random: np.random.Generator) -> float:
    """Computes the two-sided p-value of "in every pair the two could be exchanged", of paired differences `[runs, games]` padded
    with NaN.

    The statistic is the mean over games of the mean over runs. All ways to exchange are counted where there are few pairs.
    Otherwise FLIPS ways are drawn, and the observed one counts among them, so the level holds (Phipson and Smyth, 2010).
    """
    shares = (differences / (~np.isnan(differences)).sum(axis=0))[~np.isnan(differences)]
    count = len(shares)
    total = abs(float(shares.sum()))
    threshold = total - 1e-9 * float(np.abs(shares).sum())
    if count <= MOST_COUNTED_PAIRS:
        flips = (np.arange(1 << count)[:, None] >> np.arange(count) & 1) * 2.0 - 1.0
        return float((np.abs(flips @ shares) >= threshold).mean())
    extreme = sum(
        int((np.abs((random.integers(0, 2, (FLIPS_AT_ONCE, count)) * 2.0 - 1.0) @ shares) >= threshold).sum())
        for _ in range(FLIPS // FLIPS_AT_ONCE)
    )
    return (1 + extreme) / (1 + FLIPS)


def fewest_for_significance(level: float) -> int:
    """Returns the number of pairs from which on `sign_flip_test` can give less than `level`: the least of n pairs is 2 / 2^n."""
    return math.floor(math.log2(2 / level)) + 1


def holm(p_values: Array) -> Array:
    """Corrects p-values `[tests]` by Holm's step-down method: the chance of any false finding among all of them stays below the
    level."""
    order = np.argsort(p_values, kind="stable")
    remaining = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * remaining))
    return adjusted
