"""The network's forward passes against a second version of them that knows a state dict and arithmetic alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from xtra.agents.efficientzero.config import NetworkConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork

from .plain_targets import expected_scalar
from .plain_update import talking_network

EPSILON = 1e-5


class PlainNetwork:
    """EfficientZero's network in evaluation mode (Ye et al., 2021): residual blocks, an LSTM written out, and heads."""

    def __init__(self, network: EfficientZeroNetwork, config: NetworkConfig) -> None:
        self.state, self.config = network.state_dict(), config

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, scale, shift = (self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return (x - mean.view(shape)) / torch.sqrt(var.view(shape) + EPSILON) * scale.view(shape) + shift.view(shape)

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return functional.conv2d(x, weight, self.state.get(f"{name}.bias"), stride, padding=weight.shape[-1] // 2)

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def block(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        y = functional.relu(self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x, stride)))
        y = self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", y))
        return functional.relu(y + (x if stride == 1 else self.conv(f"{name}.shortcut", x, stride)))

    def stem(self, name: str, x: Tensor) -> Tensor:
        return functional.relu(self.norm(f"{name}.1", self.conv(f"{name}.0", x))).flatten(1)

    def head(self, name: str, x: Tensor) -> Tensor:
        return self.linear(f"{name}.3", functional.relu(self.norm(f"{name}.1", self.linear(f"{name}.0", x))))

    def scaled(self, latent: Tensor) -> Tensor:
        if self.config.latent_scaling == "none":
            return latent
        return torch.stack([(x - x.min()) / max(float(x.max() - x.min()), 1e-5) for x in latent])

    def representation(self, x: Tensor) -> Tensor:
        """Four halvings: strided convolution, strided block, two poolings; or none of them."""
        halve = self.config.num_halvings == 4
        x = functional.relu(self.norm("representation.stages.1", self.conv("representation.stages.0", x, 2 if halve else 1)))
        x = self.blocks(3, x)
        if halve:
            x = self.blocks(5, self.block("representation.stages.4", x, stride=2))
            for place in (7, 9):
                x = self.blocks(place, functional.avg_pool2d(x, 3, 2, 1))
        return self.scaled(x)

    def blocks(self, place: int, x: Tensor) -> Tensor:
        for i in range(self.config.blocks_per_stage):
            x = self.block(f"representation.stages.{place}.{i}", x)
        return x

    def dynamics(self, latent: Tensor, h: Tensor, c: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Next latent, h, c, and value-prefix logits. The latent is added before the block."""
        if self.config.action_encoding == "scalar_plane":
            planes = (actions / 18).view(-1, 1, 1, 1)
        else:
            planes = torch.eye(18)[actions].view(-1, 18, 1, 1)
        planes = planes.expand(-1, -1, *latent.shape[2:])
        x = self.norm("dynamics.bn", self.conv("dynamics.conv", torch.cat([latent, planes], 1)))
        latent = self.scaled(self.block("dynamics.block.0", functional.relu(x + latent)))
        lstm = {name: self.state[f"dynamics.lstm.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        gates = self.stem("dynamics.stem", latent) @ lstm["weight_ih"].T + lstm["bias_ih"] + h @ lstm["weight_hh"].T
        i, f, g, o = (gates + lstm["bias_hh"]).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return latent, h, c, self.head("dynamics.head", functional.relu(self.norm("dynamics.lstm_bn", h)))

    def prediction(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Policy and value logits."""
        x = self.block("prediction.block.0", latent)
        policy, value = (self.stem(f"prediction.{name}_stem", x) for name in ("policy", "value"))
        return self.head("prediction.policy_head", policy), self.head("prediction.value_head", value)

    def projection(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """The target branch's output, and the online branch's."""
        x = latent.flatten(1)
        for layer in (0, 3):
            name = "projection.projector"
            x = functional.relu(self.norm(f"{name}.{layer + 2}", self.linear(f"{name}.{layer + 1}", x)))
        x = self.norm("projection.projector.8", self.linear("projection.projector.7", x))
        y = functional.relu(self.norm("projection.predictor.1", self.linear("projection.predictor.0", x)))
        return x, self.linear("projection.predictor.3", y)


@pytest.mark.parametrize(
    ("changes", "frame_size"),
    [
        ({"num_halvings": 4, "blocks_per_stage": 2}, 40),
        ({"num_halvings": 0, "latent_scaling": "min_max", "action_encoding": "one_hot_planes"}, 8),
    ],
)
@torch.no_grad()
def test_every_forward_pass_is_that_of_the_plain_network(changes: dict[str, object], frame_size: int) -> None:
    sizes = {"frame_stack": 2, "channels": 4, "head_channels": 3, "head_hidden": 6, "lstm_hidden": 5, "support": 7}
    sizes |= {"projection_hidden": 8, "projection_size": 6, "predictor_hidden": 4}
    config = NetworkConfig.model_validate(sizes | changes)
    network = talking_network(config, frame_size, seed=2).eval()
    plain = PlainNetwork(network, config)
    images = torch.rand(3, 6, frame_size, frame_size, generator=torch.Generator().manual_seed(0))

    output, latent = network.initial_inference(images), plain.representation(images)
    policy, value = plain.prediction(latent)
    assert output.value_prefix.tolist() == [0, 0, 0]
    assert output.value_prefix_state.abs().max() == 0
    h = c = torch.zeros(3, 5)
    for actions in (torch.tensor([0, 3, 17]), torch.tensor([4, 11, 1])):
        close(output.latent, latent)
        close(output.policy_logits, policy)
        close(output.value.double(), expected_scalar(value, 7))
        target_branch, online_branch = plain.projection(latent)
        close(network.projection.projector(latent), target_branch)
        close(network.projection(latent), online_branch)
        output = network.recurrent_inference(output.latent, output.value_prefix_state, actions)
        latent, h, c, prefix = plain.dynamics(latent, h, c, actions)
        policy, value = plain.prediction(latent)
        close(output.value_prefix.double(), expected_scalar(prefix, 7))
        close(output.value_prefix_state, torch.stack([h, c], 1))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_observations_are_encoded_in_slices_on_cpu_with_the_bits_that_they_have_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices are of equal size, as a row alone is convolved in another way: of seven rows none is left over."""
    network = EfficientZeroNetwork(NetworkConfig(channels=16, num_halvings=3, lstm_hidden=16, support=20), frame_size=48)
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.rand(7, 12, 48, 48, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=torch.channels_last)
    expected, rows = network.initial_inference(images), []
    network.representation.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    for slice_bytes, sizes in ((3 * images[0].nbytes, [3, 2, 2]), (images.nbytes - 1, [4, 3]), (images.nbytes, [7])):
        monkeypatch.setattr("xtra.agents.efficientzero.network.SLICE_BYTES", slice_bytes)
        rows.clear()
        sliced = network.initial_inference(images)
        assert rows == sizes
        assert all(torch.equal(one, other) for one, other in zip(sliced, expected, strict=True))
        assert sliced.latent.stride() == expected.latent.stride()
    monkeypatch.setattr("xtra.agents.efficientzero.network.SLICE_BYTES", 1)
    assert len(network.initial_inference(images[:0]).value) == 0
    rows.clear()
    network.train().initial_inference(images)
    assert rows == [7]
