"""The agents of few settings, and the choice among all: `agent.name` tells them apart."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import field_validator

from xtra.agents.efficientzero.config import NetworkConfig, OptimizerConfig, check_rgb
from xtra.agents.registry import AGENTS, Agent, AgentConfig, LearningAgentConfig, refuse_own_actions
from xtra.config import ChosenBy
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import Game

IMPORTED_FILE = "network.safetensors"
"""The file of a network that came from elsewhere, in its job's output; a job that trains leaves `network.pt`."""


class RandomConfig(AgentConfig):
    """An agent that acts uniformly at random over the game's valid actions. It is evaluated, never trained."""

    name: Literal["random"] = "random"
    """Tells the agents apart."""


class CloningConfig(AgentConfig):
    """A cloned policy, pretrained and evaluated, never trained online: its network is finetuned by EfficientZero."""

    name: Literal["cloning"] = "cloning"
    """Tells the agents apart."""
    network: NetworkConfig = NetworkConfig()
    """EfficientZero's network, so that what is cloned can be finetuned; dynamics and projection stay as initialised."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimiser, schedule and augmentation; `batch_size` (`transfer.pretraining` has its own), `average_decay`,
    `unroll_batch_norm` and the loss weights are not read."""

    @field_validator("network")
    @classmethod
    def _for_all_games(cls, network: NetworkConfig) -> NetworkConfig:
        if network.action_space != "ale18":
            raise ValueError(f"action_space is {network.action_space}; what is cloned from several games needs ale18")
        return network

    def check_view(self, environment: EnvironmentConfig) -> None:
        """Raises ValueError for gray frames, which EfficientZero's network does not take."""
        check_rgb(self.name, environment)

    def check_actions(self, game: Game) -> None:
        """Raises ValueError for a game with actions of its own."""
        refuse_own_actions(self.name, game)


CLONING = Agent(
    name="cloning",
    config=CloningConfig,
    player="xtra.transfer.behaviour_cloning:make_player",
    defaults={"transfer.pretraining.method": "cloning"},
    presets_of="efficientzero",
)
RANDOM = Agent(name="random", config=RandomConfig, player="xtra.agents.evaluation:make_random_player", has_network=False)

AnyAgentConfig = Annotated[AgentConfig, ChosenBy(AGENTS, "name")]
"""The configuration of whatever agent its `name` names."""

AnyLearningAgentConfig = Annotated[LearningAgentConfig, ChosenBy(AGENTS, "name")]
"""The configuration of any agent that learns online."""
