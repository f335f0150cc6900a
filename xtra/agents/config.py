"""The agents a method may name; `agent.name` tells them apart."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xtra.agents.cloning.config import CloningConfig
from xtra.agents.curl.config import CurlConfig
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.config import Config

IMPORTED_FILE = "network.safetensors"
"""What a job leaves whose network came from elsewhere, where one that trains leaves `network.pt`."""


class RandomConfig(Config):
    """Acts uniformly at random over the game's valid actions. It is evaluated, never trained."""

    name: Literal["random"] = "random"
    """Tells the agents apart."""


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
