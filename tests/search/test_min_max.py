"""The values between which Q is normalized, kept up to date simulation by simulation, against walks of the whole tree."""

from __future__ import annotations

import numpy as np
import pytest

from xtra.search import SearchConfig
from xtra.search.exploration import considered_visits_table, exploration_table
from xtra.search.reference import ReferenceTree

ACTIONS = 4


def grown_tree(min_max: str, seed: int) -> ReferenceTree:
    config = SearchConfig(num_simulations=40, min_max=min_max, lstm_horizon=2)
    rng = np.random.default_rng(seed)
    tree = ReferenceTree(config, exploration_table(config), considered_visits_table(config, ACTIONS))

    def prior() -> np.ndarray:
        return rng.dirichlet(np.ones(ACTIONS)).astype(np.float32)

    tree.begin(prior(), np.ones(ACTIONS, dtype=bool), np.float32(0), seed=1)
    for simulation in range(40):
        tree.step(simulation, prior(), np.float32(rng.normal()), np.float32(rng.normal()))
    return tree


def released_walk(tree: ReferenceTree) -> dict[int, np.float32]:
    """EfficientZero's released refresh: a stack, and the prefix and reset flag of whatever was popped last."""
    nodes, found = tree.nodes, {}
    stack, prefix, reset = [0], np.float32(0), False
    while stack:
        slot = stack.pop()
        node = nodes[slot]
        if slot != 0:
            reward = node["value_prefix"] if reset else node["value_prefix"] - prefix
            found[slot] = reward + tree.discount * (node["value_sum"] / np.float32(node["visits"]))
        stack.extend(int(child) for child in node["child"] if child >= 0)
        prefix, reset = node["value_prefix"], tree.is_reset(slot)
    return found


def exact_walk(tree: ReferenceTree) -> dict[int, np.float32]:
    """Every edge by its own parent."""
    edges = ((parent, action) for parent in tree.nodes for action in range(ACTIONS) if parent["child"][action] >= 0)
    return {int(parent["child"][action]): parent["q"][action] for parent, action in edges}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("min_max", "walk"), [("exact", exact_walk), ("released", released_walk)])
def test_the_kept_values_are_those_of_a_walk_through_the_tree(min_max: str, walk, seed: int) -> None:
    tree = grown_tree(min_max, seed)
    expected = walk(tree)
    np.testing.assert_array_equal(tree.span_q[1:], [expected[slot] for slot in range(1, 41)])
    assert tree.low == min(expected.values())


def test_the_released_rule_differs_from_the_exact_one() -> None:
    tree = grown_tree("released", 0)
    assert released_walk(tree) != exact_walk(tree)
