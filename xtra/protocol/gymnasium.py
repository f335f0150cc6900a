"""Gymnasium's environments as games: `gymnasium:CartPole-v1`, and how they, and games of several families, are measured.

A game is its name. After the environment's id stand its arguments, if any, in alphabetical order:
`gymnasium:FrozenLake-v1@is_slippery=false,map_name=8x8`. Values are read as JSON; what is no JSON is text. An id whose package
registers it when it is imported begins with the package: `gymnasium:minigrid:MiniGrid-Empty-5x5-v0`. The slash of an id's
namespace is a dot, since a slash parts method, game and seed: `gymnasium:ALE.Pong-v5`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xtra.protocol.families import ANY_FAMILY, Family, Protocol, UnknownGame

PREFIX = "gymnasium:"
RESERVED = ("id", "render_mode")
"""Arguments that we pass to the environment."""


@dataclass(frozen=True)
class GymnasiumGame:
    """The parts of a game's name. id: as Gymnasium spells it, its package before it, but for the namespace's slash. kwargs:
    scalars."""

    id: str
    kwargs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The one name of the game."""
        settings = ",".join(f"{key}={_spelled(value)}" for key, value in sorted(self.kwargs.items()))
        return PREFIX + self.id + (f"@{settings}" if settings else "")


def parse_game(name: str) -> GymnasiumGame:
    """Parses a name into the environment's id and its arguments. Raises UnknownGame; it does not ask whether there is such an
    environment."""
    identifier, at, text = name.removeprefix(PREFIX).partition("@")
    kwargs: dict[str, Any] = {}
    for part in text.split(",") if at else ():
        key, equals, value = part.partition("=")
        if not equals or not key.isidentifier() or not value or key in kwargs:
            raise UnknownGame(f"{name!r} is not a game's name", f"write {PREFIX}{identifier}@argument=value,argument=value")
        if key in RESERVED:
            raise UnknownGame(f"{name}: {key} cannot be chosen", "leave it out")
        kwargs[key] = _value(value)
    if not identifier or not identifier.isprintable() or set(identifier) & set(" ,=*?[]"):
        raise UnknownGame(f"{name!r} is not a game's name", f"for example: {PREFIX}CartPole-v1")
    game = GymnasiumGame(identifier.replace("/", "."), kwargs)
    if game.name != name:
        remedy = "a game has one name: arguments by the alphabet, numbers as JSON writes them, a dot for the namespace's slash"
        raise UnknownGame(f"{name!r} is called {game.name}", remedy)
    return game


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict | list) else value


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


GYMNASIUM = Protocol(
    name="gymnasium",
    family="gymnasium",
    summary="An environment of Gymnasium: 100,000 env steps, 32 whole evaluation episodes; scores are raw returns.",
    settings={
        "environment.max_episode_env_steps": 10_000,
        "training.env_steps": 100_000,
        "evaluation.num_episodes": 32,
        "evaluation.max_episode_env_steps": 10_000,
    },
)
MIXED = Protocol(
    name="mixed",
    family=ANY_FAMILY,
    summary="Games of any families side by side: 100,000 env steps, 32 whole evaluation episodes; scores are raw returns.",
    settings=GYMNASIUM.settings,
)
FAMILY = Family(
    name="gymnasium",
    games={},
    find="xtra.envs.gymnasium_games:num_actions",
    example=f"{PREFIX}CartPole-v1",
    package_of="xtra.envs.gymnasium_games:package_of",
    emulators="xtra.envs.gymnasium_games:GymnasiumEmulators",
    protocols=(GYMNASIUM, MIXED),
)
