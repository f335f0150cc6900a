"""What finetuning starts from: shrunk weights, fresh heads, and batch-norm statistics of the target, against cases by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.transfer.config import StartConfig
from xtra.transfer.start import HEADS, estimating_batch_norm, starting_weights

from .small_tasks import AGENT

CPU = torch.device("cpu")


def test_shrinking_interpolates_weights_and_leaves_statistics() -> None:
    pretrained = {"a.weight": torch.tensor([2.0, 4.0]), "a.running_mean": torch.tensor([7.0])}
    fresh = {"a.weight": torch.tensor([10.0, 0.0]), "a.running_mean": torch.tensor([0.0])}
    weights = starting_weights(pretrained, fresh, StartConfig(retained=0.75))
    assert weights["a.weight"].tolist() == [4.0, 3.0]  # 0.75 x 2 + 0.25 x 10, 0.75 x 4
    assert weights["a.running_mean"].tolist() == [7.0]
    assert pretrained["a.weight"].tolist() == [2.0, 4.0]


def test_by_default_the_pretrained_weights_are_loaded_as_they_are() -> None:
    pretrained = {"a.weight": torch.tensor([2.0]), "prediction.policy_head.0.weight": torch.tensor([3.0])}
    fresh = {name: torch.zeros_like(value) for name, value in pretrained.items()}
    assert starting_weights(pretrained, fresh, StartConfig()) == pretrained


def test_resetting_heads_takes_policy_value_and_value_prefix_heads_from_the_fresh_network_and_nothing_else() -> None:
    config = EfficientZeroConfig.model_validate(AGENT).network
    pretrained, fresh = (make_network(config, 10, seed, CPU).state_dict() for seed in (1, 2))
    for state, value in ((pretrained, 1.0), (fresh, 2.0)):
        for tensor in state.values():
            tensor.fill_(value)
    weights = starting_weights(pretrained, fresh, StartConfig(reset_heads=True))
    taken = {name for name, value in weights.items() if (value == 2.0).all()}
    assert taken == {name for name in weights if name.startswith(HEADS)}
    assert {name.rsplit(".", 2)[0] for name in taken} == {"prediction.policy_head", "prediction.value_head", "dynamics.head"}


def test_heads_that_are_frozen_cannot_be_reset() -> None:
    with pytest.raises(ValueError, match="dynamics frozen: heads drawn anew would never learn"):
        StartConfig(reset_heads=True, frozen=("representation", "dynamics"))
    StartConfig(reset_heads=True, frozen=("representation",))


def test_statistics_are_plain_averages_over_passes_and_frozen_layers_keep_theirs() -> None:
    network = nn.Sequential(nn.BatchNorm1d(1, momentum=0.1), nn.BatchNorm1d(1, momentum=0.1))
    network.train()
    network[1].eval()
    first, second = network
    first.running_mean.fill_(100.0)
    second.running_mean.fill_(5.0)
    with estimating_batch_norm(network):
        network(torch.tensor([[0.0], [2.0]]))
        network(torch.tensor([[4.0], [8.0]]))
    assert first.running_mean.item() == pytest.approx((1 + 6) / 2)
    assert first.running_var.item() == pytest.approx((2 + 8) / 2)  # unbiased variances of 0, 2 and of 4, 8
    assert (first.momentum, second.momentum, second.running_mean.item()) == (0.1, 0.1, 5.0)
