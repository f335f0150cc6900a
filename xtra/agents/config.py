"""The agents a method may name; `agent.name` tells them apart."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.config import Config


class RandomConfig(Config):
    """Acts uniformly at random over the game's valid actions. It is evaluated, never trained."""

    name: Literal["random"] = "random"
    """Tells the agents apart."""


AgentConfig = Annotated[EfficientZeroConfig | RandomConfig, Field(discriminator="name")]

AGENTS: dict[str, type[EfficientZeroConfig] | type[RandomConfig]] = {
    "efficientzero": EfficientZeroConfig,
    "random": RandomConfig,
}
