"""Penalties on forgetting against cases worked out by hand, and the Fisher information against its definition."""

from __future__ import annotations

import math

import pytest
import torch

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.transfer.config import RetentionConfig
from xtra.transfer.retention import Kickstarting, WeightPenalty, diagonal_fisher, make_retention

from .small_tasks import AGENT, task

CPU = torch.device("cpu")
CONFIG = EfficientZeroConfig.model_validate(AGENT)
OBSERVATIONS = torch.rand(6, 6, 10, 10, generator=torch.Generator().manual_seed(0))


def test_l2_sp_is_half_the_squared_distance_of_the_loaded_components() -> None:
    network = make_network(CONFIG.network, 10, 0, CPU)
    penalty = WeightPenalty(network, ("representation",))
    assert penalty.penalty(network, OBSERVATIONS).item() == 0.0
    with torch.no_grad():
        network.representation.stages[0].weight[0, 0, 0, :2] += torch.tensor([3.0, -1.0])
        network.dynamics.conv.weight += 5.0  # not loaded: nothing holds it
    value = penalty.penalty(network, OBSERVATIONS)
    assert value.item() == pytest.approx(0.5 * (9 + 1), rel=1e-5)
    value.backward()
    gradient = network.representation.stages[0].weight.grad
    assert gradient is not None
    assert gradient[0, 0, 0, :2].tolist() == pytest.approx([3.0, -1.0], rel=1e-5)
    assert network.dynamics.conv.weight.grad is None


def test_ewc_weighs_each_squared_distance_with_its_importance() -> None:
    network = make_network(CONFIG.network, 10, 0, CPU)
    importance = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    importance["representation.stages.0.weight"][0, 0, 0] = torch.tensor([4.0, 0.0, 1.0])
    penalty = WeightPenalty(network, ("representation",), importance)
    with torch.no_grad():
        network.representation.stages[0].weight[0, 0, 0] += torch.tensor([2.0, 9.0, 3.0])
    assert penalty.penalty(network, OBSERVATIONS).item() == pytest.approx(0.5 * (4 * 4 + 0 * 81 + 1 * 9), rel=1e-5)


def test_kickstarting_is_the_divergence_over_the_games_own_actions_and_leaves_statistics_alone() -> None:
    network = make_network(CONFIG.network, 10, 0, CPU)
    kickstarting = Kickstarting(network, [0, 3, 4])
    network.train()
    assert kickstarting.penalty(network, OBSERVATIONS).item() == pytest.approx(0.0, abs=1e-7)
    with torch.no_grad():
        # From uniform over three actions to 1/2, 1/4, 1/4, whatever is seen; action 17 is none of the game's.
        network.prediction.policy_head[-1].bias[[0, 17]] = torch.tensor([math.log(2), 99.0])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    value = kickstarting.penalty(network, OBSERVATIONS)
    expected = (math.log(1 / 3 / 0.5) + 2 * math.log(1 / 3 / 0.25)) / 3
    assert value.item() == pytest.approx(expected, rel=1e-4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training and network.prediction.block.training
    value.backward()
    gradient = network.prediction.policy_head[-1].bias.grad
    assert gradient is not None
    # Of KL(p || q) by the logits: q - p.
    assert gradient[[0, 3, 4, 17]].tolist() == pytest.approx([1 / 2 - 1 / 3, 1 / 4 - 1 / 3, 1 / 4 - 1 / 3, 0.0], abs=1e-5)


def test_the_fisher_information_of_a_uniform_policy_is_its_variance() -> None:
    """For a softmax the Fisher information of logit i is p_i (1 - p_i); the last layer's bias is the logit, at two steps."""
    network = make_network(CONFIG.network, 10, 0, CPU)
    fisher = diagonal_fisher(network, [task(CONFIG, "Catch", 0), task(CONFIG, "CatchSlow", 1)], 400, seed=0)
    policy, bins = fisher["prediction.policy_head.3.bias"], fisher["dynamics.head.3.bias"]
    assert policy.sum().item() == pytest.approx(2 * 18 * (1 / 18) * (17 / 18), rel=0.05)
    assert policy.std() / policy.mean() < 0.3
    assert bins.sum().item() == pytest.approx(11 * (1 / 11) * (10 / 11), rel=0.05)
    assert all((value >= 0).all() for value in fisher.values())
    assert not any(value.any() for name, value in fisher.items() if name.startswith("projection."))


def test_the_fisher_information_depends_on_the_seed_and_on_nothing_else() -> None:
    network, tasks = make_network(CONFIG.network, 10, 0, CPU), [task(CONFIG, "Catch", 0)]
    torch.manual_seed(1)
    first = diagonal_fisher(network, tasks, 3, seed=0)
    torch.manual_seed(2)
    again, other = diagonal_fisher(network, tasks, 3, seed=0), diagonal_fisher(network, tasks, 3, seed=1)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())
    assert all(value.grad is None for value in network.parameters())


@pytest.mark.parametrize("method", ["none", "l2_sp", "ewc", "kickstarting"])
def test_every_method_makes_its_penalty_which_is_0_at_the_start(method: str) -> None:
    network = make_network(CONFIG.network, 10, 0, CPU)
    config = RetentionConfig.model_validate({"method": method, "fisher_samples": 2})
    made = make_retention(config, network, ("representation",), [0, 3, 4], [task(CONFIG, "Catch", 0)], 0)
    if method == "none":
        assert made is None
    else:
        assert made is not None
        assert made.penalty(network, OBSERVATIONS).item() == pytest.approx(0.0, abs=1e-7)
