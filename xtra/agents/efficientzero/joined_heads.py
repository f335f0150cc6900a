"""What follows a latent in a network that only infers, in the form that takes a GPU the fewest kernels.

Policy and value are one head, whose weights are theirs in blocks with zeros elsewhere; features are read in the order in which a
convolution leaves them; batch norm of the LSTM's outputs is one product and sum. The weights of this form are made from the
parameters. Those stay as they are; they alone are saved, and a CPU uses them directly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xtra.agents.efficientzero.fusion import convolve_by, multiply
from xtra.agents.efficientzero.network import Dynamics, EfficientZeroNetwork


def join_heads(network: EfficientZeroNetwork) -> None:
    """Gives prediction and dynamics their joined form beside the plain one, in a network whose batch norm is folded and whose
    layers apply their ReLUs."""
    network.prediction = JoinedPrediction(network.prediction)  # type: ignore[assignment]
    network.dynamics = JoinedDynamics(network.dynamics)  # type: ignore[assignment]


class JoinedModule(nn.Module):
    """Stands in the place of a module, with its children and so with its parameters' names."""

    def __init__(self, plain: nn.Module) -> None:
        super().__init__()
        for name, child in plain.named_children():
            self.add_module(name, child)
        self._plain = [plain]  # in a list, so that it is no child
        self._weights = self.joined_weights()
        self.register_load_state_dict_post_hook(lambda module, _: module.refresh())  # type: ignore[no-untyped-call]

    def forward(self, latent: Tensor, *inputs: Tensor) -> Any:
        """Maps a latent `[B, C, H, H]`, and what the plain module takes besides."""
        return self.infer(latent, *inputs) if latent.is_cuda else self._plain[0](latent, *inputs)

    @torch.no_grad()
    def refresh(self) -> None:
        """Makes the joined weights anew, where they lie: a captured graph remembers the place."""
        for weight, value in zip(self._weights, self.joined_weights(), strict=True):
            weight.copy_(value)

    def joined_weights(self) -> list[Tensor]:
        """Makes the weights that `infer` reads, of any shapes `[...]`, from the children's parameters."""
        raise NotImplementedError

    def infer(self, *inputs: Tensor) -> Any:
        """Computes what the plain module computes, up to rounding, from a latent `[B, C, H, H]` and the rest."""
        raise NotImplementedError


class JoinedPrediction(JoinedModule):
    """A `Prediction` whose heads run as one."""

    block: nn.Module
    policy_stem: Any
    value_stem: Any
    policy_head: Any
    value_head: Any

    @torch.no_grad()
    def joined_weights(self) -> list[Tensor]:
        """Makes weights and biases of the stem, `[2 X, C, 1, 1]`, of the hidden layer, `[2 Y, H * H * 2 X]`, and of the last,
        `[A + S, 2 Y]`, where each head has X channels and Y hidden units."""
        stems, heads = (self.policy_stem[0], self.value_stem[0]), (self.policy_head, self.value_head)
        # The joint stem's channels are both stems', so that rows read (place, head, channel) and not (head, place, channel).
        blocks = torch.block_diag(*(by_place(head[0].weight, stem.out_channels) for stem, head in zip(stems, heads, strict=True)))
        return [
            torch.cat([stem.weight for stem in stems]).contiguous(memory_format=torch.channels_last),
            torch.cat([stem.bias for stem in stems]),
            blocks.unflatten(1, (2, -1, stems[0].out_channels)).transpose(1, 2).flatten(1),
            torch.cat([head[0].bias for head in heads]),
            torch.block_diag(*(head[-1].weight for head in heads)),
            torch.cat([head[-1].bias for head in heads]),
        ]

    def infer(self, latent: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Maps latents `[B, C, H, H]` to policy logits `[B, A]` and value logits `[B, S]`."""
        stem, stem_bias, hidden, hidden_bias, output, output_bias = self._weights
        features = places_of(convolve_by(stem, stem_bias, self.block(latent)))
        logits = functional.linear(multiply(hidden, hidden_bias, features), output, output_bias)
        policy, value = logits.split([self.policy_head[-1].out_features, self.value_head[-1].out_features], dim=1)
        return policy, value


class JoinedDynamics(JoinedModule):
    """A `Dynamics` without copies of features, and with a batch norm of one kernel."""

    stem: Any
    lstm: nn.LSTM
    lstm_bn: nn.BatchNorm1d
    head: nn.Module

    @torch.no_grad()
    def joined_weights(self) -> list[Tensor]:
        """Makes the LSTM's weight for features as they lie, `[4 L, H * H * X]`, and batch norm's scale and shift, `[L]`."""
        norm = self.lstm_bn
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - norm.running_mean.double() * scale
        return [by_place(self.lstm.all_weights[0][0], self.stem[0].out_channels), scale.to(norm.weight), shift.to(norm.weight)]

    def infer(self, latent: Tensor, lstm_state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """Maps as `Dynamics` does: latent `[B, C, H, H]`, LSTM state `[B, 2, L]` and actions `[B]`."""
        plain: Dynamics = self._plain[0]  # type: ignore[assignment]
        weight, scale, shift = self._weights
        latent = plain.transition(latent, actions)
        _, *other_weights = self.lstm.all_weights[0]
        h, c = torch.lstm_cell(places_of(self.stem[0](latent)), lstm_state.unbind(1), weight, *other_weights)
        # In float32, since the statistics are sums over many steps, and rounded once.
        normalized = torch.addcmul(shift, h, scale, out=torch.empty_like(h)).relu_()
        return latent, torch.stack([h, c], dim=1), self.head(normalized)


def by_place(weight: Tensor, channels: int) -> Tensor:
    """Reorders the columns of `[N, channels * places]` to `[N, places * channels]`."""
    rows: Tensor = weight.unflatten(1, (channels, -1))
    return rows.transpose(1, 2).flatten(1)


def places_of(x: Tensor) -> Tensor:
    """Flattens `[B, C, H, W]` to features `[B, H * W * C]`, without a copy where channels are last."""
    return x.movedim(1, -1).flatten(1)
