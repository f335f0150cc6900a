"""Batches drawn some at a time (`targets.batches_at_once`): what is searched together, and what stays as it was."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny_agent import fill, tiny_config, tiny_learner
from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.agents.efficientzero.batch import Batch
from xtra.agents.efficientzero.config import TargetConfig
from xtra.agents.efficientzero.draws import interleaved
from xtra.agents.efficientzero.planning import Exploration, Planner
from xtra.agents.efficientzero.targets import TargetMaker
from xtra.replay.buffer import ReplayBuffer, Sample


def made(at_once: int, **targets: Any) -> tuple[EfficientZeroLearner, ReplayBuffer]:
    """A learner that draws so many batches at once and whose target network tells positions apart, and its replay."""
    learner = tiny_learner(targets={"batches_at_once": at_once, "target_update_interval": 5, **targets})
    learner.randomize_heads()
    learner.refresh_copies(4)
    learner.refresh_copies(4)  # the target network is one interval late
    replay = fill(learner.make_replay(2, (10, 10, 3), 200))
    replay.priorities[: replay.num_rows] = np.random.default_rng(1).uniform(0.1, 2.0, (replay.num_rows, 2))
    return learner, replay


def places(sample: Sample) -> set[tuple[int, int]]:
    return set(zip(sample.rows.tolist(), sample.envs.tolist(), strict=True))


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of roots of each search of reanalysis."""
    sizes: list[int] = []
    explore = Planner.explore

    def counting(self: Planner, network: Any, observations: torch.Tensor, exploration: Exploration, **options: Any) -> Any:
        sizes.append(len(observations))
        return explore(self, network, observations, exploration, **options)

    monkeypatch.setattr(Planner, "explore", counting)
    return sizes


@pytest.mark.parametrize("reanalysis", ["each_draw", "per_period"])
@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_batches_drawn_together_are_those_drawn_one_by_one(
    reanalysis: str, fraction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as no priority changes in between: here nothing is learned. Searches have no noise, and ties go to the lowest
    action."""
    monkeypatch.setattr(Planner, "explore", lambda self, network, observations, *_, **__: self.exploit(network, observations))
    settings = {"reanalysis": reanalysis, "reanalyze_fraction": fraction}
    (single, replay), (together, other) = made(1, **settings), made(3, **settings)
    for update in range(5):
        (sample, batch), (same, drawn) = single.make_batch(replay, update), together.make_batch(other, update)
        for one, two in zip(vars(sample).values(), vars(same).values(), strict=True):
            np.testing.assert_array_equal(one, two)
        torch.testing.assert_close(batch.observation, drawn.observation)
        torch.testing.assert_close(batch.next_observations, drawn.next_observations)
        torch.testing.assert_close(batch.policies, drawn.policies)
        torch.testing.assert_close(batch.values, drawn.values, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(batch.value_prefixes, drawn.value_prefixes)
        torch.testing.assert_close(batch.weights, drawn.weights)
        within = batch.alive[:, 1:]
        assert torch.equal(batch.alive, drawn.alive) and torch.equal(batch.actions[within], drawn.actions[within])
        assert len(drawn.values.unique()) > 5


def test_one_search_serves_all_batches_of_a_draw(searched: list[int]) -> None:
    learner, replay = made(3)
    alive = [int(learner.make_batch(replay, update)[1].alive.sum()) for update in range(3)]
    assert searched == [sum(alive)]


def test_nothing_is_drawn_across_a_row_or_a_change_of_the_target_network(searched: list[int]) -> None:
    learner, replay = made(3)
    for update in range(5):
        learner.make_batch(replay, update)
    assert len(searched) == 2  # of updates 0 to 2, and of 3 and 4: the target network changes after those
    learner.make_batch(replay, 5)
    assert len(searched) == 3
    fill(replay, 1)
    learner.make_batch(replay, 6)
    assert len(searched) == 4


def test_priorities_of_a_draws_first_updates_count_from_the_next_draw_on() -> None:
    (single, replay), (together, other) = made(1), made(2)
    for learner, own in ((single, replay), (together, other)):
        urgent, _ = learner.make_batch(own, 0)  # the same of both
        own.update_priorities(urgent, np.full(6, 1e9))
    assert places(single.make_batch(replay, 1)[0]) <= places(urgent)
    assert not places(together.make_batch(other, 1)[0]) <= places(urgent)
    assert places(together.make_batch(other, 2)[0]) <= places(urgent)


@pytest.mark.parametrize("reanalysis", ["each_draw", "per_period"])
@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_a_run_stopped_within_a_draw_goes_on_bit_for_bit(reanalysis: str, stopped_after: int) -> None:
    settings: dict[str, Any] = {"targets": {"batches_at_once": 3, "target_update_interval": 5, "reanalysis": reanalysis}}
    first, second = (tiny_learner(**settings) for _ in range(2))
    replay = fill(first.make_replay(2, (10, 10, 3), 200))
    for update in range(stopped_after):
        first.update(replay, update)
    state = copy.deepcopy(first.state())
    assert bool(state["draws"]) == (stopped_after < 3)
    second.restore(state)
    other = fill(second.make_replay(2, (10, 10, 3), 200))
    other.restore(replay.state())
    assert [second.update(other, update) for update in range(stopped_after, 7)] == [
        first.update(replay, update) for update in range(stopped_after, 7)
    ]
    for name, weights in first.network_state().items():
        assert torch.equal(weights, second.network_state()[name]), name


def test_the_state_of_a_release_without_draws_is_read() -> None:
    learner, replay = made(1)
    learner.update(replay, 0)
    state = learner.state()
    del state["draws"]
    other, _ = made(1)
    other.restore(state)
    same = fill(other.make_replay(2, (10, 10, 3), 200))
    same.restore(replay.state())
    assert other.update(same, 1) == learner.update(replay, 1)


def test_samples_are_joined_so_that_the_first_share_of_all_is_the_first_share_of_each() -> None:
    one, two = (Sample(np.array(rows), np.array(rows) % 2, np.array(rows, np.float32)) for rows in ([1, 2, 3], [7, 8, 9]))
    assert interleaved([one, two]).rows.tolist() == [1, 7, 2, 8, 3, 9]
    assert interleaved([one]).weights.tolist() == [1, 2, 3]


def test_another_draw_of_noise_still_asks_the_target_network_of_its_update(searched: list[int]) -> None:
    """What a batch mixed in keeps of reanalysis belongs to the target network of its update, whatever its noise is drawn by."""
    learner, replay = made(1, reanalysis="per_period")
    config = tiny_config(targets={"reanalysis": "per_period", "target_update_interval": 5})
    planner = learner._planner
    maker, network = TargetMaker(config, planner, 0), learner._target.network
    sample = replay.sample(6, np.random.default_rng(0), 1.0)

    def policies(update: int, stream_number: int) -> Batch:
        return maker.make(replay, sample, network, update, stream_number=stream_number)

    before = policies(4, 43).policies
    assert len(searched) == 1
    assert (policies(3, 47).policies == before).all()
    assert len(searched) == 1
    policies(5, 44)
    assert len(searched) == 2


def test_jobs_from_before_there_were_draws_keep_their_keys() -> None:
    assert "batches_at_once" not in TargetConfig().model_dump()
    several = TargetConfig(batches_at_once=4)
    assert TargetConfig.model_validate_json(several.model_dump_json()) == several
