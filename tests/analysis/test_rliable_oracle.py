"""rliable is the oracle: equal definitions, equal intervals within Monte-Carlo error; ours are seeded and fast."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rliable import library, metrics
from xtra_analysis.aggregates import AGGREGATES
from xtra_analysis.comparison import probability_of_improvement
from xtra_analysis.intervals import SeededStratifiedBootstrap, generator, percentile_interval
from xtra_analysis.matrices import Array
from xtra_analysis.profiles import share_above

ORACLES = {
    "iqm": metrics.aggregate_iqm,
    "median": metrics.aggregate_median,
    "mean": metrics.aggregate_mean,
    "optimality_gap": metrics.aggregate_optimality_gap,
}
shapes = st.tuples(st.integers(1, 12), st.integers(1, 30))


def scores_of(seed: int, shape: tuple[int, int], ties: bool = False) -> Array:
    drawn = np.random.default_rng(seed).lognormal(sigma=1.0, size=shape) - 0.2
    return np.round(drawn, 1) if ties else drawn


@given(seed=st.integers(0, 2**32), shape=shapes, ties=st.booleans())
@settings(max_examples=200)
def test_point_estimates_equal_rliables(seed: int, shape: tuple[int, int], ties: bool) -> None:
    scores = scores_of(seed, shape, ties)
    for name, oracle in ORACLES.items():
        assert float(AGGREGATES[name](scores)) == pytest.approx(float(oracle(scores)), abs=1e-12)


@given(
    seed=st.integers(0, 2**32), runs=st.tuples(st.integers(1, 8), st.integers(1, 8)), games=st.integers(1, 8), ties=st.booleans()
)
@settings(max_examples=100)
def test_probability_of_improvement_equals_rliables(seed: int, runs: tuple[int, int], games: int, ties: bool) -> None:
    ours, theirs = scores_of(seed, (runs[0], games), ties), scores_of(seed + 1, (runs[1], games), ties)
    oracle = metrics.probability_of_improvement(ours, theirs)
    assert float(probability_of_improvement(ours, theirs)) == pytest.approx(float(oracle), abs=1e-12)


@given(seed=st.integers(0, 2**32), shape=shapes)
@settings(max_examples=50)
def test_performance_profiles_equal_rliables(seed: int, shape: tuple[int, int]) -> None:
    scores, thresholds = scores_of(seed, shape), np.linspace(0.0, 3.0, 7)
    np.testing.assert_allclose(
        share_above(scores[None], thresholds)[0], library.score_distributions(scores, thresholds), atol=1e-12
    )


def test_percentile_intervals_agree_with_rliables_within_monte_carlo_error() -> None:
    scores = scores_of(3, (5, 10))
    functions = list(ORACLES.values())
    np.random.seed(0)
    _, oracle = library.get_interval_estimates({"a": scores}, lambda x: np.array([f(x) for f in functions]), reps=4_000)

    drawn = SeededStratifiedBootstrap(scores, generator(0)).distribution([AGGREGATES[name] for name in ORACLES], 50_000)

    for index, name in enumerate(ORACLES):
        ours, width = percentile_interval(drawn[:, index]), float(np.ptp(oracle["a"][:, index]))
        assert ours.low == pytest.approx(oracle["a"][0, index], abs=0.06 * width), name
        assert ours.high == pytest.approx(oracle["a"][1, index], abs=0.06 * width), name


def test_rliables_own_interface_works_and_is_seeded() -> None:
    scores = scores_of(4, (5, 10))

    def interval(seed: int) -> Array:
        bootstrap = SeededStratifiedBootstrap(scores, generator(seed))
        return np.asarray(bootstrap.conf_int(lambda x: np.array([metrics.aggregate_iqm(x)]), reps=200, method="percentile"))

    np.testing.assert_array_equal(interval(1), interval(1))
    assert not np.array_equal(interval(1), interval(2))


def test_resamples_of_ragged_games_stay_within_their_game() -> None:
    scores = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, np.nan]])
    for drawn in SeededStratifiedBootstrap(scores, generator(0)).resamples(500):
        assert set(np.unique(drawn[:, :, 0])) == {1.0, 2.0, 3.0}
        assert set(np.unique(drawn[:, :2, 1])) == {10.0, 20.0}
        assert np.isnan(drawn[:, 2, 1]).all()


@given(seed=st.integers(0, 2**32), shape=st.tuples(st.integers(2, 6), st.integers(2, 6)))
@settings(max_examples=50)
def test_games_count_equally_however_many_runs_they_have(seed: int, shape: tuple[int, int]) -> None:
    """Doubling every run of one game changes no aggregate of the means, and the weighted IQM not beyond its trimming steps."""
    scores = scores_of(seed, shape)
    doubled = np.full((2 * shape[0], shape[1]), np.nan)
    doubled[: shape[0]] = scores
    doubled[shape[0] :, 0] = scores[:, 0]
    for name in ("mean", "median", "optimality_gap"):
        assert float(AGGREGATES[name](doubled)) == pytest.approx(float(AGGREGATES[name](scores)), abs=1e-12)
    assert scores.min() - 1e-12 <= float(AGGREGATES["iqm"](doubled)) <= scores.max() + 1e-12


def test_iqm_of_ragged_games_by_hand() -> None:
    """Game one: 0 and 4, a quarter each; game two: 1 with weight one half. N = 3 trims nothing (floor(3/4) = 0)."""
    assert float(AGGREGATES["iqm"](np.array([[0.0, 1.0], [4.0, np.nan]]))) == pytest.approx(0.25 * 0 + 0.25 * 4 + 0.5 * 1)
    # Five runs: floor(5/4)/5 = 0.2 of the weight goes at each end: 0 keeps 0.05 of 0.25; 9 loses its 1/6, 6 the rest of the 0.2.
    ragged = np.array([[0.0, 3.0], [1.0, 6.0], [np.nan, 9.0]])
    kept = {0.0: 0.05, 1.0: 0.25, 3.0: 1 / 6, 6.0: 1 / 3 - 0.2}
    expected = sum(value * weight for value, weight in kept.items()) / sum(kept.values())
    assert float(AGGREGATES["iqm"](ragged)) == pytest.approx(expected)


def test_four_aggregates_of_twelve_methods_take_at_most_ten_seconds() -> None:
    start = time.process_time()
    for method in range(12):
        bootstrap = SeededStratifiedBootstrap(scores_of(method, (5, 10)), generator(method))
        bootstrap.distribution(list(AGGREGATES.values()), 50_000)
    assert time.process_time() - start < 10.0
