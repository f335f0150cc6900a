"""The agents that a method may name: what packages and plugins register, ours among them. No torch here.

An agent is its configuration's class and two factories, which are named, and imported when a job needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from xtra.config import Config, NameIn
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import Game
from xtra.registry import Registry, named_by
from xtra.replay.config import ReplayConfig


@dataclass(frozen=True)
class Agent:
    """An agent as it is registered. The factories are `module:name` of functions, or classes:

    player(config, environment, weights, *, seed, num_threads) makes a `Player` (`xtra.agents.interface`); weights: its network's
    `state_dict`, None for an agent without one. learner(config, environment, run) makes a `Learner` at the start of its training.
    """

    name: str
    config: type[AgentConfig]
    """Every field has a default; `name` has the agent's."""
    player: str
    learner: str | None = None
    """None for an agent that does not learn online. The configuration of one that does is a `LearningAgentConfig`."""
    has_network: bool = True
    """Whether it plays by a network."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Settings outside `agent.` whose defaults differ for this agent, by dotted path."""
    presets_of: str | None = None
    """Another agent, whose settings in presets hold for this one too."""


def agent_problem(agent: Agent, others: Mapping[str, Agent]) -> str | None:
    """Explains why an agent cannot be used; None if it can."""
    try:
        config = agent.config()  # type: ignore[call-arg]
    except Exception as error:  # a plugin's class may raise anything
        return f"its configuration cannot be made of defaults: {error}"
    if config.name != agent.name:
        return f"the field `name` of its configuration has the default {config.name!r}"
    if agent.learner is not None and not isinstance(config, LearningAgentConfig):
        return f"it learns online, so {agent.config.__name__} must be a LearningAgentConfig"
    return None


AGENTS = Registry("xtra_bench.agents", Agent, agent_problem, named_by("agent", "name"))


class AgentConfig(Config):
    """The fields that every agent's configuration has."""

    name: Annotated[str, NameIn(AGENTS)]
    """The name that the agent is registered by; it tells the agents apart."""

    def check_view(self, environment: EnvironmentConfig) -> None:
        """Raises ValueError, naming the settings, for a view of the game that the agent cannot use."""

    def check_actions(self, game: Game) -> None:
        """Raises ValueError for a game whose actions the agent cannot tell apart."""


class LockStepConfig(Config):
    """The fields of an agent that learns online from environments in lock step."""

    num_envs: int
    """Environments stepped together."""


class LearningAgentConfig(AgentConfig):
    """The configuration of an agent that learns online."""

    acting: LockStepConfig
    """How it collects."""
    replay: ReplayConfig
    """What it keeps."""

    @property
    def window(self) -> int:
        """Env steps after a transition that its targets look at."""
        raise NotImplementedError


def refuse_own_actions(agent: str, game: Game) -> None:
    """Raises ValueError for a game with actions of its own, for agents that know ALE's alone."""
    if not game.speaks_ale:
        raise ValueError(f"{game.name} has {len(game.action_ids)} actions of its own; agent {agent} knows ALE's 18 alone")
