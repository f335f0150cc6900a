"""The agents a method may name; `agent.name` tells them apart."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from xtra.agents.curl.config import CurlConfig
from xtra.agents.efficientzero.config import EfficientZeroConfig, NetworkConfig, OptimizerConfig
from xtra.config import Config

IMPORTED_FILE = "network.safetensors"
"""What a job leaves whose network came from elsewhere, where one that trains leaves `network.pt`."""


class RandomConfig(Config):
    """An agent that acts uniformly at random over the game's valid actions. It is evaluated, never trained."""

    name: Literal["random"] = "random"
    """Tells the agents apart."""


class CloningConfig(Config):
    """A cloned policy, pretrained and evaluated, never trained online: its network is finetuned by EfficientZero."""

    name: Literal["cloning"] = "cloning"
    """Tells the agents apart."""
    network: NetworkConfig = NetworkConfig()
    """EfficientZero's network, so that what is cloned can be finetuned; dynamics and projection stay as initialised."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimiser, schedule and augmentation; loss weights are unused."""

    @field_validator("network")
    @classmethod
    def _for_all_games(cls, network: NetworkConfig) -> NetworkConfig:
        if network.action_space != "ale18":
            raise ValueError(f"action_space is {network.action_space}; what is cloned from several games needs ale18")
        return network


LearningAgentConfig = Annotated[EfficientZeroConfig | CurlConfig, Field(discriminator="name")]
"""Agents that learn online."""

PretrainedAgentConfig = Annotated[EfficientZeroConfig | CurlConfig | CloningConfig, Field(discriminator="name")]
"""Agents that learn from offline data of several games."""

AgentConfig = Annotated[EfficientZeroConfig | CurlConfig | CloningConfig | RandomConfig, Field(discriminator="name")]

AGENTS: dict[str, type[Config]] = {
    "efficientzero": EfficientZeroConfig,
    "curl": CurlConfig,
    "cloning": CloningConfig,
    "random": RandomConfig,
}
