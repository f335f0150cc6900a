"""Batch norm of joined steps: what one call per step computes, and in which order it enters the running statistics."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xtra.agents.efficientzero.batch_norm import BatchNorm1d, BatchNorm2d, JoinedSteps


def test_batch_norm_is_pytorchs_but_for_its_counter() -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm2d(3, momentum=0.1), torch.nn.BatchNorm2d(3, momentum=0.1)
    for _ in range(3):
        x = torch.randn(4, 3, 2, 2)
        assert torch.equal(ours(x), theirs(x))
    ours.eval(), theirs.eval()
    assert torch.equal(ours(x), theirs(x))
    states = ours.state_dict(), theirs.state_dict()
    assert states[0].keys() == states[1].keys()
    assert [torch.equal(states[0][name], states[1][name]) for name in states[0]] == [True, True, True, True, False]
    assert states[0]["num_batches_tracked"] == 0


def test_joined_steps_are_each_normalized_by_their_own_statistics() -> None:
    """By hand: two samples of one channel at two steps, 1 and 3, 10 and 30."""
    layer, joined = BatchNorm1d(1, eps=1e-12, momentum=0.25), JoinedSteps()
    steps = [torch.tensor([[1.0], [3.0]]), torch.tensor([[10.0], [30.0]])]
    outputs = joined.apply(layer, steps, times=[0, 1])
    torch.testing.assert_close(outputs, torch.tensor([[[-1.0], [-1.0]], [[1.0], [1.0]]]))
    assert layer.running_mean.tolist() == [0.0]  # not yet
    joined.update_running_statistics()
    # A quarter of the first step's statistics, then one of the second's; variances are unbiased, 2 and 200.
    assert layer.running_mean.item() == pytest.approx(0.75 * (0.75 * 0 + 0.25 * 2) + 0.25 * 20)
    assert layer.running_var.item() == pytest.approx(0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 200)


def test_steps_enter_the_running_statistics_by_their_times_whatever_the_order_of_calls() -> None:
    layer, joined = BatchNorm1d(1, momentum=0.5), JoinedSteps()
    joined.apply(layer, [torch.full((2, 1), 8.0)], times=[1])
    joined.apply(layer, [torch.full((2, 1), 4.0), torch.full((2, 1), 16.0)], times=[0, 2])
    joined.update_running_statistics()
    assert layer.running_mean.tolist() == [((0 + 4) / 2 + 8) / 4 + 16 / 2]


@given(
    num_steps=st.integers(1, 4), num_samples=st.integers(2, 5), images=st.booleans(), momentum=st.sampled_from([0.1, 1.0, None])
)
@settings(max_examples=40)
def test_joined_steps_are_one_call_per_step(num_steps: int, num_samples: int, images: bool, momentum: float | None) -> None:
    """Outputs, gradients of inputs and weights, and running statistics; those of a frozen layer stay."""
    torch.manual_seed(num_steps)
    if images:
        parts: list[nn.Module] = [nn.Conv2d(3, 4, 3, padding=1), BatchNorm2d(4, momentum=momentum), nn.ReLU(), nn.Flatten()]
        shape = [num_samples, 3, 4, 4]
    else:
        parts, shape = [], [num_samples, 64]
    module = nn.Sequential(*parts, nn.Linear(64, 5), BatchNorm1d(5, momentum=momentum), nn.ReLU(), BatchNorm1d(5).eval()).double()
    apart = copy.deepcopy(module)
    inputs = [torch.randn(shape, dtype=torch.double, requires_grad=True) for _ in range(num_steps)]
    twins = [x.detach().clone().requires_grad_() for x in inputs]
    if images:
        module, apart = module.to(memory_format=torch.channels_last), apart.to(memory_format=torch.channels_last)

    joined = JoinedSteps()
    outputs = joined.apply(module, inputs, range(num_steps))
    joined.update_running_statistics()
    expected = torch.stack([apart(x) for x in twins], dim=1)
    torch.testing.assert_close(outputs, expected)
    factors = torch.randn_like(expected)
    (outputs * factors).sum().backward()
    (expected * factors).sum().backward()
    for actual, wanted in zip(gradients(module, inputs), gradients(apart, twins), strict=True):
        torch.testing.assert_close(actual, wanted)
    torch.testing.assert_close(module.state_dict(), apart.state_dict())


def gradients(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    grads = [x.grad for x in [*module.parameters(), *inputs]]
    assert all(grad is not None for grad in grads)
    return [grad for grad in grads if grad is not None]
