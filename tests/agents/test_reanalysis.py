"""Reanalysis per period: what a target network says of a position is computed once, and equals what a new search says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.tiny_agent import tiny_config
from xtra.agents.efficientzero.batch import Batch
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Exploration, Planner
from xtra.agents.efficientzero.reanalysis import CPU, Memo, Memos, ask_all, first_of_each, in_chunks, put
from xtra.agents.efficientzero.targets import TargetMaker
from xtra.protocol.games import ActionSpace
from xtra.replay.buffer import ReplayBuffer, Sample

NUM_ENVS = 2
INTERVAL = 10
"""Updates that one target network makes targets for."""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """How many observations were searched, and how many a network was asked about, the searches' roots included."""
    counts = {"searched": 0, "inferred": 0}
    explore, infer = Planner.explore, EfficientZeroNetwork.initial_inference

    def counting_explore(
        self: Planner, network: EfficientZeroNetwork, observations: Tensor, exploration: Exploration, *, fetch: bool
    ) -> object:
        counts["searched"] += len(observations)
        return explore(self, network, observations, exploration, fetch=fetch)

    def counting_infer(self: EfficientZeroNetwork, observations: Tensor) -> object:
        counts["inferred"] += len(observations)
        return infer(self, observations)

    monkeypatch.setattr(Planner, "explore", counting_explore)
    monkeypatch.setattr(EfficientZeroNetwork, "initial_inference", counting_infer)
    yield counts


def configured(reanalysis: str, **targets: object) -> EfficientZeroConfig:
    """A tiny agent whose searches are the same at every draw: no noise at the root."""
    config = tiny_config()
    settings = {"reanalysis": reanalysis, "target_update_interval": INTERVAL, "reanalyze_fraction": 1.0} | targets
    return config.model_copy(
        update={
            "targets": config.targets.model_copy(update=settings),
            "search": config.search.model_copy(update={"root_exploration_fraction": 0.0}),
        }
    )


def random_network(config: EfficientZeroConfig, seed: int) -> EfficientZeroNetwork:
    """One that tells positions apart: its last layers are not zero."""
    torch.manual_seed(seed)
    network = EfficientZeroNetwork(config.network, 10).eval()
    for head in (network.prediction.value_head, network.prediction.policy_head, network.dynamics.head):
        head[-1].reset_parameters()
    return network


def filled_replay(config: EfficientZeroConfig, rows: int = 30) -> ReplayBuffer:
    rng = np.random.default_rng(0)
    replay = ReplayBuffer(config.replay, NUM_ENVS, (10, 10, 3), 18, config.window, expected_transitions=200)
    append_rows(replay, rows, rng)
    return replay


def append_rows(replay: ReplayBuffer, rows: int, rng: np.random.Generator) -> None:
    for _ in range(rows):
        frames = rng.integers(0, 256, (NUM_ENVS, 10, 10, 3), dtype=np.uint8)
        policies = np.full((NUM_ENVS, 18), 1 / 18, np.float32)
        terminal = rng.random(NUM_ENVS) < 0.2
        rewards = rng.standard_normal(NUM_ENVS).astype(np.float32)
        replay.append(
            frames, rng.choice([0, 3, 4], NUM_ENVS), rewards, terminal, policies, np.zeros(NUM_ENVS, np.float32), frames
        )


def draw(replay: ReplayBuffer, update: int, size: int = 6) -> Sample:
    return replay.sample(size, np.random.default_rng(update), 1.0)


def make_maker(config: EfficientZeroConfig) -> TargetMaker:
    return TargetMaker(config, Planner(config.search, ActionSpace.of("ale18", "Catch"), 0, 1), 0)


def assert_equal(one: Batch, other: Batch, tolerance: float) -> None:
    """Up to how a matrix product is split over the rows of a batch."""
    np.testing.assert_allclose(one.values, other.values, atol=tolerance)
    np.testing.assert_allclose(one.policies, other.policies, atol=1e-6)
    assert (one.actions == other.actions).all() and (one.alive == other.alive).all()


@pytest.mark.parametrize("source", ["network", "search"])
@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.0])
def test_without_noise_targets_kept_for_a_period_are_those_made_at_each_draw(source: str, fraction: float) -> None:
    settings = {"value_source": source, "reanalyze_fraction": fraction}
    anew, kept = configured("each_draw", **settings), configured("per_period", **settings)
    replay, makers = filled_replay(anew), (make_maker(anew), make_maker(kept))
    networks = [random_network(anew, seed) for seed in range(2)]
    for update in range(2 * INTERVAL):
        network, sample = networks[update // INTERVAL], draw(replay, update)
        # Searches break ties by seeds drawn anew, which moves a root's value a little.
        assert_equal(*(maker.make(replay, sample, network, update) for maker in makers), 1e-5 if source == "network" else 0.01)
        append_rows(replay, 1, np.random.default_rng(update))


def test_a_position_is_searched_and_its_value_inferred_once_per_target_network(counted: dict[str, int]) -> None:
    config = configured("per_period")
    replay, maker, network = filled_replay(config), make_maker(config), random_network(config, 0)
    for update in range(INTERVAL):
        for _ in range(5):
            maker.make(replay, draw(replay, update, 40), network, update)
    held = replay.num_rows * NUM_ENVS
    assert 0 < counted["searched"] <= held
    # The root's own inference serves the bootstrap: no position is inferred twice but one whose value came first.
    assert counted["searched"] <= counted["inferred"] <= 2 * held
    counted["searched"] = 0
    sample = draw(replay, 3, 40)
    maker.make(replay, sample, network, 3)
    assert counted["searched"] == 0
    maker.make(replay, sample, network, INTERVAL)
    assert counted["searched"] > 0


def test_what_is_kept_survives_a_restart(counted: dict[str, int]) -> None:
    config = configured("per_period")
    replay, maker, network = filled_replay(config), make_maker(config), random_network(config, 0)
    sample = draw(replay, 0)
    before = maker.make(replay, sample, network, 0)
    restored = make_maker(config)
    restored.restore(maker.state(), CPU)
    counted.update(searched=0, inferred=0)
    after = restored.make(replay, sample, network, 0)
    assert counted == {"searched": 0, "inferred": 0}
    assert (before.policies == after.policies).all() and (before.values == after.values).all()


def test_a_row_that_took_an_older_ones_place_has_no_answer_yet() -> None:
    memo = Memo((4, 1), (2,))
    here = np.array([3]), np.array([0])
    assert memo.mark_answered(here, 7).tolist() == [3]
    assert memo.lacks(here, 7).tolist() == [False]
    assert memo.lacks(here, 8).tolist() == [True]
    assert memo.lacks((here[0] + 4, here[1]), 7).tolist() == [True]


def test_a_question_says_what_to_compute_where_to_put_it_and_where_to_read_it() -> None:
    """Of two rows' three positions, in a table of four rows and two environments: position (3, 1) occurs twice."""
    memo = Memo((4, 2))
    places = np.array([[1, 2, 3], [3, 4, 5]]), np.array([[0, 0, 1], [1, 1, 1]])
    alive = np.array([[True, False, True], [True, True, True]])
    memo.mark_answered((np.array([4]), np.array([1])), 0)
    question = memo.ask(places, alive, 0, CPU)
    assert (question.samples.tolist(), question.steps.tolist()) == ([0, 0, 1], [0, 2, 2])
    assert question.write_slots.tolist() == [2, 7, 3]
    assert question.read_slots.tolist() == [[2, 4, 7], [7, 1, 3]]
    assert not len(memo.ask(places, alive, 0, CPU).samples)
    on_gpu = Memo((4, 2)).ask(places, alive, 0, torch.device("cuda"))
    assert (on_gpu.samples.tolist(), on_gpu.steps.tolist()) == ([0, 0, 1, 1], [0, 2, 1, 2])
    assert on_gpu.write_slots.tolist() == [2, 7, 1, 3]


def test_what_is_asked_on_a_gpu_comes_in_whole_batches_of_which_the_rest_is_not_kept() -> None:
    places, alive = (np.array([[1], [2]]), np.array([[0], [0]])), np.array([[True], [False]])
    question = Memo((4, 1)).ask(places, alive, 0, torch.device("cuda"))
    assert (question.samples.tolist(), question.write_slots.tolist()) == ([0, 0], [1])
    table = torch.zeros(4)
    put(table, torch.from_numpy(question.write_slots), torch.tensor([5.0, 6.0]))
    assert table.tolist() == [0, 5, 0, 0]


def test_each_draw_asks_for_what_is_alive_and_on_a_gpu_for_all() -> None:
    alive = np.array([[True, False], [True, True]])
    question, on_gpu = ask_all(alive, CPU), ask_all(alive, torch.device("cuda"))
    assert question.write_slots.tolist() == [0, 2, 3] and question.read_slots.tolist() == [[0, 1], [2, 3]]
    assert (question.samples.tolist(), question.steps.tolist()) == ([0, 1, 1], [0, 0, 1])
    assert on_gpu.write_slots.tolist() == [0, 1, 2, 3]
    assert not len(ask_all(alive[:0], CPU).write_slots)


def test_a_search_answers_for_its_roots_value_too() -> None:
    memos = Memos((4, 1), 2)
    here, alive = (np.array([[1, 2]]), np.array([[0, 0]])), np.array([[True, True]])
    policies, values = memos.ask(here, alive, here, alive, 3, CPU)
    assert len(policies.write_slots) == 2 and not len(values.write_slots)


def test_a_memo_takes_8_bytes_a_position_beside_the_answers() -> None:
    assert sum(array.nbytes for array in Memo((100, 2), (18,)).state().values()) == 200 * (18 * 4 + 8)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_of_each_pending_place_the_first_entry_is_computed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 4, (5, 3)), rng.integers(0, 2, (5, 3))
    pending = rng.random((5, 3)) < 0.6
    expected: dict[tuple[int, int], tuple[int, int]] = {}
    for sample, step in np.ndindex(5, 3):
        if pending[sample, step]:
            expected.setdefault((int(places[0][sample, step]), int(places[1][sample, step])), (sample, step))
    samples, steps = first_of_each(places, pending)
    assert list(zip(samples.tolist(), steps.tolist(), strict=True)) == list(expected.values())


def test_chunks_repeat_entries_up_to_a_whole_number_of_them() -> None:
    samples, steps = in_chunks((np.array([4, 5, 6]), np.array([0, 1, 2])), 2)
    assert samples.tolist() == [4, 5, 6, 4] and steps.tolist() == [0, 1, 2, 0]
