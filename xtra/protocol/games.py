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

from xtra.protocol.families import FAMILIES, UnknownGame
from xtra.registry import Derived

NUM_ACTIONS = 18
"""Every game shares one policy head over ALE's 18 actions (XTRA's released code); a game uses the ids it understands."""

ACTION_NAMES = (
    "NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT", "UPFIRE",
    "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE",
)  # fmt: skip

ALL = tuple(range(NUM_ACTIONS))

ActionSpaceName = Literal["game", "ale18"]


@dataclass(frozen=True)
class Game:
    """A game: its name in suites, the family that implements it, and the ids (of 18) it understands, in ascending order."""

    name: str
    family: str
    action_ids: tuple[int, ...]


def _games() -> Mapping[str, Game]:
    return {
        game: Game(game, family.name, action_ids) for family in FAMILIES.values() for game, action_ids in family.games.items()
    }


GAMES: Mapping[str, Game] = Derived(_games)
"""Every family's games by name, without their flavours."""


@cache
def find_game(name: str) -> Game:
    """The game of that name, which may be a flavour of one. Raises UnknownGame; suites check names before."""
    base = name.partition("@")[0]
    for family in FAMILIES.values():
        if base in family.games:
            if base != name and family.check_flavour is None:
                raise UnknownGame(
                    f"{base} has no flavours", f"write {base}; flavours are modes and difficulties of Atari's games"
                )
            if base != name and family.check_flavour is not None:
                family.check_flavour(name)
            return Game(name, family.name, family.games[base])
    raise UnknownGame(f"unknown game {base!r}")


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
        understands some, so that games share one policy head (XTRA's)."""
        action_ids = find_game(game).action_ids
        return ActionSpace(action_ids, tuple(range(len(action_ids)))) if name == "game" else ActionSpace(ALL, action_ids)

    @property
    def size(self) -> int:
        """The number of indices."""
        return len(self.ids)

    def to_ids(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Indices `[...]` to ids `[...]`."""
        return np.array(self.ids)[indices]

    def to_indices(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids `[...]` to indices `[...]`. Raises ValueError for an id that is not among them."""
        index_of_id = np.full(NUM_ACTIONS, -1)
        index_of_id[list(self.ids)] = np.arange(self.size)
        indices: NDArray[np.int64] = index_of_id[ids]
        if (indices < 0).any():
            raise ValueError(f"actions {sorted(set(ids[indices < 0].tolist()))} are not among {list(self.ids)}")
        return indices
