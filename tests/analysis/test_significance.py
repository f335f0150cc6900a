"""The exact permutation test, against counting by hand, by brute force and by scipy; Holm's correction."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from xtra_analysis import significance
from xtra_analysis.comparison import probability_of_improvement
from xtra_analysis.equivalence import paired_test
from xtra_analysis.matrices import Array
from xtra_analysis.significance import LEVEL, fewest_runs, holm, least_p_value, permutation_test

NAN = float("nan")


def brute_force(scores: Array, baseline: Array) -> float:
    """Every way to label the runs of every game, one after the other."""
    pairs = [[sample[~np.isnan(sample)] for sample in pair] for pair in zip(scores.T, baseline.T, strict=True)]
    points = [[_improvement(np.concatenate(pair), chosen) for chosen in _choices(pair)] for pair in pairs]
    observed = abs(float(probability_of_improvement(scores, baseline)) - 0.5)
    distances = np.array([abs(np.mean(one) - 0.5) for one in product(*points)])
    return float(np.mean(distances >= observed - 1e-9))


def _choices(pair: list[Array]) -> list[tuple[int, ...]]:
    return list(combinations(range(len(pair[0]) + len(pair[1])), len(pair[0])))


def _improvement(runs: Array, chosen: tuple[int, ...]) -> float:
    return float(probability_of_improvement(runs[list(chosen), None], np.delete(runs, chosen)[:, None]))


def test_a_network_that_runs_on_several_games_share_is_taken_for_a_difference_more_often_than_the_level_says() -> None:
    """What docs/analysis.md warns of: runs of a seed correlate by 0.5. Paired tests over seeds hold their level."""
    random, exchanged, paired = np.random.default_rng(1), 0, 0
    for _ in range(1_000):
        network, baseline = random.normal(size=(5, 1)), random.normal(size=(5, 3))
        scores = np.sqrt(0.5) * (network + random.normal(size=(5, 3)))
        exchanged += permutation_test(scores, baseline) < LEVEL
        paired += paired_test((scores - baseline).mean(axis=1), 1.0).p_difference < LEVEL
    assert 0.065 < exchanged / 1_000 < 0.1
    assert 0.035 < paired / 1_000 < 0.065


def test_two_against_two_by_hand() -> None:
    """Of the six ways to label two of four runs, two are as extreme as a full separation: p = 1/3."""
    assert permutation_test(np.array([[3.0], [4.0]]), np.array([[1.0], [2.0]])) == pytest.approx(1 / 3)


@given(seed=st.integers(0, 2**32), ragged=st.booleans())
@settings(max_examples=40)
def test_it_counts_what_brute_force_counts_with_ties_and_unequal_runs(seed: int, ragged: bool) -> None:
    random = np.random.default_rng(seed)
    scores, baseline = random.integers(0, 4, (3, 2)).astype(float), random.integers(0, 4, (3, 2)).astype(float)
    if ragged:
        scores[2, 0] = baseline[2, 1] = NAN
    assert permutation_test(scores, baseline) == pytest.approx(brute_force(scores, baseline), abs=1e-12)


def test_one_game_is_mann_whitneys_exact_test() -> None:
    scores, baseline = np.array([3.1, 4.2, 5.9, 6.5, 9.7]), np.array([1.0, 2.2, 3.3, 4.0, 5.1])
    expected = stats.mannwhitneyu(scores, baseline, method="exact").pvalue
    assert permutation_test(scores[:, None], baseline[:, None]) == pytest.approx(float(expected))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="chooses among the processor types that x86's BLAS knows")
def test_no_digit_of_a_p_value_depends_on_the_processor() -> None:
    code = (
        "import numpy as np; from xtra_analysis.significance import permutation_test\n"
        "random = np.random.default_rng(5)\n"
        "print([permutation_test(random.normal(0.2, 1, (5, 10)), random.normal(0, 1, (5, 10))) for _ in range(8)])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"OPENBLAS_CORETYPE": kind}, capture_output=True, text=True, check=True
        ).stdout
        for kind in ("Nehalem", "Haswell")
    }
    assert len(answers) == 1


def test_a_coarse_grid_errs_on_the_large_side(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    scores, baseline = random.standard_normal((5, 4)) + 0.8, random.standard_normal((7, 4))
    scores[4, 1] = baseline[6, 2] = NAN
    exact = permutation_test(scores, baseline)
    monkeypatch.setattr(significance, "MOST_STEPS", 4000)
    assert exact <= permutation_test(scores, baseline) <= 1.2 * exact


def test_holms_correction_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])


@pytest.mark.parametrize(("num_runs", "num_baseline_runs"), [(1, 1), (1, 3), (2, 3), (4, 4)])
def test_sorted_runs_have_the_least_p_value_that_so_many_can(num_runs: int, num_baseline_runs: int) -> None:
    sorted_runs = np.arange(num_runs + num_baseline_runs, dtype=np.float64)[:, None]
    observed = permutation_test(sorted_runs[:num_runs], sorted_runs[num_runs:])
    assert least_p_value(num_runs, num_baseline_runs) == pytest.approx(observed)


def test_four_runs_of_each_can_be_told_apart_and_six_where_six_pairs_are_compared_at_a_second_look() -> None:
    # 2 / 20 and 2 / 70; 2 / 252 and 2 / 924.
    assert (fewest_runs(0.05), fewest_runs(0.05 / 12)) == (4, 6)
