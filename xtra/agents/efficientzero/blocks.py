"""The pieces networks are made of."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """conv3x3, BN, ReLU, conv3x3, BN, add, ReLU. With `stride` 2 the shortcut is a bare strided conv3x3 (facts: section 5)."""

    def __init__(self, in_channels: int, out_channels: int, momentum: float, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels, momentum=momentum)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels, momentum=momentum)
        self.shortcut = conv3x3(in_channels, out_channels, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        out: Tensor = (y + self.shortcut(x)).relu()
        return out


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A padded 3x3 convolution without bias: batch norm follows it."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def residual_blocks(num_blocks: int, channels: int, momentum: float) -> nn.Sequential:
    """Blocks that keep the shape."""
    return nn.Sequential(*(ResidualBlock(channels, channels, momentum) for _ in range(num_blocks)))


def head_stem(channels: int, head_channels: int, momentum: float) -> nn.Sequential:
    """1x1 convolution, BN, ReLU, flatten."""
    return nn.Sequential(
        nn.Conv2d(channels, head_channels, 1), nn.BatchNorm2d(head_channels, momentum=momentum), nn.ReLU(), nn.Flatten()
    )


def head_layers(features: int, hidden: int, outputs: int, momentum: float) -> nn.Sequential:
    """FC, BN, ReLU, FC; the last layer starts at zero, so a fresh network predicts value 0 and a uniform policy."""
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(features, hidden), nn.BatchNorm1d(hidden, momentum=momentum), nn.ReLU(), last)
