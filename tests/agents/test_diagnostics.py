"""What is measured of a training: by hand where it can be, and without a trace in what is trained."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.tiny_agent import fill, tiny_config, tiny_learner
from xtra.agents.efficientzero.agent import EfficientZeroLearner, make_network
from xtra.agents.efficientzero.diagnostics import (
    TERMS,
    dormant_fraction,
    effective_rank,
    loss_rows,
    one_step_q,
    plasticity,
    q_spread_and_shift,
)
from xtra.agents.efficientzero.losses import unroll_losses
from xtra.agents.efficientzero.planning import Planner
from xtra.protocol.games import ActionSpace
from xtra.replay.buffer import ReplayBuffer
from xtra.search import ModelOutput


def trained(updates: int, **changes: Any) -> tuple[EfficientZeroLearner, ReplayBuffer]:
    learner = tiny_learner(**changes)
    replay = fill(learner.make_replay(2, (10, 10, 3), 200))
    for update in range(updates):
        learner.update(replay, update)
    return learner, replay


def values(rows: list[dict[str, Any]]) -> dict[tuple[str, int], float]:
    return {(row["quantity"], row["unroll_step"]): row["value"] for row in rows}


@pytest.mark.parametrize("reanalysis", ["each_draw", "per_period"])
def test_measuring_changes_nothing_that_is_trained(reanalysis: str) -> None:
    changes = {"targets": {"reanalysis": reanalysis}}
    (measured, replay), (plain, other) = trained(3, **changes), trained(3, **changes)
    measured.diagnose(replay, 3)
    for update in range(3, 6):
        assert measured.update(replay, update) == plain.update(other, update)
    assert (replay.priorities == other.priorities).all()
    for name, tensor in measured.network_state().items():
        assert torch.equal(tensor, plain.network_state()[name]), name


def test_the_steps_of_each_term_add_up_to_the_loss_that_is_trained() -> None:
    learner, replay = trained(2)
    batch = learner.make_batch(replay, 2)[1]
    rows = values(loss_rows(learner.network, batch, tiny_config()))
    losses = unroll_losses(learner.network.train(), batch, tiny_config())
    for term in TERMS:
        steps = [value for (quantity, _), value in rows.items() if quantity == f"{term}_loss.training"]
        assert sum(steps) == pytest.approx(getattr(losses, term).mean().item(), abs=1e-5)
        assert len(steps) == (6 if term in ("policy", "value") else 5)


def test_running_statistics_of_another_world_show_in_evaluation_mode_alone() -> None:
    learner, replay = trained(2)
    batch = learner.make_batch(replay, 2)[1]
    before = values(loss_rows(learner.network, batch, tiny_config()))
    for module in learner.network.representation.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean += 50.0
    after = values(loss_rows(learner.network, batch, tiny_config()))
    assert all(before[key] == after[key] for key in before if key[0].endswith(".training"))
    assert any(before[key] != after[key] for key in before if key[0].endswith(".evaluation"))


def test_policies_of_a_fresh_network_by_hand() -> None:
    """It prefers nothing and its values are 0 everywhere: searches are decided by noise, and no target network moves."""
    learner, replay = trained(0)
    rows = values(learner.diagnose(replay, 1))
    assert rows["policy_loss.uniform", 0] == pytest.approx(math.log(3))
    assert rows["policy_loss.evaluation", 0] == pytest.approx(math.log(18), abs=1e-4)
    assert rows["policy_loss.own_search", 0] == pytest.approx(math.log(3), abs=1e-4)
    assert rows["target_policy_shift", 0] == 0.0
    # 4 simulations over 3 actions: one is visited twice.
    assert rows["policy_target_entropy", 0] == pytest.approx(-(0.5 * math.log(0.5) + 0.5 * math.log(0.25)), abs=1e-4)
    assert 0.0 <= rows["search_agreement", 0] <= 1.0
    assert rows["q_spread", 0] == rows["q_shift", 0] == 0.0


def test_the_spread_and_shift_of_q_are_those_of_a_model_by_hand() -> None:
    """Two models whose Q of three actions is known, at two positions of which the second is worth 1 more throughout."""

    class Model:
        def __init__(self, rewards: list[float]) -> None:
            self.rewards = torch.tensor(rewards)

        def initial_inference(self, observations: torch.Tensor) -> ModelOutput:
            return ModelOutput(observations, observations, torch.zeros(2), torch.zeros(2), torch.zeros(2, 18))

        def recurrent_inference(self, latent: torch.Tensor, state: torch.Tensor, actions: torch.Tensor) -> ModelOutput:
            return ModelOutput(latent, state, self.rewards[actions], latent[:, 0, 0, 0] * 2.0, torch.zeros(2, 18))

    space = ActionSpace.of("game", "Catch")
    planner = Planner(tiny_config(network={"action_space": "game"}).search, space, 0, 1)
    models = [Model(rewards) for rewards in ([0.0, 3.0, 0.0], [1.0, 1.0, 1.0])]
    root = models[0].initial_inference(torch.tensor([0.0, 1.0])[:, None, None, None])
    q, next_q = (one_step_q(model, root, planner, 0.5) for model in models)
    assert q.tolist() == [[0.0, 3.0, 0.0], [1.0, 4.0, 1.0]]
    # Advantages -1, 2, -1 against 0, 0, 0: a spread of sqrt(2), and a shift of the same.
    spread, shift = q_spread_and_shift(q, next_q)
    assert spread == pytest.approx(math.sqrt(2))
    assert shift == pytest.approx(math.sqrt(2))
    assert q_spread_and_shift(q, q + 7.0)[1] == 0.0


def test_a_unit_is_dormant_by_its_share_of_its_own_layers_mean() -> None:
    # Mean activations 2, 1.96 and 0.04: the layer's mean is 4/3, and 0.04 is 3 % of it; 0.03 would be below 2.5 %.
    dense = torch.tensor([[1.0, 1.96, 0.04], [3.0, 1.96, 0.04]])
    assert dormant_fraction([dense]) == 0.0
    assert dormant_fraction([dense.where(dense != 0.04, torch.tensor(0.03))]) == pytest.approx(1 / 3)
    # A channel is a unit: alive although most of its pixels are 0.
    channels = torch.zeros(2, 2, 3, 3)
    channels[0, 0, 1, 1] = 1.0
    assert dormant_fraction([channels]) == 0.5
    assert dormant_fraction([dense, channels]) == pytest.approx(1 / 5)
    assert dormant_fraction([torch.zeros(2, 4)]) == 1.0


@pytest.mark.parametrize(
    ("singular_values", "rank"), [([1, 1, 1], 3), ([97, 2, 1], 2), ([98, 1, 1], 2), ([995, 4, 1], 1), ([0, 0, 0], 0)]
)
def test_the_effective_rank_leaves_out_a_hundredth_of_the_singular_values(singular_values: list[int], rank: int) -> None:
    left, _ = torch.linalg.qr(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    right, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))
    assert effective_rank(left @ torch.diag(torch.tensor(singular_values, dtype=torch.float32)) @ right) == rank


def test_a_network_whose_units_died_is_seen_to_have_lost_them_and_is_left_as_it_was() -> None:
    network = make_network(tiny_config(network={"num_halvings": 1}).network, 10, 0, torch.device("cpu"))
    network.train()
    observations = torch.rand(32, 6, 10, 10, generator=torch.Generator().manual_seed(0))
    healthy = plasticity(network, observations)
    assert network.training
    with torch.no_grad():
        last = network.representation.stages[-1][-1]
        last.bn1.weight.zero_()
        last.bn1.bias.fill_(-1.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    broken = plasticity(network, observations)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert broken["dormant_fraction"] > healthy["dormant_fraction"]
    assert healthy["effective_rank"] > 1
    with torch.no_grad():
        network.representation.stages[0].weight.zero_()
    assert plasticity(network, observations)["effective_rank"] <= 1
