"""The networks of the presets, untrained: their speed does not depend on what they have learnt."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xtra.agents.efficientzero.config import NetworkConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.suite.presets import PRESETS

NETWORK, FRAME_SIZE = "agent.network.", "environment.frame_size"


def network_of(preset: str, batch: int) -> tuple[EfficientZeroNetwork, Tensor]:
    """The network of a preset in evaluation mode, and random observations for it."""
    settings: dict[str, Any] = PRESETS[preset].settings_for("efficientzero")
    config = NetworkConfig(**{key.removeprefix(NETWORK): value for key, value in settings.items() if key.startswith(NETWORK)})
    frame_size = settings.get(FRAME_SIZE, 96)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = EfficientZeroNetwork(config, frame_size).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    observations = torch.rand(batch, 3 * config.frame_stack, frame_size, frame_size, generator=generator)
    return network, observations.contiguous(memory_format=torch.channels_last)
