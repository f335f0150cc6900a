"""The loss against cases worked out by hand: the projection, double Q-learning over valid actions, the weights of both terms."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xtra.agents.curl.batch import CurlBatch, NStepTransitions, Tasks, make_batch
from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.learning import CurlLosses, curl_losses, priorities, project, target_distribution, total_loss
from xtra.agents.curl.network import CurlNetwork

CPU = torch.device("cpu")
ATOMS = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("returns", "discount", "probabilities", "expected"),
    [
        (0.0, 1.0, [0.1, 0.2, 0.3, 0.3, 0.1], [0.1, 0.2, 0.3, 0.3, 0.1]),
        # The point 0 moves to 0.25, between atoms 0 and 1.
        (0.25, 1.0, [0, 0, 1, 0, 0], [0, 0, 0.75, 0.25, 0]),
        # -2, 0 and 2 move to -0.5, 0.5 and 1.5: each splits evenly.
        (0.5, 0.5, [0.2, 0, 0.2, 0, 0.6], [0, 0.1, 0.2, 0.4, 0.3]),
        # Beyond the range all goes to its edge.
        (5.0, 1.0, [0.2, 0.2, 0.2, 0.2, 0.2], [0, 0, 0, 0, 1]),
        # After an end only the return is left.
        (-1.5, 0.0, [0.2, 0.2, 0.2, 0.2, 0.2], [0.5, 0.5, 0, 0, 0]),
    ],
)
def test_a_moved_distribution_is_split_over_neighbouring_atoms(
    returns: float, discount: float, probabilities: list[float], expected: list[float]
) -> None:
    projected = project(ATOMS, torch.tensor([probabilities]), torch.tensor([returns]), torch.tensor([discount]))
    torch.testing.assert_close(projected, torch.tensor([expected]).float())


@given(st.floats(-1, 1), st.floats(0, 0.5), st.lists(st.floats(0.01, 1), min_size=5, max_size=5))
def test_a_projection_keeps_mass_and_mean_inside_the_range(returns: float, discount: float, masses: list[float]) -> None:
    probabilities = torch.tensor([masses], dtype=torch.float64)
    probabilities /= probabilities.sum()
    atoms = ATOMS.double()
    moves = (torch.tensor([x], dtype=torch.float64) for x in (returns, discount))
    projected = project(atoms, probabilities, *moves)
    assert projected.min() >= 0
    assert projected.sum().item() == pytest.approx(1)
    assert (projected @ atoms).item() == pytest.approx(returns + discount * (probabilities @ atoms).item(), abs=1e-9)


class Fixed:
    """In place of a network: for every sample the same value and the same distribution of each action."""

    atoms = ATOMS

    def __init__(self, values: dict[int, float], peaks: dict[int, int]) -> None:
        self._values, self._peaks = values, peaks

    def values(self, observations: torch.Tensor, valid: torch.Tensor, noise: Any) -> torch.Tensor:
        values = torch.zeros(18)
        values[list(self._values)] = torch.tensor(list(self._values.values()))
        return values.expand(len(observations), -1).masked_fill(~valid, -torch.inf)

    def log_probabilities(self, observations: torch.Tensor, valid: torch.Tensor, noise: Any) -> torch.Tensor:
        out = torch.full((len(observations), 18, 5), -torch.inf)
        for action, atom in self._peaks.items():
            out[:, action, atom] = 0.0
        return out


def make(config: CurlConfig, games: list[str], **changes: Any) -> tuple[CurlNetwork, CurlBatch]:
    """A small network and a batch of random samples, one of each game."""
    torch.manual_seed(0)
    network = CurlNetwork(config, 3, 10)
    rng, size = np.random.default_rng(0), len(games)
    stacks = rng.integers(256, size=(2, size, 1, 10, 10, 3), dtype=np.uint8)
    ones = np.ones(size, np.float32)
    samples = NStepTransitions(stacks[0], stacks[1], np.zeros(size, np.int64), ones, 0.5 * ones, ones)
    batch = make_batch(samples, Tasks.of(games, config, CPU), network, config, seed=0, update=0)
    return network, dataclasses.replace(batch, **changes)


def small(**blocks: dict[str, Any]) -> CurlConfig:
    network = {"frame_stack": 1, "encoder": "small", "hidden": 16, "num_atoms": 5, "support": 2.0}
    return CurlConfig.model_validate({"network": network, "contrastive": {"crop_margin": 1, "padding": 1}} | blocks)


def test_the_learning_network_chooses_among_valid_actions_and_the_target_network_judges() -> None:
    # Action 9 is best of all, but only Alien understands it; Catch's best is 3. The learning network's own peaks are not used.
    online = Fixed({9: 3.0, 3: 2.0, 4: 1.0}, {9: 0, 3: 0, 4: 0})
    target = Fixed({4: 9.0}, {9: 4, 3: 3, 4: 2})
    _, batch = make(small(), ["Catch", "Alien", "Catch"], discounts=torch.tensor([0.5, 0.5, 0.0]))
    wanted = target_distribution(online, target, batch)  # type: ignore[arg-type]
    # Return 1. Catch: 1 + 1/2 * 1; Alien: 1 + 1/2 * 2; at an end: 1.
    assert wanted.tolist() == [[0, 0, 0, 0.5, 0.5], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]


def test_a_games_invalid_actions_have_no_part_in_its_samples() -> None:
    config = small(contrastive={"weight": 0.0})
    network, batch = make(config, ["Catch", "Catch", "Pong"])
    before = curl_losses(network, network, network, batch, config).value
    with torch.no_grad():
        # Action 1 is Pong's, not Catch's.
        network.prediction.advantage.bias_mean.view(18, 5)[1] += torch.arange(5.0)
    after = curl_losses(network, network, network, batch, config).value
    assert torch.equal(before[:2], after[:2])
    assert before[2] != after[2]


def test_gradients_reach_the_learning_network_alone() -> None:
    config = small()
    network, batch = make(config, ["Catch"] * 4)
    other, another = make(config, ["Catch"])[0], make(config, ["Catch"])[0]
    total_loss(curl_losses(network, other, another, batch, config), batch).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in [*other.parameters(), *another.parameters()])


def test_identical_views_are_told_apart_only_by_chance() -> None:
    config = small()
    network, batch = make(config, ["Catch"] * 8)
    alike = batch.observations[:1].expand(8, -1, -1, -1)
    losses = curl_losses(network, network, network, dataclasses.replace(batch, views=(alike, alike)), config)
    assert losses.contrastive.tolist() == pytest.approx([math.log(8)] * 8)
    assert losses.accuracy.item() == pytest.approx(1 / 8)


def test_the_total_weighs_terms_samples_and_games_as_released() -> None:
    config = small()
    losses = CurlLosses(value=torch.tensor([1.0, 2.0]), contrastive=torch.tensor([2.0, 4.0]), accuracy=torch.tensor(0.0))
    _, batch = make(config, ["Pong", "Pong"], weights=torch.tensor([1.0, 0.5]))
    # The batch's mean contrastive loss is 3: 1 (1 + 0.01 * 3) and 1/2 (2 + 0.01 * 3), averaged.
    assert total_loss(losses, batch).item() == pytest.approx((1.03 + 0.5 * 2.03) / 2)
    assert priorities(losses, batch, config).tolist() == pytest.approx([1.03, 2.03])
    alone = small(contrastive={"in_priorities": False})
    assert priorities(losses, batch, alone).tolist() == [1.0, 2.0]


def test_in_mixed_batches_every_game_keeps_its_own_contrastive_weight() -> None:
    config = small()
    losses = CurlLosses(value=torch.tensor([1.0, 2.0]), contrastive=torch.tensor([2.0, 4.0]), accuracy=torch.tensor(0.0))
    _, batch = make(config, ["Catch", "Pong"], weights=torch.tensor([1.0, 0.5]))
    contrastive = (1 * 2 + 0.01 * 4) / 2
    assert total_loss(losses, batch).item() == pytest.approx((1 + contrastive + 0.5 * (2 + contrastive)) / 2)
    assert priorities(losses, batch, config).tolist() == pytest.approx([1 + 3, 2 + 0.01 * 3])


def test_without_contrastive_weight_nothing_is_augmented_and_the_value_loss_is_the_same() -> None:
    released, der, shifted = small(), small(contrastive={"weight": 0.0}), small(optimizer={"augmentation": "shift"})
    network, batch = make(released, ["Catch"] * 4)
    _, without = make(der, ["Catch"] * 4)
    _, moved = make(shifted, ["Catch"] * 4)
    assert without.views is None
    values = [curl_losses(network, network, network, b, c).value for b, c in ((batch, released), (without, der))]
    assert torch.equal(*values)
    assert torch.equal(batch.observations, without.observations)
    assert not torch.equal(batch.observations, moved.observations)
