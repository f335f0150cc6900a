"""Measures that foretell transfer: cases worked out by hand, and LogME and CKA beside plain versions that share no code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats

from xtra.transfer.transferability import (
    action_overlap,
    classification_probe,
    linear_cka,
    log_evidence,
    picture_similarity,
    regression_probe,
)

Float = NDArray[np.float64]


def normal(seed: int, *shape: int) -> Float:
    return np.random.default_rng(seed).normal(size=shape)


def best_marginal_likelihood(features: Float, labels: Float) -> float:
    """Log density of labels under N(0, 1/beta + F F' / alpha), per observation, maximised over both by a general optimiser."""
    count = len(labels)

    def negative(log_precisions: Float) -> float:
        alpha, beta = np.exp(log_precisions)
        covariance = np.eye(count) / beta + features @ features.T / alpha
        return -float(stats.multivariate_normal(np.zeros(count), covariance).logpdf(labels)) / count

    options = {"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4_000}
    starts = ([0.0, 0.0], [2.0, 2.0], [-2.0, 1.0])
    return -min(optimize.minimize(negative, start, method="Nelder-Mead", options=options).fun for start in starts)


def plain_cka(features: Float, others: Float) -> float:
    """By cross-covariances, feature by feature, as the paper's equation for linear kernels has it."""
    one, other = features - features.mean(0), others - others.mean(0)

    def squares(a: Float, b: Float) -> float:
        return sum(float(a[:, i] @ b[:, j]) ** 2 for i in range(a.shape[1]) for j in range(b.shape[1]))

    return squares(one, other) / float(np.sqrt(squares(one, one) * squares(other, other)))


@pytest.mark.parametrize(("count", "size"), [(30, 5), (20, 40)])
def test_logme_is_the_largest_marginal_likelihood(count: int, size: int) -> None:
    features = normal(0, count, size)
    labels = 0.5 * features @ normal(1, size) + normal(2, count)
    assert log_evidence(features, labels) == pytest.approx(best_marginal_likelihood(features, labels), abs=1e-5)


def test_logme_prefers_features_that_tell_the_labels() -> None:
    labels = normal(0, 50)
    telling = np.column_stack([labels + 0.1 * normal(1, 50), normal(2, 50)])
    assert log_evidence(telling, labels) > log_evidence(normal(3, 50, 2), labels) + 0.5


def test_logme_of_labels_that_do_not_differ_is_not_defined() -> None:
    assert np.isnan(log_evidence(normal(0, 10, 3), np.ones(10)))


@pytest.mark.parametrize("size", [3, 12])
def test_cka_equals_the_plain_version(size: int) -> None:
    features, others = normal(0, 8, size), normal(1, 8, 4) + normal(0, 8, size)[:, :1]
    assert linear_cka(features, others) == pytest.approx(plain_cka(features, others))


def test_cka_by_hand() -> None:
    # Centred already: (-1, 0, 1) and (1, -2, 1) are orthogonal, (-1, 0, 1) and (-2, 0, 2) the same up to scale.
    line, fold = np.array([[-1.0], [0.0], [1.0]]), np.array([[1.0], [-2.0], [1.0]])
    assert linear_cka(line, fold) == pytest.approx(0.0)
    assert linear_cka(line, 2 * line + 5) == pytest.approx(1.0)
    # Against both at once: (2^2 + 0) / (2 x sqrt(2^2 + 6^2)).
    assert linear_cka(line, np.hstack([line, fold])) == pytest.approx(4 / (2 * np.sqrt(40)))
    assert linear_cka(line, np.ones((3, 2))) == 0.0


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.1, 10.0))
def test_neither_turning_nor_scaling_features_changes_cka(seed: int, scale: float) -> None:
    features, others = normal(seed, 9, 4), normal(seed + 1, 9, 3)
    rotation = np.linalg.qr(normal(seed + 2, 4, 4))[0]
    assert linear_cka(scale * features @ rotation + 3, others) == pytest.approx(linear_cka(features, others))


def test_a_regression_probe_by_hand() -> None:
    # Ridge on (-1, -1), (1, 1): squares are 1 on average, so the slope is 2 / 2.1, and at 2 and -2 it says 4 / 2.1 and -4 / 2.1.
    features = np.array([[-1.0], [1.0], [2.0], [-2.0]])
    error = 2 - 4 / 2.1
    assert regression_probe(features, np.array([-1.0, 1.0, 2.0, -2.0])) == pytest.approx(1 - 2 * error**2 / 8)
    # It says the opposite of what is: worse than the mean.
    assert regression_probe(features, np.array([-1.0, 1.0, -2.0, 2.0])) == pytest.approx(1 - 2 * (4 - error) ** 2 / 8)
    assert regression_probe(features, np.array([-1.0, 1.0, 3.0, 3.0])) == 0.0


def test_a_classification_probe_by_hand() -> None:
    # Fitted to 3 on the left and 4 on the right: it names the sides of 2, -3, 1 and -1, of which one is another class.
    features = np.array([[-1.0], [1.0], [-1.0], [1.0], [2.0], [-3.0], [1.0], [-1.0]])
    classes = np.array([3, 4, 3, 4, 4, 3, 4, 4])
    assert classification_probe(features, classes) == 0.75


def test_pictures_by_hand() -> None:
    black, white = np.zeros((2, 4, 4, 3), np.uint8), np.full((3, 4, 4, 3), 255, np.uint8)
    assert picture_similarity(black, white) == -1.0
    assert picture_similarity(white, white[:1]) == 0.0
    half = black.copy()
    half[:, :2] = 255  # half of the pixels differ by 1: the root of a half
    assert picture_similarity(black, half) == pytest.approx(-np.sqrt(0.5)) == picture_similarity(half, black)


def test_actions_by_hand() -> None:
    assert action_overlap((0, 3, 4), (0, 3, 4)) == 1.0
    assert action_overlap((0, 3, 4), (0, 1, 3)) == 0.5
    assert action_overlap((0,), (1, 2)) == 0.0
