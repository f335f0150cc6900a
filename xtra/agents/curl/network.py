"""CURL's network: an encoder, dueling noisy heads over distributions of returns, and a contrastive head.

Noise is an argument, not a state: it is drawn from a named stream, so no generator must be saved; each sample may have its own.
The heads cover ALE's 18 actions; averaging advantages over the valid ones alone makes it the published network of each game.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xtra.agents.components import ComponentNetwork
from xtra.agents.curl.config import ContrastiveConfig, CurlConfig, CurlNetworkConfig
from xtra.protocol.games import NUM_ACTIONS

Noise = Mapping[str, tuple[Tensor, Tensor]]
"""For each noisy layer, by name: factors `[B or 1, inputs]` and `[B or 1, outputs]`, whose product is its weights' noise."""


class NoisyLinear(nn.Module):
    """A linear layer with learned, factorised noise on its weights (Fortunato et al., 2018)."""

    def __init__(self, inputs: int, outputs: int, noise_scale: float) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight_mean = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias_mean = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_scale = nn.Parameter(torch.full((outputs, inputs), noise_scale * bound))
        self.bias_scale = nn.Parameter(torch.full((outputs,), noise_scale * outputs**-0.5))

    def forward(self, x: Tensor, noise: tuple[Tensor, Tensor] | None) -> Tensor:
        """Maps `[B, inputs]` to `[B, outputs]`. The noisy weights are never written out: their factors scale inputs and
        outputs."""
        mean = functional.linear(x, self.weight_mean, self.bias_mean)
        if noise is None:
            return mean
        inputs, outputs = noise
        return mean + functional.linear(x * inputs, self.weight_scale, self.bias_scale) * outputs


class DuelingHeads(nn.Module):
    """Value and advantages, each with one hidden layer, as logits over the atoms (Wang et al., 2016; Bellemare et al., 2017)."""

    def __init__(self, features: int, config: CurlNetworkConfig) -> None:
        super().__init__()
        atoms, scale = config.num_atoms, config.noise_scale
        self.value_hidden = NoisyLinear(features, config.hidden, scale)
        self.value = NoisyLinear(config.hidden, atoms, scale)
        self.advantage_hidden = NoisyLinear(features, config.hidden, scale)
        self.advantage = NoisyLinear(config.hidden, NUM_ACTIONS * atoms, scale)

    def forward(self, features: Tensor, valid: Tensor, noise: Noise | None) -> Tensor:
        """Returns log probabilities `[B, 18, atoms]` for features `[B, X]`; those of actions that are not valid (`[B, 18]`) mean
        nothing."""
        of = noise or {}
        value = self.value(self.value_hidden(features, of.get("value_hidden")).relu(), of.get("value"))
        hidden = self.advantage_hidden(features, of.get("advantage_hidden")).relu()
        advantage = self.advantage(hidden, of.get("advantage")).unflatten(1, (NUM_ACTIONS, -1))
        mean = (advantage * valid[..., None]).sum(1, keepdim=True) / valid.sum(1)[:, None, None]
        logits: Tensor = value[:, None] + advantage - mean
        return logits.log_softmax(-1)

    def draw_noise(self, rng: np.random.Generator, num_samples: int, device: torch.device) -> Noise:
        """Draws noise for `num_samples` samples; 1 for all to share it. Drawn on the host, so that it is the same on every
        device."""
        layers = {name: layer.weight_mean for name, layer in self.named_children() if isinstance(layer, NoisyLinear)}
        widths = [width for weight in layers.values() for width in (weight.shape[1], weight.shape[0])]
        normal = rng.standard_normal((num_samples, sum(widths)), np.float32)
        factors = torch.from_numpy(np.sign(normal) * np.sqrt(np.abs(normal))).to(device).split(widths, dim=1)
        return dict(zip(layers, zip(factors[::2], factors[1::2], strict=True), strict=True))


class ContrastiveHead(nn.Module):
    """Features to codes, and the matrix that compares two codes (Laskin et al., 2020). Its layer norms have no parameters."""

    def __init__(self, features: int, hidden: int, config: ContrastiveConfig) -> None:
        super().__init__()
        self.hidden_weight = nn.Parameter(_matrix(features, hidden, config))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.code_weight = nn.Parameter(_matrix(hidden, config.size, config))
        self.code_bias = nn.Parameter(torch.zeros(config.size))
        self.similarity = nn.Parameter(_matrix(config.size, config.size, config))

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `[B, X]` to codes `[B, size]`."""
        hidden = features @ self.hidden_weight + self.hidden_bias
        code = functional.layer_norm(hidden, hidden.shape[1:]).relu() @ self.code_weight + self.code_bias
        return functional.layer_norm(code, code.shape[1:])

    def compare(self, anchors: Tensor, keys: Tensor) -> Tensor:
        """Returns similarities `[A, K]` of anchors `[A, size]` with keys `[K, size]`."""
        return anchors @ (self.similarity @ keys.t())


class CurlNetwork(ComponentNetwork):
    """CURL's whole network. Its three parts have the names of EfficientZero's, because they are transferred by these names.

    channels: of an observation, all its frames'. atoms: `[atoms]` returns that the distributions are over.
    """

    atoms: Tensor

    def __init__(self, config: CurlConfig, channels: int, frame_size: int) -> None:
        super().__init__()
        config.check_frame_size(frame_size)
        network = config.network
        self.representation = encoder(network, channels)
        features = self.representation(torch.zeros(1, channels, frame_size, frame_size)).shape[1]
        self.prediction = DuelingHeads(features, network)
        self.projection = ContrastiveHead(features, network.hidden, config.contrastive)
        self.register_buffer("atoms", torch.linspace(-network.support, network.support, network.num_atoms), persistent=False)

    def log_probabilities(self, observations: Tensor, valid: Tensor, noise: Noise | None) -> Tensor:
        """Returns `[B, 18, atoms]` for observations `[B, channels, H, W]`."""
        out: Tensor = self.prediction(self.representation(observations), valid, noise)
        return out

    def values(self, observations: Tensor, valid: Tensor, noise: Noise | None) -> Tensor:
        """Returns expected returns `[B, 18]`; minus infinity for actions that are not valid, so that no maximum falls on them."""
        expected = self.log_probabilities(observations, valid, noise).exp() @ self.atoms
        return expected.masked_fill(~valid, -torch.inf)

    def codes(self, images: Tensor) -> Tensor:
        """Returns contrastive codes `[B, size]` of images `[B, channels, H, W]`."""
        out: Tensor = self.projection(self.representation(images))
        return out


def encoder(config: CurlNetworkConfig, channels: int) -> nn.Sequential:
    """Builds the encoder: images `[B, channels, H, W]` to flat features."""
    if config.encoder == "data_efficient":
        convolutions = nn.Conv2d(channels, 32, 5, 5), nn.Conv2d(32, 64, 5, 5)
    else:
        convolutions = nn.Conv2d(channels, 16, 3, 1, 1), nn.Conv2d(16, 32, 3, 2, 1)
    return nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), nn.Flatten())


def _matrix(inputs: int, outputs: int, config: ContrastiveConfig) -> Tensor:
    if config.initialization == "uniform":
        return torch.rand(inputs, outputs)
    scale: float = inputs**-0.5
    return torch.randn(inputs, outputs) * scale
