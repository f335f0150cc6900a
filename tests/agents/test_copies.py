"""Copies that only infer say what the network in evaluation mode says, whatever its weights and statistics."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xtra.agents.efficientzero.config import NetworkConfig
from xtra.agents.efficientzero.copies import DelayedTarget, WeightAverage, fold_batch_norm, inference_copy, refresh
from xtra.agents.efficientzero.fusion import fuse_relu
from xtra.agents.efficientzero.joined_heads import JoinedModule
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.search import ModelOutput

from ..tiny_agent import NETWORK, fill, tiny_learner

NUM_ACTIONS = 5


def random_network(seed: int, changes: dict[str, Any], smallest_variance: float = 1e-3) -> EfficientZeroNetwork:
    """Weights of both signs everywhere, and batch norm's variances from the smallest up to 10."""
    generator, lowest = torch.Generator().manual_seed(seed), math.log10(smallest_variance)
    network = EfficientZeroNetwork(NetworkConfig.model_validate(NETWORK | changes), 10, NUM_ACTIONS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(1, parameter[0].numel()) ** 0.5)
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and norm.running_var is not None:
                variance, mean = norm.running_var, norm.running_mean
                variance.copy_(10 ** (lowest + (1 - lowest) * torch.rand(variance.shape, generator=generator)))
                mean.copy_(torch.randn(mean.shape, generator=generator))
    return network.eval()


@torch.no_grad()
def outputs(network: EfficientZeroNetwork, seed: int, dtype: torch.dtype) -> list[ModelOutput]:
    """Of a root and of two steps after it, for every action."""
    images = torch.rand(NUM_ACTIONS, 6, 10, 10, generator=torch.Generator().manual_seed(seed)).to(dtype)
    inferred = [network.initial_inference(images)]
    for shift in (0, 2):
        actions = torch.arange(NUM_ACTIONS).roll(shift)
        inferred.append(network.recurrent_inference(inferred[-1].latent, inferred[-1].value_prefix_state, actions))
    return inferred


SMALL = 0.1
"""Values and value prefixes are means over a support's bins, and lose digits of the bins, however small the mean is."""


def assert_equal_up_to(tolerance: float, actual: list[ModelOutput], expected: list[ModelOutput]) -> None:
    """tolerance: of a tensor's largest entry, or of `SMALL`."""
    for one, other in zip(actual, expected, strict=True):
        for field, a, b in zip(one._fields, one, other, strict=True):
            error, largest = (a - b).abs().max().item(), b.abs().max().item()
            assert error <= tolerance * max(largest, SMALL), f"{field}: {error} of {largest}"


shapes = st.fixed_dictionaries(
    {
        "num_halvings": st.sampled_from([0, 1, 2, 3]),
        "latent_scaling": st.sampled_from(["none", "min_max"]),
        "action_encoding": st.sampled_from(["scalar_plane", "one_hot_planes"]),
        "blocks_per_stage": st.sampled_from([1, 2]),
    }
)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), changes=shapes)
def test_in_float64_a_copy_infers_what_the_network_infers(seed: int, changes: dict[str, Any]) -> None:
    network = random_network(seed, changes).double()
    assert_equal_up_to(
        1e-9, outputs(inference_copy(network, "float32"), seed, torch.float64), outputs(network, seed, torch.float64)
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), changes=shapes)
def test_in_float32_a_copy_infers_what_the_network_infers_in_float64(seed: int, changes: dict[str, Any]) -> None:
    """Rounding is some 1e-5 of the largest output here. Variances of 0.001 would enlarge it thirtyfold in each layer, as much for
    the network as for its copy, until the processor decides what comes out."""
    network = random_network(seed, changes, smallest_variance=0.1)
    copied = outputs(inference_copy(network, "float32"), seed, torch.float32)
    assert_equal_up_to(1e-3, copied, outputs(network.double(), seed, torch.float64))


def test_folding_leaves_no_batch_norm_but_that_of_the_lstm() -> None:
    copied = inference_copy(random_network(0, {}), "float32")
    assert [name for name, module in copied.named_modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)] == [
        "dynamics.lstm_bn"
    ]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), changes=shapes)
def test_joined_heads_infer_what_they_are_made_of_and_follow_its_weights(seed: int, changes: dict[str, Any]) -> None:
    """The form for GPUs, on CPU, in float64."""
    copied = inference_copy(random_network(seed, changes).double(), "float32")
    for after in (None, random_network(seed + 1, changes).double()):
        if after is not None:
            refresh(copied, after, "float32")
        for one, other in zip(joined_outputs(copied, seed, torch.float64), outputs(copied, seed, torch.float64), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_joined_heads_infer_in_bfloat16_what_plain_ones_do() -> None:
    copied = inference_copy(random_network(0, {}), "bfloat16")
    for one, other in zip(joined_outputs(copied, 0, torch.bfloat16), outputs(copied, 0, torch.bfloat16), strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.02)


def joined_outputs(copied: EfficientZeroNetwork, seed: int, dtype: torch.dtype) -> list[ModelOutput]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JoinedModule, "forward", lambda module, *inputs: module.infer(*inputs))
        return outputs(copied, seed, dtype)


def test_a_copy_saves_nothing_but_its_parameters_and_statistics() -> None:
    network = random_network(0, {})
    copied, own = inference_copy(network, "float32").state_dict(), network.state_dict()
    of_table = {"dynamics.conv.table"}
    biases = {name for name in copied if name.endswith(".bias")}
    assert copied.keys() - own.keys() - biases == of_table
    assert not [name for name in copied if name.startswith("projection")]


@torch.no_grad()
def test_layers_that_apply_their_relu_keep_their_parameters_and_names() -> None:
    layers = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Identity(), nn.ReLU(), nn.Flatten(), nn.Linear(3, 4), nn.Identity(), nn.ReLU())
    for layer in (layers[0], layers[4]):
        layer.bias[0] = -10.0  # so that there is something to cut off, whatever the other weights are
    images, names = torch.randn(5, 2, 1, 1, generator=torch.Generator().manual_seed(0)), list(layers.state_dict())
    expected = layers(images)
    places = [parameter.data_ptr() for parameter in layers.parameters()]
    fuse_relu(layers)
    assert not [layer for layer in layers if isinstance(layer, nn.ReLU)]
    assert torch.equal(layers(images), expected) and (expected == 0).any()
    assert list(layers.state_dict()) == names
    assert [parameter.data_ptr() for parameter in layers.parameters()] == places


@pytest.mark.gpu
@pytest.mark.arithmetic
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_copy_infers_on_a_gpu_what_it_infers_on_cpu(precision: Literal["float32", "bfloat16"]) -> None:
    network = random_network(0, {})
    images, actions = torch.rand(NUM_ACTIONS, 6, 10, 10, generator=torch.Generator().manual_seed(0)), torch.arange(NUM_ACTIONS)
    steps = []
    for device in ("cpu", "cuda"):
        copied = inference_copy(network.to(device), precision)
        root = copied.initial_inference(images.to(device))
        steps.append((root, copied.recurrent_inference(root.latent, root.value_prefix_state, actions.to(device))))
    for on_cpu, on_gpu in zip(*steps, strict=True):
        for field, one, other in zip(on_cpu._fields, on_cpu, on_gpu, strict=True):
            scale = max(1.0, one.float().abs().max().item())
            assert (one.float() - other.float().cpu()).abs().max().item() <= 0.05 * scale, field


@torch.no_grad()
def test_a_folded_linear_layer_by_hand() -> None:
    # (x 2 + 1 - 3) / sqrt(4) x 5 + 7 = 5 x + 2, but for the epsilon in the root.
    layers = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.0)).eval()
    for tensor, value in zip((*layers.parameters(), *layers.buffers()), (2.0, 1.0, 5.0, 7.0, 3.0, 4.0, 0.0), strict=True):
        tensor.fill_(value)
    fold_batch_norm(layers)
    assert [tensor.item() for tensor in layers[0].parameters()] == [5.0, 2.0]
    assert layers(torch.tensor([[3.0]])).item() == 17.0


def test_a_refreshed_copy_is_a_new_one_at_the_old_places() -> None:
    first, second = random_network(1, {}), random_network(2, {})
    copied = inference_copy(first, "float32")

    def places() -> list[int]:
        joined = [weight for module in copied.modules() if isinstance(module, JoinedModule) for weight in module._weights]
        assert joined
        return [tensor.data_ptr() for tensor in [*copied.state_dict().values(), *joined]]

    before = places()
    refresh(copied, second, "float32")
    assert places() == before
    assert_equal_up_to(0.0, outputs(copied, 0, torch.float32), outputs(inference_copy(second, "float32"), 0, torch.float32))


def test_a_copy_of_a_frozen_network_can_be_made_and_refreshed() -> None:
    network = random_network(0, {})
    network.freeze(["representation", "projection"])
    refresh(inference_copy(network, "float32"), network, "float32")
    assert network.train().representation.training is False


def test_a_delayed_target_goes_on_from_its_state_bit_for_bit() -> None:
    network = random_network(1, {})
    target, other = DelayedTarget(network, 1), DelayedTarget(random_network(3, {}), 1)
    target.refresh(random_network(2, {}), 0)
    other.restore(target.state())
    for step in range(2):
        found = [outputs(made.network, 0, torch.float32) for made in (target, other)]
        assert_equal_up_to(0.0, *found)
        for made in (target, other):
            made.refresh(network, step)


def test_an_average_moves_by_its_share_of_the_way_statistics_included() -> None:
    first, second, third = (random_network(seed, {}).state_dict() for seed in range(3))
    average, source = WeightAverage(random_network(0, {}), 0.75), random_network(1, {})
    average.update(source)
    source.load_state_dict(third)
    average.update(source)
    for name, tensor in average.network.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, 0.5625 * first[name] + 0.1875 * second[name] + 0.25 * third[name], msg=name)


def test_without_decay_the_average_is_the_network_itself_and_has_no_state() -> None:
    network = random_network(0, {})
    average = WeightAverage(network, 0.0)
    average.update(network)
    assert average.network is network
    assert average.state() == {}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_learner_acts_by_the_folded_weights_it_saved(precision: str) -> None:
    first, second = (tiny_learner(precision=precision, acting={"network_update_interval": 2}) for _ in range(2))
    replay = fill(first.make_replay(2, (10, 10, 3), 200))
    for update in range(3):
        first.update(replay, update)
    second.restore(first.state())
    stacks = np.random.default_rng(1).integers(256, size=(4, 2, 10, 10, 3), dtype=np.uint8)
    decisions = [learner.act(stacks, 0, 3) for learner in (first, second)]
    assert np.array_equal(decisions[0].policies, decisions[1].policies)
    assert np.array_equal(decisions[0].root_values, decisions[1].root_values)
    refreshed: list[Tensor] = [learner._acting.representation.stages[0].weight for learner in (first, second)]
    assert torch.equal(*refreshed)
