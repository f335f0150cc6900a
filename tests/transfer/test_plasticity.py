"""Dormant units and effective rank against cases by hand, and on a network that is broken on purpose."""

from __future__ import annotations

import pytest
import torch

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.transfer.plasticity import dormant_fraction, effective_rank, plasticity

from .small_tasks import AGENT

OBSERVATIONS = torch.rand(32, 6, 10, 10, generator=torch.Generator().manual_seed(0))


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
    network = make_network(EfficientZeroConfig.model_validate(AGENT).network, 10, 0, torch.device("cpu"))
    network.train()
    healthy = plasticity(network, OBSERVATIONS)
    assert network.training
    with torch.no_grad():
        last = network.representation.stages[-1][-1]
        last.bn1.weight.zero_()
        last.bn1.bias.fill_(-1.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    broken = plasticity(network, OBSERVATIONS)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert broken["dormant_fraction"] > healthy["dormant_fraction"]
    assert healthy["effective_rank"] > 1
    with torch.no_grad():
        network.representation.stages[0].weight.zero_()
    assert plasticity(network, OBSERVATIONS)["effective_rank"] <= 1
