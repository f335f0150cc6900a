"""Sampling by a tree of sums that is kept up to date is sampling by the sums themselves."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xtra.replay.buffer import ReplayBuffer
from xtra.replay.config import ReplayConfig
from xtra.replay.priorities import FAN_OUT, SumTree


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([1, 2, FAN_OUT, FAN_OUT + 1, FAN_OUT**2 + 3]),
    empty=st.floats(0.0, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_share_falls_on_the_place_where_the_running_sum_passes_it(size: int, empty: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Multiples of 1/8 add up without rounding, so both ways must agree exactly.
    masses = rng.integers(1, 100, size) / 8 * (rng.random(size) >= empty)
    masses[rng.integers(size)] = 1.0
    tree, shares = SumTree(masses), rng.integers(0, 2**20, 200) / 2**20
    expected = np.searchsorted(np.cumsum(masses), shares * masses.sum(), side="right")
    assert tree.total == masses.sum()
    assert tree.find(shares).tolist() == expected.tolist()


def test_no_place_of_mass_zero_is_found_however_sums_are_rounded() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        masses = rng.random(300) ** 8 * (rng.random(300) < 0.3)
        masses[-40:] = 0.0
        tree = SumTree(masses)
        shares = np.array([0.0, 0.5, np.nextafter(1.0, 0.0)])
        assert (masses[tree.find(shares)] > 0).all()


@settings(max_examples=40, deadline=None)
@given(
    ends=st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=8, max_size=80),
    capacity=st.sampled_from([20, 40, 1000]),
    alpha=st.sampled_from([0.0, 0.6, 1.0]),
    seed=st.integers(0, 1000),
)
def test_a_replay_that_was_always_sampled_from_draws_what_a_restored_one_draws(
    ends: list[list[bool]], capacity: int, alpha: float, seed: int
) -> None:
    rng, config = np.random.default_rng(seed), ReplayConfig(capacity=capacity, priority_exponent=alpha)
    replay, restored = (ReplayBuffer(config, 2, (1, 1, 3), 4, 3, 1000) for _ in range(2))
    for row, end in enumerate(ends):
        for each in (replay, restored):
            column = np.full(2, row)
            each.append(np.zeros((2, 1, 1, 3), np.uint8), column, column, np.array(end), np.zeros((2, 4)), column)
        if row >= 4:
            # Only this replay's sums are brought up to date change by change.
            sample = replay.sample(5, np.random.default_rng(row), 0.4)
            replay.update_priorities(sample, rng.exponential(size=5))
    restored.restore(replay.state())
    ours, theirs = (each.sample(50, np.random.default_rng(1), 0.4) for each in (replay, restored))
    assert ours.rows.tolist() == theirs.rows.tolist()
    assert ours.envs.tolist() == theirs.envs.tolist()
    assert np.array_equal(ours.weights, theirs.weights)
    assert ours.rows.min() >= replay.oldest_row
    ready = (replay.last[replay.slots(ours.rows), ours.envs] < 1000) | (ours.rows + 3 < len(ends))
    assert ready.all()
