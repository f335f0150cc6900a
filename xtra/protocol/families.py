"""Families of environments: games that one class implements, and the protocols that measure them. Packages register families.

A family is pure data. Its emulators are named, and imported when a game is played: suites are checked and planned without them.

A protocol fixes the settings below, named by their path in a method's configuration. A suite may override one, but its rows then
carry another protocol label (`atari100k+training.env_steps=50000`), and rows of different labels are never aggregated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from xtra.registry import Derived, Registry

NUM_ALE_ACTIONS = 18
"""ALE's action ids are 0 to 17."""

MAX_ACTIONS = 128
"""Most actions of any game: as many as the search's trees hold."""

ANY_FAMILY = "any"
"""Stands in place of a family's name: games of several families may stand side by side."""

GROUP = "xtra_bench.environments"
"""The group of entry points, each of which leads to a `Family` of its own name."""


class UnknownGame(ValueError):
    """A name that no game has. remedy: what to write instead, as far as that is known; else empty."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class Requirement:
    """A module that a family's games need and this package does not bring, and the command that installs it."""

    module: str
    install: str


def any_size(game: str, frame_size: int) -> str | None:
    """Accepts every frame size, for families that can be shown on frames of any."""
    return None


def multiple_of(cells: int) -> Callable[[str, int], str | None]:
    """Makes a check of frame sizes, for families drawn on so many cells a side."""

    def problem(game: str, frame_size: int) -> str | None:
        return f"{game} is drawn on a multiple of {cells} pixels" if frame_size % cells else None

    return problem


@dataclass(frozen=True)
class Protocol:
    """One way to measure. `settings` maps dotted configuration paths to values; `score_rule` reduces episode returns to a
    score."""

    name: str
    family: str
    summary: str
    settings: Mapping[str, Any]
    proves: Literal["learning", "wiring"] = "learning"
    """What its scores can show; reports of a `wiring` protocol say so on every screen."""
    score_rule: str = "mean_episode_return"
    normalization: Literal["human", "maximum"] = "human"
    """What a normalized score of 1 stands for: a human's score, or the game's maximum (0 is the random agent in both)."""

    def label(self, overrides: Mapping[str, Any]) -> str:
        """Returns the name that rows carry: the protocol's own, and after it each of its settings that `overrides` changes."""
        changed = [
            f"{path}={overrides[path]}"
            for path in sorted(self.settings)
            if path in overrides and overrides[path] != self.settings[path]
        ]
        return "+".join([self.name, *changed])


@dataclass(frozen=True)
class Family:
    """Games that one class implements, and that the same protocols measure."""

    name: str
    games: Mapping[str, tuple[int, ...]]
    """The games' names, each with the ids (of `num_actions`) that it understands, in ascending order."""
    emulators: str
    """`module:name` of what makes `xtra.envs.vector.Emulators` of an EnvironmentConfig and a number of copies."""
    protocols: tuple[Protocol, ...]
    """Protocols by which its games are measured, at least one."""
    frame_problem: Callable[[str, int], str | None] = any_size
    """(game, frame size) → why the game cannot be shown at that size, None if it can."""
    ends_by_itself: bool = False
    """Whether every episode ends within tens of steps, whatever is done."""
    requires: Requirement | None = None
    num_actions: int | None = None
    """Number of actions that the ids of its games stand for, where they are its own; None where they are ALE's 18, which games of
    many families share. Networks learn the family's own with `agent.network.action_space: declared`."""
    find: str = ""
    """For a family whose games are not listed but made, and called `FAMILY:...`: `module:name` of a function from such a name to
    the number of its actions, which are its own. It raises UnknownGame."""
    example: str = ""
    """For a family with games beyond those listed, made ones or flavours: the name of one."""
    package_of: str = ""
    """For a family whose games are other packages' code: `module:name` of a function from a game's name to that code's top-level
    module, whose version and source then are part of the game's jobs."""
    check_flavour: Callable[[str], None] | None = None
    """Raises UnknownGame where `GAME@...` is no flavour of its game; None for a family without flavours."""


def family_problem(family: Family, others: Mapping[str, Family]) -> str | None:
    """Explains why a family cannot be used beside the others; None if it can."""
    num_actions = NUM_ALE_ACTIONS if family.num_actions is None else family.num_actions
    if not 1 <= num_actions <= MAX_ACTIONS:
        return f"it declares {num_actions} actions; 1 to {MAX_ACTIONS} can be searched"
    for name, ids in family.games.items():
        if not name.isalnum():
            return f"the game {name!r} has more than letters and digits in its name"
        if not ids or list(ids) != sorted(set(ids)) or ids[0] < 0 or ids[-1] >= num_actions:
            return f"{name} understands {list(ids)}; at least one id of 0 to {num_actions - 1}, in ascending order, each once"
    if not (family.games or family.find) or not family.protocols:
        return "it needs at least one game and one protocol"
    for protocol in family.protocols:
        if protocol.family not in (family.name, ANY_FAMILY):
            return f"its protocol {protocol.name} measures family {protocol.family!r}"
    for other in others.values():
        shared = family.games.keys() & other.games.keys() or {p.name for p in family.protocols} & {
            p.name for p in other.protocols
        }
        if shared:
            return f"{min(shared)} is a name of family {other.name} too"
    return None


GAME_KEYS = ("game", "games", "sources")
"""Where a job's configuration names games."""


def games_in(value: Any) -> Iterator[tuple[Family, str]]:
    """Yields the games, each with its family, that the value of one of `GAME_KEYS` names."""
    names = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    for name in map(str, names):
        prefix, colon, _ = name.partition(":")
        for family in FAMILIES.values():
            if (colon and family.find and family.name == prefix) or name.partition("@")[0] in family.games:
                yield family, name


def families_in(value: Any) -> Iterator[str]:
    """Yields the names of those games' families."""
    yield from (family.name for family, _ in games_in(value))


FAMILIES = Registry(GROUP, Family, family_problem, dict.fromkeys(GAME_KEYS, families_in))


def _protocols() -> Mapping[str, Protocol]:
    return {protocol.name: protocol for family in FAMILIES.values() for protocol in family.protocols}


PROTOCOLS: Mapping[str, Protocol] = Derived(_protocols)
"""Every family's protocols by name."""
