"""Statistics of predictors of transfer: each by hand, and on invented gains whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from xtra_analysis.intervals import generator
from xtra_analysis.ranking import (
    bootstrap_taus,
    central_interval,
    gain_lost,
    kendall_tau,
    mean_tau,
    no_better_test,
    noise_ceiling,
    relabelling_test,
    static_ranking,
)

Float = NDArray[np.float64]
GAMES = tuple("ABCDEFGH")
DRAWS = 1_000
LEVEL = 0.05
HIGHEST_RATE = 0.065
"""A rate of 5 % has in 1,000 draws a standard error of 0.7 %."""


def array(*rows: list[float]) -> Float:
    return np.array(rows, np.float64)


def crossed(values: Float) -> Float:
    """`[T, S, R]` with NaN where a game would be its own source."""
    values = values.copy()
    values[np.arange(len(values)), np.arange(len(values))] = np.nan
    return values


def test_tau_by_hand() -> None:
    # Of the three pairs (1, 2), (1, 3), (2, 3) the first is ordered otherwise: (2 - 1) / 3.
    assert kendall_tau(array([2, 1, 3]), array([1, 2, 3])).tolist() == pytest.approx([1 / 3])
    # A tie orders nothing: two pairs are right, one is neither.
    assert kendall_tau(array([1, 1, 3]), array([1, 2, 3])).tolist() == pytest.approx([2 / 3])
    assert kendall_tau(array([5, 5, 5]), array([1, 2, 3])).tolist() == [0.0]
    # Pairs with what is absent do not count.
    assert kendall_tau(array([9, np.nan, 3, 4]), array([1, 2, 3, np.nan])).tolist() == [-1.0]
    assert np.isnan(kendall_tau(array([1, np.nan]), array([1, 2]))).all()


@settings(max_examples=50)
@given(st.integers(2, 9), st.integers(0, 10_000))
def test_tau_is_scipys_where_nothing_is_tied(size: int, seed: int) -> None:
    one, other = np.random.default_rng(seed).normal(size=(2, size))
    assert float(kendall_tau(one, other)) == pytest.approx(stats.kendalltau(one, other).statistic)


def test_mean_tau_counts_every_target_once() -> None:
    gains = array([1, 2, 3], [1, 2, 3])
    assert float(mean_tau(array([1, 2, 3], [2, 1, 3]), gains)) == pytest.approx((1 + 1 / 3) / 2)


def test_the_static_ranking_of_a_target_reads_the_other_targets_alone() -> None:
    gains = array([np.nan, 1, 4], [2, np.nan, 6], [3, 5, np.nan])
    expected = array([2.5, 5, 6], [3, 3, 4], [2, 1, 5])
    assert static_ranking(gains).tolist() == expected.tolist()


def test_the_noise_ceiling_by_hand() -> None:
    agreeing = np.repeat(array([1, 2, 3], [3, 1, 2])[..., None], 4, axis=2)
    assert noise_ceiling(agreeing, generator(0)) == 1.0
    # Two seeds that order everything otherwise: the one half foretells the opposite of the other.
    opposed = np.stack([array([1, 2, 3]), array([3, 2, 1])], axis=2)
    assert noise_ceiling(opposed, generator(0)) == -1.0
    assert np.isnan(noise_ceiling(opposed[..., :1], generator(0)))


def test_the_gain_lost_by_hand() -> None:
    gains = array([0.1, 0.5, 0.3], [0.2, np.nan, 0.4])
    # It takes 0.3 where 0.5 was to be had, and the best of the second.
    assert gain_lost(array([1, 2, 3], [1, 9, 2]), gains) == pytest.approx((0.2 + 0.0) / 2)
    # A constant loses what a random choice does: 0.5 - 0.3 and 0.4 - 0.3.
    assert gain_lost(np.zeros((2, 3)), gains) == pytest.approx((0.2 + 0.1) / 2)
    assert np.isnan(gain_lost(np.full((2, 3), np.nan), gains))


def test_the_bootstrap_draws_targets_and_seeds() -> None:
    # Two targets, one ordered rightly and one wrongly by every seed: a resample has 1, 0 or -1, the middle half of the time.
    gains = np.repeat(array([1, 2], [2, 1])[..., None], 3, axis=2)
    ordered = np.repeat(array([1, 2], [1, 2])[..., None], 3, axis=2)
    taus = bootstrap_taus([ordered, gains], gains, generator(0), 4_000)
    values, counts = np.unique(taus[:, 0], return_counts=True)
    assert values.tolist() == [-1.0, 0.0, 1.0]
    assert (counts / 4_000).tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert (taus[:, 1] == 1.0).all()
    # One target, and one seed of three that says the opposite, more loudly than both others: it decides where it is drawn.
    loud = np.array([[[1.0, 1.0, 9.0], [2.0, 2.0, 1.0]]])
    fixed = np.repeat(array([1, 2])[..., None], 3, axis=2)
    assert (bootstrap_taus([fixed], loud, generator(0), 4_000) == 1.0).mean() == pytest.approx((2 / 3) ** 3, abs=0.03)


def test_a_relabelling_by_hand() -> None:
    # Two targets that are no sources, three sources, in one order: of six ways to name the sources one has it, and one more of
    # the six has no larger tau only if it is the same.
    gains = np.repeat(array([1, 2, 3], [1, 2, 3])[..., None], 2, axis=2)
    p = relabelling_test(gains, gains, ("X", "Y"), ("A", "B", "C"), generator(0), 6_000)
    assert p == pytest.approx(1 / 6, abs=0.02)
    assert relabelling_test(-gains, gains, ("X", "Y"), ("A", "B", "C"), generator(0), 200) == 1.0
    # Reshuffled target by target that would have been 1 / 36: the test of a ranker that is made of gains.
    own = relabelling_test(lambda real: np.broadcast_to(array([1, 2, 3]), real.shape), gains, (), (), generator(0), 6_000)
    assert own == pytest.approx(1 / 36, abs=0.01)


def test_a_planted_predictor_is_found_and_noise_is_not() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(size=(8, 8, 1))
    gains = crossed(truth + 0.5 * random.normal(size=(8, 8, 5)))
    planted, noise = (crossed(values) for values in (truth + 0.5 * random.normal(size=(8, 8, 5)), random.normal(size=(8, 8, 5))))
    taus = bootstrap_taus([planted, noise, static_ranking], gains, generator(0))
    low = np.quantile(taus, 0.025, axis=0)
    assert low[0] > 0.4 > 0.0 > low[1]
    assert np.quantile(taus[:, 0] - taus[:, 2], 0.025) > 0  # it beats the static ranking, for here none is good everywhere
    assert relabelling_test(planted, gains, GAMES, GAMES, generator(0)) < 0.001
    assert relabelling_test(noise, gains, GAMES, GAMES, generator(0)) > LEVEL
    assert noise_ceiling(gains, generator(0)) > 0.6


def test_the_static_ranking_is_found_where_some_sources_are_good_for_all() -> None:
    random = np.random.default_rng(2)
    gains = crossed(random.normal(size=(1, 8, 1)) + 0.5 * random.normal(size=(8, 8, 5)))
    assert relabelling_test(static_ranking, gains, GAMES, GAMES, generator(0)) < 0.001
    unordered = crossed(random.normal(size=(8, 8, 5)))
    assert relabelling_test(static_ranking, unordered, GAMES, GAMES, generator(0)) > LEVEL


def pairs(random: np.random.Generator, targets: int, sources: int) -> tuple[Float, Float]:
    """Gains with effects of target, source and pair; a predictor that is noise for every pair."""
    shape = (targets, sources, 1)
    gains = random.normal(size=(targets, 1, 1)) + random.normal(size=(1, sources, 1)) + 0.5 * random.normal(size=shape)
    return gains + 0.5 * random.normal(size=(targets, sources, 3)), random.normal(size=shape) + np.zeros((targets, sources, 3))


def sources_alone(random: np.random.Generator, targets: int, sources: int) -> tuple[Float, Float]:
    """The same gains; a predictor that is noise for every source, and so the same for all targets: as if confirmed many times."""
    gains, _ = pairs(random, targets, sources)
    return gains, random.normal(size=(1, sources, 1)) + np.zeros((targets, sources, 3))


def unrelated(random: np.random.Generator, targets: int, sources: int) -> tuple[Float, Float]:
    """Gains that no source decides."""
    return random.normal(size=(2, targets, sources, 3))[0], random.normal(size=(targets, sources, 3))


@pytest.mark.parametrize("noise", [pairs, sources_alone, unrelated])
@pytest.mark.parametrize("design", ["crossed", "apart"])
def test_noise_is_called_a_predictor_as_rarely_as_promised(noise: object, design: str) -> None:
    random, found = np.random.default_rng(3), 0
    targets, sources = (GAMES[:6], GAMES[:6]) if design == "crossed" else (("X", "Y", "Z"), GAMES[:6])
    for _ in range(DRAWS):
        gains, predictor = noise(random, len(targets), len(sources))  # type: ignore[operator]
        if design == "crossed":
            gains, predictor = crossed(gains), crossed(predictor)
        found += relabelling_test(predictor, gains, targets, sources, random, 199) <= LEVEL
    assert found / DRAWS <= HIGHEST_RATE
    assert found / DRAWS >= 0.015  # ties count against a predictor, which makes it stricter than it says, but not blind


def test_the_static_ranking_of_gains_that_no_source_decides_is_called_one_as_rarely() -> None:
    random, found = np.random.default_rng(4), 0
    for _ in range(DRAWS):
        found += relabelling_test(static_ranking, crossed(random.normal(size=(6, 6, 3))), GAMES, GAMES, random, 199) <= LEVEL
    assert found / DRAWS <= HIGHEST_RATE


def test_what_is_not_defined_has_no_p_value_and_resamples_without_a_difference_count_against_the_predictor() -> None:
    gains = np.repeat(array([1, 2, 3])[..., None], 2, axis=2)
    nothing = np.full_like(gains, np.nan)
    for predictor in (nothing, static_ranking):  # of one target there are no others to read
        assert np.isnan(relabelling_test(predictor, gains, ("X",), ("A", "B", "C"), generator(0), 200))
    differences = array([0.5, np.nan], [np.nan, np.nan], [-0.5, np.nan], [0.5, np.nan])
    assert no_better_test(differences, np.array([0.1, np.nan])).tolist() == pytest.approx([3 / 5, np.nan], nan_ok=True)
    bounds = central_interval(differences, np.array([0.1, np.nan]), 0.0)
    assert bounds.T.tolist() == [[-0.5, 0.5], pytest.approx([np.nan, np.nan], nan_ok=True)]
