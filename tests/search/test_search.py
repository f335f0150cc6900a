"""The search through its public face: hand-computed trees, independence, inspection."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from problems import Problem, assert_same_search, hash_model

from xtra.search import FunctionModel, SearchConfig, SearchResult, dirichlet_noise, gumbel_noise, search
from xtra.search.exploration import considered_visits
from xtra.search.reference import ordered_sum, tie_keys


def two_armed(rewards: list[float], values: list[float] | None = None, logits: list[float] | None = None) -> FunctionModel:
    """Action a always leads to a state whose value prefix grew by rewards[a] and whose value is values[a]."""
    actions = len(rewards)
    values = values or [0.0] * actions
    row = np.asarray(logits or [0.0] * actions, dtype=np.float32)

    def dynamics(latent: np.ndarray, state: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        total = state + np.asarray(rewards, dtype=np.float32)[chosen][:, None]
        return chosen.astype(np.int64), total, total[:, 0].copy()

    def predict(latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.tile(row, (len(latent), 1)), np.asarray(values, dtype=np.float32)[latent]

    return FunctionModel(lambda batch: np.zeros(batch, dtype=np.int64), dynamics, predict)


def plan(model: FunctionModel, num_actions: int, **settings: object) -> SearchResult:
    return search(model, 1, SearchConfig(**settings), valid_actions=torch.ones(1, num_actions, dtype=torch.bool))


def test_the_first_two_simulations_by_hand() -> None:
    """The root has no visits yet, so its prior counts for nothing and the tie goes to action 0; then mean Q ties both values and
    the prior, with fewer visits, sends the second to action 1."""
    tree = plan(two_armed([1.0, 0.0], [0.5, 0.25]), 2, num_simulations=2, discount=0.5).tree.nodes[0]
    assert tree["action"].tolist() == [-1, 0, 1]
    assert tree["parent"].tolist() == [-1, 0, 0]
    assert tree["q"][0].tolist() == [1.0 + 0.5 * 0.5, 0.0 + 0.5 * 0.25]
    assert tree["value_sum"][0] == 0.5 + 1.25 + 0.125  # its own value (that of state 0), then the two returns
    assert tree["visits"].tolist() == [3, 1, 1]


def test_the_value_prefix_starts_anew_every_lstm_horizon_plies() -> None:
    """With one action of reward 1 the prefix grows 1, 2, then restarts; the reward of every edge is 1 all the same."""
    nodes = plan(two_armed([1.0]), 1, num_simulations=6, lstm_horizon=2).tree.nodes[0]
    assert nodes["value_prefix"].tolist() == [0, 1, 2, 1, 2, 1, 2]
    assert nodes["reward"].tolist() == [0, 1, 1, 1, 1, 1, 1]


def test_a_better_arm_is_visited_more_and_chosen() -> None:
    result = plan(two_armed([0.0, 1.0, 0.0]), 3, num_simulations=30)
    assert result.visit_counts.sum() == 30
    assert result.actions.item() == 1
    assert result.visit_counts[0, 1] > 20
    assert torch.equal(result.action_weights, result.visit_counts / 30)


def test_the_principal_variation_follows_the_most_visited_children() -> None:
    result = plan(two_armed([0.0, 1.0]), 2, num_simulations=20)
    first = result.tree.principal_variation()[0]
    assert (first.action, first.visits) == (1, int(result.visit_counts[0, 1]))
    dump = result.tree.dump()
    assert len(dump.splitlines()) == 21
    assert dump.startswith("root  visits 21")


def test_actions_that_are_not_valid_are_visited_nowhere_in_the_tree() -> None:
    problem = Problem(SearchConfig(num_simulations=60), batch=6, num_actions=18, seed=3, noisy=True)
    nodes = problem.run().tree.nodes
    for root in range(6):
        assert not nodes["child_visits"][root][:, ~problem.valid[root].numpy()].any()
        assert nodes["child_visits"][root].sum() > 60  # below the root too


@pytest.mark.parametrize("policy", ["puct", "gumbel"])
def test_a_root_does_not_depend_on_its_batch_or_on_threads(policy: str) -> None:
    problem = Problem(SearchConfig(num_simulations=40, policy=policy), batch=9, num_actions=18, seed=5, noisy=True)
    whole = problem.run()
    threaded = problem.run(num_threads=3)
    assert_same_search(whole, threaded)
    part = problem.run(slice(4, 6))
    np.testing.assert_array_equal(part.tree.nodes, whole.tree.nodes[4:6])
    assert torch.equal(part.action_weights, whole.action_weights[4:6])


def test_seeds_break_ties_differently_and_the_same_seed_alike() -> None:
    flat = two_armed([0.0] * 8)
    valid = torch.ones(64, 8, dtype=torch.bool)
    first = [
        search(flat, 64, SearchConfig(num_simulations=1), valid_actions=valid, seeds=torch.arange(64) + shift).actions
        for shift in (0, 0, 64)
    ]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert len(first[0].unique()) == 8
    assert search(flat, 64, SearchConfig(num_simulations=1), valid_actions=valid).actions.unique().tolist() == [0]


def test_tie_keys_are_spread_evenly_over_the_actions() -> None:
    winners = np.bincount([tie_keys(seed, 3, 2, 6).argmax() for seed in range(6000)], minlength=6)
    assert abs(winners - 1000).max() < 3.5 * np.sqrt(6000 * (1 / 6) * (5 / 6))


def test_ordered_sum_folds_as_a_warp_does() -> None:
    """2^24 swallows a lone 1; only the order decides which ones survive."""
    row = np.zeros(33, dtype=np.float32)
    row[0], row[16], row[32] = 2**24, 1, 1
    assert ordered_sum(row) == np.float32(2**24)  # lane 0 adds entry 32 first, then meets lane 16: both ones are lost
    row[32], row[8], row[24] = 0, 1, 1
    assert ordered_sum(row) == np.float32(2**24 + 2)  # 8 and 24 meet before they meet 2^24


def test_a_tree_outlives_the_searches_after_it() -> None:
    problem = Problem(SearchConfig(num_simulations=10), batch=2, num_actions=4)
    kept = problem.run()
    other = Problem(SearchConfig(num_simulations=10), batch=2, num_actions=4, seed=9)
    other.run()
    assert_same_search(kept, problem.run(engine="reference"))


def test_noise_is_mixed_into_the_roots_prior_alone() -> None:
    problem = Problem(SearchConfig(num_simulations=8, root_exploration_fraction=0.25), batch=3, num_actions=6, noisy=True)
    noisy, plain = problem.run().tree.nodes, problem.run(slice(None), noise=None).tree.nodes
    expected = torch.from_numpy(plain["prior"][:, 0]) * 0.75 + problem.noise * 0.25
    valid = problem.valid.numpy()
    np.testing.assert_allclose(noisy["prior"][:, 0][valid], expected.numpy()[valid], rtol=1e-6)


@pytest.mark.parametrize("actions", [1, 6, 18, 40, 128])
def test_priors_are_the_softmax_over_valid_actions(actions: int) -> None:
    problem = Problem(SearchConfig(num_simulations=3), batch=4, num_actions=actions, seed=7)
    result = problem.run()
    expected = result.root_output.policy_logits.masked_fill(~problem.valid, -torch.inf).softmax(-1)
    priors = torch.from_numpy(result.tree.nodes["prior"])
    torch.testing.assert_close(priors[:, 0].masked_fill(~problem.valid, 0), expected)
    assert (priors.masked_fill(~problem.valid[:, None], 0).sum(-1) - 1).abs().max() < 1e-6
    assert (priors.masked_select(~problem.valid[:, None]) == -1).all()


def test_drawn_noise_covers_valid_actions_alone() -> None:
    valid = torch.tensor([[True, False, True], [True, True, True]])
    noise = dirichlet_noise(np.random.default_rng(0), valid, 0.3)
    assert noise.dtype == torch.float32
    assert noise[0, 1] == 0
    torch.testing.assert_close(noise.sum(1), torch.ones(2))
    assert gumbel_noise(np.random.default_rng(0), valid).shape == (2, 3)


@pytest.mark.parametrize(
    ("considered", "simulations", "plan"),
    [
        (1, 3, [0, 1, 2]),
        (2, 6, [0, 0, 1, 1, 2, 2]),
        (4, 8, [0, 0, 0, 0, 1, 1, 2, 2]),
        (4, 16, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (3, 5, [0, 0, 0, 1, 1]),
    ],
)
def test_sequential_halving_plans(considered: int, simulations: int, plan: list[int]) -> None:
    assert considered_visits(considered, simulations) == plan


def test_gumbel_chooses_the_better_arm_and_improves_the_policy() -> None:
    result = plan(two_armed([0.0, 1.0, 0.0, 0.0]), 4, num_simulations=16, policy="gumbel")
    assert result.actions.item() == 1
    torch.testing.assert_close(result.action_weights.sum(), torch.tensor(1.0))
    assert result.action_weights.argmax().item() == 1
    assert result.visit_counts[0].min() >= 2  # all four are considered, twice, before the first halving


@pytest.mark.parametrize(("min_span", "logit"), [(1e-8, 5.1), (0.5, 0.2 * 5.1)])
def test_a_least_span_keeps_small_differences_of_q_small_in_the_policy(min_span: float, logit: float) -> None:
    """Each arm is visited once: Q is 0 and 0.1, and sigma is 0.1 (50 + 1) times 0.1 divided by the span, or by the least one."""
    result = plan(two_armed([0.0, 0.1]), 2, num_simulations=2, policy="gumbel", gumbel_min_span=min_span)
    expected = torch.tensor([[0.0, logit]]).softmax(-1)
    torch.testing.assert_close(result.action_weights, expected, rtol=1e-5, atol=1e-6)


def test_searching_800_simulations_of_128_actions() -> None:
    valid = torch.ones(2, 128, dtype=torch.bool)
    result = search(hash_model(128), np.arange(2), SearchConfig(num_simulations=800), valid_actions=valid, seeds=torch.arange(2))
    assert result.visit_counts.sum(1).tolist() == [800, 800]


def test_importing_the_configuration_imports_no_torch() -> None:
    code = "import sys, xtra.search.config, xtra.search; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
