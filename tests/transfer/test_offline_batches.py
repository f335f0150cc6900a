"""What one update is made of: every game alike, each by its own priorities."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.transfer.config import TeacherConfig
from xtra.transfer.offline_batches import OfflineBatches, TaskSampler, shares
from xtra.transfer.tasks import TeacherTargets

from .small_tasks import AGENT, task

CONFIG = EfficientZeroConfig.model_validate(AGENT)


@given(batch_size=st.integers(1, 300), num_tasks=st.integers(1, 12), update=st.integers(0, 10**6))
def test_a_batch_is_shared_evenly_and_the_remainder_goes_round(batch_size: int, num_tasks: int, update: int) -> None:
    parts = np.array([shares(batch_size, num_tasks, u) for u in range(update, update + num_tasks)])
    assert (parts.sum(1) == batch_size).all()
    assert (parts.max(1) - parts.min(1) <= 1).all()
    # In as many updates as there are tasks, each has had its turn equally often.
    assert (parts.sum(0) == batch_size).all()


def test_samples_of_different_games_are_drawn_from_their_own_data_by_their_own_priorities() -> None:
    tasks = [task(CONFIG, game, seed) for seed, game in enumerate(("Catch", "CatchSlow", "CatchWide"))]
    sampler = TaskSampler(tasks, 8, CONFIG.replay, num_updates=100, seed=0)
    assert [[len(d.sample.rows) for d in sampler.draw(update)] for update in range(3)] == [[3, 3, 2], [3, 2, 3], [2, 3, 3]]
    drawn = sampler.draw(0)
    before = [t.replay.priorities.copy() for t in tasks]
    sampler.set_priorities(drawn, np.array([1, 1, 1, 50, 50, 50, 9, 9.0]))
    for d, priority in zip(drawn, (1, 50, 9), strict=True):
        replay = tasks[d.task].replay
        changed = np.setdiff1d(np.arange(replay.num_rows), d.sample.rows)
        np.testing.assert_allclose(replay.priorities[d.sample.rows, 0], priority, rtol=1e-6)
        assert (replay.priorities[changed] == before[d.task][changed]).all()


def test_a_game_without_a_turn_is_not_drawn() -> None:
    tasks = [task(CONFIG, game, seed) for seed, game in enumerate(("Catch", "CatchSlow", "CatchWide"))]
    sampler = TaskSampler(tasks, 2, CONFIG.replay, num_updates=100, seed=0)
    assert [[d.task for d in sampler.draw(update)] for update in range(3)] == [[0, 1], [0, 2], [1, 2]]


def test_an_updates_samples_are_those_drawn_before_the_update_before_it_set_priorities() -> None:
    tasks = [task(CONFIG, game, seed) for seed, game in enumerate(("Catch", "CatchSlow"))]
    sampler = TaskSampler(tasks, 8, CONFIG.replay, num_updates=100, seed=0)
    batches = OfflineBatches(tasks, TeacherTargets(CONFIG, TeacherConfig(), seed=0), sampler)
    expected = sampler.draw(0)
    for update in range(3):
        ahead = sampler.draw(update + 1)
        taken = batches.take(update)
        for one, other in zip(taken, expected, strict=True):
            np.testing.assert_array_equal(one.sample.rows, other.sample.rows)
            np.testing.assert_array_equal(one.sample.weights, other.sample.weights)
        batches.set_priorities(taken, np.linspace(1.0, 90.0, 8))
        expected = ahead
        again = [one.sample.rows.tolist() for one in sampler.draw(update + 1)]
        assert again != [one.sample.rows.tolist() for one in ahead], "the new priorities would draw others"
