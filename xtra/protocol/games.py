"""The games a suite may name, and the actions each one understands.

Pure data, so that a suite can be checked without an emulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xtra.protocol.families import FAMILIES, NUM_ALE_ACTIONS, Family, UnknownGame
from xtra.registry import Derived, load_object

NUM_ACTIONS = NUM_ALE_ACTIONS
"""Games that speak ALE's ids share one policy head over its 18 actions (XTRA's released code); each uses those it understands."""

ACTION_NAMES = (
    "NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT", "UPFIRE",
    "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE",
)  # fmt: skip

ALL = tuple(range(NUM_ACTIONS))

ActionSpaceName = Literal["game", "ale18", "declared"]


@dataclass(frozen=True)
class Game:
    """A game: its name in suites, the family that implements it, and the ids (of `num_actions`) that it understands, in ascending
    order. speaks_ale: whether those are ALE's ids, whose meanings games of many families share."""

    name: str
    family: str
    action_ids: tuple[int, ...]
    num_actions: int = NUM_ACTIONS
    speaks_ale: bool = True


def _game(name: str, family: Family, action_ids: tuple[int, ...]) -> Game:
    if family.num_actions is None:
        return Game(name, family.name, action_ids)
    return Game(name, family.name, action_ids, family.num_actions, speaks_ale=False)


def _games() -> Mapping[str, Game]:
    return {game: _game(game, family, ids) for family in FAMILIES.values() for game, ids in family.games.items()}


GAMES: Mapping[str, Game] = Derived(_games)
"""Every family's games by name, without their flavours."""


@cache
def find_game(name: str) -> Game:
    """Finds the game of that name, which may be a flavour of one. Raises UnknownGame; suites check names before."""
    base = name.partition("@")[0]
    if ":" in base:
        return _made_game(name)
    for family in FAMILIES.values():
        if base in family.games:
            if base != name and family.check_flavour is None:
                raise UnknownGame(
                    f"{base} has no flavours", f"write {base}; flavours are modes and difficulties of Atari's games"
                )
            if base != name and family.check_flavour is not None:
                family.check_flavour(name)
            return _game(name, family, family.games[base])
    raise UnknownGame(f"unknown game {base!r}")


def _made_game(name: str) -> Game:
    """Makes the game of a family whose games are not listed. Raises UnknownGame."""
    prefix = name.partition(":")[0]
    family = FAMILIES.get(prefix)
    if family is None or not family.find:
        families = ", ".join(f"{one.name}:" for one in FAMILIES.values() if one.find)
        raise UnknownGame(f"no family makes games called {prefix}:...", f"names with a colon begin with {families}")
    num_actions: int = load_object(family.find)(name)
    return Game(name, family.name, tuple(range(num_actions)), num_actions, speaks_ale=False)


def is_game(name: str) -> bool:
    """Tells whether a game has that name."""
    try:
        find_game(name)
    except UnknownGame:
        return False
    return True


@dataclass(frozen=True)
class ActionSpace:
    """The actions that a network tells apart: its policy has one entry for each, its dynamics reads their indices.

    ids: the id (of ALE's 18) of each index. valid: the indices whose ids the game understands, in ascending order.
    """

    ids: tuple[int, ...]
    valid: tuple[int, ...]

    @staticmethod
    def of(name: ActionSpaceName, game: str) -> ActionSpace:
        """`game`: the game's own actions in their order (EfficientZero's released code). `ale18`: all 18, of which the game
        understands some, so that games share one policy head (XTRA's). `declared`: as many as the game's family says; ALE's 18
        for families that speak them. Raises ValueError for `ale18` of a game with actions of its own."""
        known = find_game(game)
        if name == "game":
            return ActionSpace(known.action_ids, tuple(range(len(known.action_ids))))
        if name == "ale18" and not known.speaks_ale:
            raise ValueError(f"{game} has actions of its own, not ALE's")
        return ActionSpace(tuple(range(known.num_actions)), known.action_ids)

    @property
    def size(self) -> int:
        """The number of indices."""
        return len(self.ids)

    def to_ids(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Maps indices `[...]` to ids `[...]`."""
        return np.array(self.ids)[indices]

    def to_indices(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Maps ids `[...]` to indices `[...]`. Raises ValueError for an id that is not among them."""
        index_of_id = np.full(max(NUM_ACTIONS, *self.ids) + 1, -1)
        index_of_id[list(self.ids)] = np.arange(self.size)
        indices: NDArray[np.int64] = index_of_id[ids]
        if (indices < 0).any():
            raise ValueError(f"actions {sorted(set(ids[indices < 0].tolist()))} are not among {list(self.ids)}")
        return indices
