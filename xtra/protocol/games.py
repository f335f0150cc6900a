"""The games a suite may name, and the actions each one understands.

Pure data, so that a suite can be checked without an emulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xtra.protocol.atari import ALL, ATARI_ACTION_IDS, UnknownFlavour, parse_flavour

NUM_ACTIONS = 18
"""Every game shares one policy head over ALE's 18 actions (XTRA's released code); a game uses the ids it understands."""

ACTION_NAMES = (
    "NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT", "UPFIRE",
    "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE",
)  # fmt: skip

ActionSpaceName = Literal["game", "ale18"]


Family = Literal["atari", "catch", "minatar"]
"""Games that one class of `xtra.envs` implements, and that the same protocols measure."""


@dataclass(frozen=True)
class Game:
    """A game: its name in suites, the family that implements it, and the ids (of 18) it understands, in ascending order."""

    name: str
    family: Family
    action_ids: tuple[int, ...]


CATCH_ACTION_IDS = (0, 3, 4)
"""NOOP, RIGHT, LEFT: the built-in games speak Atari's ids, so that they share the 18-action head."""

CATCH_GAMES = (
    "Catch", "CatchInverted", "CatchSlow", "CatchFast", "CatchMirrored", "CatchRising", "CatchWide", "CatchNegated",
)  # fmt: skip
"""The built-in game and its variants, each another in one rule; `xtra.envs.catch` tells which."""

MINATAR_ACTION_IDS: dict[str, tuple[int, ...]] = {
    "MinAtarAsterix": (0, 2, 3, 4, 5),
    "MinAtarBreakout": (0, 3, 4),
    "MinAtarFreeway": (0, 2, 5),
    "MinAtarSeaquest": (0, 1, 2, 3, 4, 5),
    "MinAtarSpaceInvaders": (0, 1, 3, 4),
}
"""MinAtar's minimal action sets as ALE's ids: minimal as for Atari, and as in the versions `-v1` of MinAtar's own games."""

GAMES: dict[str, Game] = {name: Game(name, "atari", ids) for name, ids in ATARI_ACTION_IDS.items()}
GAMES |= {name: Game(name, "catch", CATCH_ACTION_IDS) for name in CATCH_GAMES}
GAMES |= {name: Game(name, "minatar", ids) for name, ids in MINATAR_ACTION_IDS.items()}


class UnknownGame(ValueError):
    """A name that no game has. remedy: what to write instead, as far as that is known; else empty."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


@cache
def find_game(name: str) -> Game:
    """The game of that name: one of `GAMES`, or a flavour of an Atari game. Raises UnknownGame; suites check names before."""
    if name in GAMES:
        return GAMES[name]
    base = name.partition("@")[0]
    if base == name or base not in GAMES:
        raise UnknownGame(f"unknown game {base!r}")
    if GAMES[base].family != "atari":
        raise UnknownGame(f"{base} has no flavours", f"write {base}; flavours are modes and difficulties of Atari's games")
    try:
        parse_flavour(name)
    except UnknownFlavour as error:
        raise UnknownGame(str(error), error.remedy) from None
    return Game(name, "atari", GAMES[base].action_ids)


def is_game(name: str) -> bool:
    """Whether a game has that name."""
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
