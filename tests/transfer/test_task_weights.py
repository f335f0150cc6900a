"""Task weights: windows, the estimator, and gradients built by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xtra.transfer.config import TaskWeightConfig
from xtra.transfer.task_weights import TaskWeights, cosine, gradient, make_task_weights


def weights(**changes: object) -> TaskWeights:
    config = TaskWeightConfig.model_validate({"start": 10, "interval": 20, "window": 4, **changes})
    return make_task_weights(config, ["Near", "Far"])


def run(tracked: TaskWeights, similarities: list[float], first: int, last: int) -> None:
    for update in range(first, last):
        if tracked.measures(update):
            tracked.record(update, np.array(similarities))


def test_windows_are_those_of_the_released_code() -> None:
    tracked = make_task_weights(TaskWeightConfig(), ["Near"])
    measured = [update for update in range(120_000) if tracked.measures(update)]
    assert (measured[0], measured[499], measured[500]) == (10_000, 10_499, 15_000)
    assert len(measured) == 22 * 500


def test_built_gradients_give_exactly_one_and_zero() -> None:
    """Two tasks: one whose loss is the target's, one whose loss is its negative."""
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    unused = torch.zeros(3, requires_grad=True)
    target = gradient((weight * torch.tensor([3.0, 1.0])).sum(), [weight, unused], clamp=5.0)
    same = gradient((weight * torch.tensor([3.0, 1.0])).sum() * 0.5, [weight, unused], clamp=5.0)
    opposite = gradient(-(weight * torch.tensor([3.0, 1.0])).sum(), [weight, unused], clamp=5.0)
    assert target.tolist() == [3.0, 1.0, 0.0, 0.0, 0.0]
    tracked = weights(smoothing=False)
    run(tracked, [cosine(target, same), cosine(target, opposite)], 0, 14)
    assert tracked.values.tolist() == [1.0, 0.0]


def test_the_released_estimator_smooths_and_rounds() -> None:
    tracked = weights()
    run(tracked, [0.11, 0.1], 0, 14)
    # 4 hits and none in 4 trials: (1 + 4) / (1 + 4) and (1 + 0) / (1 + 4); 0.1 is not above 0.1.
    assert tracked.values.tolist() == [1.0, 0.2]
    assert [(row["source_game"], row["updates"], row["weight"]) for row in tracked.rows] == [("Near", 14, 1.0), ("Far", 14, 0.2)]


def test_counters_start_anew_in_every_window_and_weights_hold_until_it_closes() -> None:
    tracked = weights()
    run(tracked, [0.5, 0.5], 0, 14)
    run(tracked, [-0.5, 0.5], 14, 33)
    assert tracked.values.tolist() == [1.0, 1.0]
    run(tracked, [-0.5, 0.5], 33, 34)
    assert tracked.values.tolist() == [0.2, 1.0]


def test_clamping_is_by_element_not_by_norm() -> None:
    weight = torch.ones(2, requires_grad=True)
    assert gradient((weight * torch.tensor([100.0, 3.0])).sum(), [weight], clamp=5.0).tolist() == [5.0, 3.0]


def test_the_mean_similarity_has_no_threshold_and_is_never_negative() -> None:
    tracked = weights(method="mean_similarity")
    run(tracked, [0.05, -0.9], 0, 14)
    assert tracked.values.tolist() == [pytest.approx(0.05), 0.0]


def test_uniform_weights_are_never_measured() -> None:
    tracked = weights(method="uniform", initial=0.3)
    assert not any(tracked.measures(update) for update in range(100))
    assert tracked.values.tolist() == [0.3, 0.3]


def test_a_task_that_was_not_drawn_keeps_its_weight() -> None:
    tracked = weights(initial=0.7)
    run(tracked, [float("nan"), 0.5], 0, 14)
    assert tracked.values.tolist() == [0.7, 1.0]


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.integers(0, 3))
def test_a_window_resumed_anywhere_ends_as_one_that_was_not_interrupted(similarities: list[float], stop: int) -> None:
    whole, first, second = weights(), weights(), weights()
    for i, value in enumerate(similarities):
        whole.record(10 + i, np.array([value, -value]))
    for i, value in enumerate(similarities[:stop]):
        first.record(10 + i, np.array([value, -value]))
    second.restore(first.state())
    for i, value in enumerate(similarities[stop:]):
        second.record(10 + stop + i, np.array([value, -value]))
    assert second.values.tolist() == whole.values.tolist()
    assert second.rows == whole.rows
