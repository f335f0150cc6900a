"""The copies of a network that only infer: the one that acts, and the delayed one that makes targets; and the average of its
weights over past updates, of which they may be made.

Their batch norm is folded into the weights before it, what an action's planes add is looked up, on a GPU their heads are one, and
they have no projection. In bfloat16, which takes half the memory and is several times as fast on a GPU with tensor cores, they
keep their convolutions, linear layers and LSTM in it, so that a search of 50 inferences casts no weight at all.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xtra.agents.efficientzero.fusion import convolve_by, fuse_relu
from xtra.agents.efficientzero.joined_heads import join_heads
from xtra.agents.efficientzero.network import ActionConv2d, EfficientZeroNetwork

Precision = Literal["float32", "bfloat16"]


@torch.no_grad()
def inference_copy(network: EfficientZeroNetwork, precision: Precision) -> EfficientZeroNetwork:
    """Makes a copy that only infers, equal to the network in evaluation mode up to rounding. `refresh` brings it up to date."""
    copied = folded_copy(network, precision)
    join_heads(copied)
    return copied


def refresh(copied: EfficientZeroNetwork, network: EfficientZeroNetwork, precision: Precision) -> None:
    """Changes an `inference_copy` in place to that of `network`, since a captured graph remembers where its weights lie."""
    copied.load_state_dict(folded_copy(network, precision).state_dict())


@torch.no_grad()
def folded_copy(network: EfficientZeroNetwork, precision: Precision) -> EfficientZeroNetwork:
    """Makes a copy in evaluation mode with batch norm, ReLUs and action planes folded into its layers."""
    copied = copy.deepcopy(network).requires_grad_(False)
    copied.freeze(())
    del copied.projection
    fold_batch_norm(copied)
    fuse_relu(copied)
    copied.dynamics.conv = ActionTable(copied.dynamics.conv, copied.dynamics.latent_size)  # type: ignore[assignment]
    if precision == "bfloat16":
        for module in copied.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.LSTM | ActionTable):
                module.to(torch.bfloat16)
    return copied.eval()


def fold_batch_norm(module: nn.Module) -> None:
    """Folds every batch norm that directly follows a convolution or a linear layer of the same module into that layer.

    The batch norm of the LSTM's outputs stays, in float32: its statistics are sums over many steps.
    """
    previous: nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) and isinstance(previous, nn.Conv2d | nn.Linear):
            _fold(previous, child)
            setattr(module, name, nn.Identity())
        fold_batch_norm(child)
        previous = child


def _fold(layer: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Folds one batch norm into the layer before it, in float64: the mean can be large beside the deviation."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    scale = norm.weight.double() / (variance.double() + norm.eps).sqrt()
    shift = norm.bias.double() + ((0 if layer.bias is None else layer.bias.double()) - mean.double()) * scale
    shape = (-1,) + (1,) * (layer.weight.dim() - 1)
    layer.weight.copy_(layer.weight.double() * scale.view(shape))
    layer.bias = nn.Parameter(shift.to(layer.weight.dtype), requires_grad=False)


class ActionTable(nn.Module):
    """An `ActionConv2d` that only infers: what an action's planes and the bias add to a latent is the same in every sample, so it
    is computed once for each action, `[A, C, H, H]`; the convolution sees the latent alone."""

    def __init__(self, layer: ActionConv2d, latent_size: int) -> None:
        super().__init__()
        channels = layer.out_channels
        latent, of_planes = layer.weight[:, :channels], layer.weight[:, channels:]
        self.weight = nn.Parameter(latent.contiguous(memory_format=torch.channels_last), requires_grad=False)
        planes = layer.planes(torch.arange(layer.num_actions, device=layer.weight.device), layer.weight.dtype)
        planes = planes.expand(-1, -1, latent_size, latent_size)
        table = functional.conv2d(planes, of_planes, layer.bias, padding=1).contiguous(memory_format=torch.channels_last)
        self.table = nn.Parameter(table, requires_grad=False)
        self.no_bias: Tensor
        self.register_buffer("no_bias", table.new_zeros(channels), persistent=False)  # which cuDNN asks for

    def forward(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Maps latents `[B, C, H, H]` and actions `[B]` to relu(convolution + planes + latent), `[B, C, H, H]`."""
        if latent.is_cuda:
            return convolve_by(self.weight, self.no_bias, latent, self.table[actions].add_(latent), padding=(1, 1))
        return functional.conv2d(latent, self.weight, padding=1).add_(self.table[actions]).add_(latent).relu_()


class WeightAverage:
    """A network whose weights and batch-norm statistics are an exponential moving average of another one's (Polyak and Juditsky,
    1992); with a decay of 0 the other one itself."""

    def __init__(self, source: EfficientZeroNetwork, decay: float) -> None:
        self._decay = decay
        self.network = copy.deepcopy(source).requires_grad_(False).eval() if decay else source

    @torch.no_grad()
    def update(self, source: EfficientZeroNetwork) -> None:
        """Moves the average towards `source` by a share of 1 - decay."""
        if self._decay:
            averages, values = self._tensors(self.network), self._tensors(source)
            torch._foreach_lerp_(averages, values, 1 - self._decay)

    def reset(self, source: EfficientZeroNetwork) -> None:
        """Sets the average to `source`."""
        self.restore(source.state_dict())

    def state(self) -> dict[str, Any]:
        """Returns the average's weights; nothing with a decay of 0."""
        return self.network.state_dict() if self._decay else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets the average to what `state` returned."""
        if self._decay:
            self.network.load_state_dict(state)

    @staticmethod
    def _tensors(network: EfficientZeroNetwork) -> list[Tensor]:
        """All but batch norm's counters, which are integers."""
        return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


class DelayedTarget:
    """A snapshot of a network, taken every `interval` updates and used one interval late."""

    def __init__(self, network: EfficientZeroNetwork, interval: int, precision: Precision = "float32") -> None:
        self._interval, self._precision = interval, precision
        self.network = inference_copy(network, precision)
        self.next_network = copy.deepcopy(network).eval()

    def refresh(self, source: EfficientZeroNetwork, update: int) -> None:
        """Takes and switches snapshots that are due after update number `update` of `source`."""
        if (update + 1) % self._interval == 0:
            refresh(self.network, self.next_network, self._precision)
            self.next_network.load_state_dict(source.state_dict())

    def reset(self, source: EfficientZeroNetwork) -> None:
        """Makes both copies those of `source`."""
        refresh(self.network, source, self._precision)
        self.next_network.load_state_dict(source.state_dict())

    def state(self) -> dict[str, Any]:
        """Returns both copies' weights."""
        return {"target": self.network.state_dict(), "next_target": self.next_network.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets both copies to what `state` returned."""
        self.network.load_state_dict(state["target"])
        self.next_network.load_state_dict(state["next_target"])
