"""EfficientZero's network (Ye et al., 2021; XTRA's is the same with 4 blocks per encoder stage).

In the shapes: B samples, F stacked frames, C channels, H latent height and width, L units of the LSTM, A actions (ALE's 18 or the
game's own, `network.action_space`), S = 2 support + 1 bins.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from xtra.agents.components import ComponentNetwork
from xtra.agents.efficientzero.batch_norm import BatchNorm1d, BatchNorm2d
from xtra.agents.efficientzero.config import NetworkConfig
from xtra.agents.efficientzero.fusion import convolve
from xtra.agents.efficientzero.support import to_scalar, to_scalars
from xtra.protocol.games import NUM_ACTIONS
from xtra.search import ModelOutput

SLICE_BYTES = 2**24
"""Bytes of observations that an initial inference encodes at once on CPU: 37 of the published size in float32. [ours]"""


class ResidualBlock(nn.Module):
    """conv3x3, BN, ReLU, conv3x3, BN, add, ReLU: `[B, in, H, W]` to `[B, out, H / stride, W / stride]`.

    With `stride` 2 the shortcut is a bare strided conv3x3 (EfficientZero's released code).
    """

    def __init__(self, in_channels: int, out_channels: int, momentum: float, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn1 = BatchNorm2d(out_channels, momentum=momentum)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.bn2 = BatchNorm2d(out_channels, momentum=momentum)
        self.shortcut = conv3x3(in_channels, out_channels, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.bn1, nn.Identity):  # folded, in a copy that only infers
            return convolve(self.conv2, convolve(self.conv1, x), self.shortcut(x))
        y = self.bn1(self.conv1(x)).relu_()
        out: Tensor = self.bn2(self.conv2(y)).add_(self.shortcut(x)).relu_()
        return out


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A padded 3x3 convolution without bias: batch norm follows it."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def residual_blocks(num_blocks: int, channels: int, momentum: float) -> nn.Sequential:
    """Stacks blocks that keep the shape `[B, channels, H, W]`."""
    return nn.Sequential(*(ResidualBlock(channels, channels, momentum) for _ in range(num_blocks)))


def head_stem(channels: int, head_channels: int, momentum: float) -> nn.Sequential:
    """Builds 1x1 convolution, BN, ReLU, flatten."""
    return nn.Sequential(
        nn.Conv2d(channels, head_channels, 1), BatchNorm2d(head_channels, momentum=momentum), nn.ReLU(), nn.Flatten()
    )


def head_layers(features: int, hidden: int, outputs: int, momentum: float) -> nn.Sequential:
    """Builds FC, BN, ReLU, FC; the last layer starts at zero, so a fresh network predicts value 0 and a uniform policy."""
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(features, hidden), BatchNorm1d(hidden, momentum=momentum), nn.ReLU(), last)


class Representation(nn.Module):
    """Maps stacked frames `[B, 3 * frame_stack, size, size]` in [0, 1] to latents `[B, C, H, H]`."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels, momentum, blocks = config.channels, config.batch_norm_momentum, config.blocks_per_stage
        # The first halving is a strided convolution to half the channels, the second a strided block, the others pool.
        narrow = channels // 2 if config.num_halvings >= 2 else channels
        stages: list[nn.Module] = [
            conv3x3(3 * config.frame_stack, narrow, 2 if config.num_halvings >= 1 else 1),
            BatchNorm2d(narrow, momentum=momentum),
            nn.ReLU(inplace=True),
            residual_blocks(blocks, narrow, momentum),
        ]
        if config.num_halvings >= 2:
            stages += [ResidualBlock(narrow, channels, momentum, stride=2), residual_blocks(blocks, channels, momentum)]
        for _ in range(config.num_halvings - 2):
            stages += [nn.AvgPool2d(3, stride=2, padding=1), residual_blocks(blocks, channels, momentum)]
        self.stages = nn.Sequential(*stages)
        self._scaling = config.latent_scaling

    def forward(self, observation: Tensor) -> Tensor:
        return scale_latent(self.stages(observation), self._scaling)


class ActionConv2d(nn.Conv2d):
    """A padded 3x3 convolution of a latent `[B, C, H, H]` and planes that encode the actions `[B]` taken there, without bias."""

    def __init__(self, channels: int, num_actions: int, encoding: str) -> None:
        self.num_actions, self._one_hot = num_actions, encoding == "one_hot_planes"
        super().__init__(channels + (num_actions if self._one_hot else 1), channels, 3, padding=1, bias=False)

    def forward(self, latent: Tensor, actions: Tensor) -> Tensor:  # type: ignore[override]
        planes = self.planes(actions, latent.dtype)
        return super().forward(torch.cat([latent, planes.expand(-1, -1, *latent.shape[2:])], dim=1))

    def planes(self, actions: Tensor, dtype: torch.dtype) -> Tensor:
        """Returns `[B, 1 or A, 1, 1]`: the numbers that each action's planes are filled with."""
        if self._one_hot:
            values = functional.one_hot(actions, self.num_actions).to(dtype)
        else:
            values = (actions.to(dtype) / self.num_actions).unsqueeze(1)
        return values[:, :, None, None]


class Dynamics(nn.Module):
    """Maps (latent `[B, C, H, H]`, LSTM state `[B, 2, L]`, actions `[B]`) to (next latent, next LSTM state, value-prefix logits
    `[B, S]`)."""

    def __init__(self, config: NetworkConfig, latent_size: int, num_actions: int) -> None:
        super().__init__()
        channels, momentum = config.channels, config.batch_norm_momentum
        self._scaling = config.latent_scaling
        self.latent_size = latent_size
        self.conv = ActionConv2d(channels, num_actions, config.action_encoding)
        self.bn = BatchNorm2d(channels, momentum=momentum)
        self.block = residual_blocks(1, channels, momentum)
        self.stem = head_stem(channels, config.head_channels, momentum)
        self.lstm = nn.LSTM(config.head_channels * latent_size**2, config.lstm_hidden)
        self.lstm_bn = BatchNorm1d(config.lstm_hidden, momentum=momentum)
        self.head = head_layers(config.lstm_hidden, config.head_hidden, 2 * config.support + 1, momentum)

    def forward(self, latent: Tensor, lstm_state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        latent = self.transition(latent, actions)
        # One step alone: the cell is cheaper than the layer, which on CPU lays its weights out anew at every call.
        h, c = torch.lstm_cell(self.stem(latent), lstm_state.unbind(1), *self.lstm.all_weights[0])
        return latent, torch.stack([h, c], dim=1), self.value_prefix(h)

    def transition(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Returns the next latent `[B, C, H, H]` alone."""
        x = self.conv(latent, actions)
        if isinstance(self.conv, ActionConv2d):  # the `ActionTable` of a copy that only infers does this itself
            x = self.bn(x).add_(latent).relu_()
        return scale_latent(self.block(x), self._scaling)

    def unroll_lstm(self, features: Tensor) -> Tensor:
        """Runs the LSTM over the features `[K, B, X]` of K steps, from a zero state: outputs `[K, B, L]`.

        It stays in float32 whatever autocast says: cuDNN's LSTM would run in float16, which needs a gradient scaler.
        """
        with torch.autocast(features.device.type, enabled=False):
            outputs: Tensor = self.lstm(features.float())[0]
        return outputs

    def value_prefix(self, lstm_output: Tensor) -> Tensor:
        """Maps LSTM outputs `[B, L]` to logits `[B, S]`."""
        logits: Tensor = self.head(self.lstm_bn(lstm_output).relu())
        return logits


class Prediction(nn.Module):
    """Maps latents `[B, C, H, H]` to (policy logits `[B, A]`, value logits `[B, S]`)."""

    def __init__(self, config: NetworkConfig, latent_size: int, num_actions: int) -> None:
        super().__init__()
        momentum, features = config.batch_norm_momentum, config.head_channels * latent_size**2
        self.block = residual_blocks(1, config.channels, momentum)
        self.value_stem = head_stem(config.channels, config.head_channels, momentum)
        self.policy_stem = head_stem(config.channels, config.head_channels, momentum)
        self.value_head = head_layers(features, config.head_hidden, 2 * config.support + 1, momentum)
        self.policy_head = head_layers(features, config.head_hidden, num_actions, momentum)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        x = self.block(latent)
        return self.policy_head(self.policy_stem(x)), self.value_head(self.value_stem(x))


class Projection(nn.Module):
    """The consistency loss's heads (SimSiam): a projector for both branches, a predictor for the one that learns."""

    def __init__(self, config: NetworkConfig, latent_size: int) -> None:
        super().__init__()
        momentum, hidden, size = config.batch_norm_momentum, config.projection_hidden, config.projection_size
        self.projector = nn.Sequential(
            nn.Flatten(),
            nn.Linear(config.channels * latent_size**2, hidden),
            BatchNorm1d(hidden, momentum=momentum),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            BatchNorm1d(hidden, momentum=momentum),
            nn.ReLU(),
            nn.Linear(hidden, size),
            BatchNorm1d(size, momentum=momentum),
        )
        self.predictor = nn.Sequential(
            nn.Linear(size, config.predictor_hidden),
            BatchNorm1d(config.predictor_hidden, momentum=momentum),
            nn.ReLU(),
            nn.Linear(config.predictor_hidden, size),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Runs the online branch: latents `[B, C, H, H]` through projector and predictor to `[B, projection_size]`."""
        out: Tensor = self.predictor(self.projector(latent))
        return out


class EfficientZeroNetwork(ComponentNetwork):
    """The four parts that transfer separately: representation, dynamics, prediction, projection. num_actions: A.

    `initial_inference` and `recurrent_inference` are what the tree search calls; they return scalars, not logits over bins.
    """

    def __init__(self, config: NetworkConfig, frame_size: int, num_actions: int = NUM_ACTIONS) -> None:
        super().__init__()
        self.config, self.num_actions = config, num_actions
        latent_size = latent_size_of(frame_size, config.num_halvings)
        self.representation = Representation(config)
        self.dynamics = Dynamics(config, latent_size, num_actions)
        self.prediction = Prediction(config, latent_size, num_actions)
        self.projection = Projection(config, latent_size)

    @property
    def _dtype(self) -> torch.dtype:
        return self.dynamics.conv.weight.dtype

    def zero_lstm_state(self, batch_size: int, device: torch.device) -> Tensor:
        """Returns zeros `[B, 2, L]`: hidden and cell state."""
        return torch.zeros(batch_size, 2, self.config.lstm_hidden, dtype=self._dtype, device=device)

    def initial_inference(self, observations: Tensor) -> ModelOutput:
        """Maps observations `[B, 3 * frame_stack, size, size]` in [0, 1] to a root's output; its value prefix is 0."""
        latent = self._represent(observations.to(self._dtype))
        policy_logits, value_logits = self.prediction(latent)
        value = to_scalar(value_logits, self.config.support)
        state = self.zero_lstm_state(len(latent), latent.device)
        return ModelOutput(channels_last(latent), state, torch.zeros_like(value), value, policy_logits.float().contiguous())

    def _represent(self, observations: Tensor) -> Tensor:
        """Encodes observations `[B, ...]`, on CPU in slices of them: the activations of all rows together would take many times
        the memory of their latents. In training mode batch norm must see all."""
        # Of equal size: a single row left over would be computed in another way, and its last bits differ.
        num_slices = min(len(observations), -(-observations.nbytes // SLICE_BYTES))
        if observations.is_cuda or self.training or num_slices <= 1:
            latents: Tensor = self.representation(observations)
            return latents
        return torch.cat([self.representation(part) for part in observations.tensor_split(num_slices)])

    def recurrent_inference(self, latent: Tensor, value_prefix_state: Tensor, actions: Tensor) -> ModelOutput:
        """Makes one step of the model: latent `[B, C, H, H]`, value_prefix_state `[B, 2, L]`, actions `[B]` from 0 to A - 1."""
        latent, state, prefix_logits = self.dynamics(latent, value_prefix_state, actions)
        policy_logits, value_logits = self.prediction(latent)
        support = self.config.support
        prefix, value = to_scalars((prefix_logits, value_logits), support)
        return ModelOutput(channels_last(latent), state, prefix, value, policy_logits.float().contiguous())


def scale_latent(latent: Tensor, scaling: str) -> Tensor:
    """Scales each sample's latent `[B, C, H, H]` to [0, 1], over all its entries, if `scaling` is `min_max`."""
    if scaling == "none":
        return latent
    low = latent.amin((1, 2, 3), keepdim=True)
    high = latent.amax((1, 2, 3), keepdim=True)
    return (latent - low) / (high - low).clamp_min(1e-5)


def channels_last(latent: Tensor) -> Tensor:
    """Returns a latent `[B, C, H, H]` in the memory order that the search's pool of latents has, whatever kernel made it."""
    return latent.contiguous(memory_format=torch.channels_last)


def latent_size_of(frame_size: int, num_halvings: int) -> int:
    """Returns height and width of the latent: each halving rounds up."""
    for _ in range(num_halvings):
        frame_size = (frame_size + 1) // 2
    return frame_size
