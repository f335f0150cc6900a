"""The games a suite may name, and the actions each one understands.

Pure data, so that a suite can be checked without an emulator. The Atari sets are ale-py 0.12's minimal action sets; a test
compares them with the emulator, and with the table of the 45 games in XTRA's released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

NUM_ACTIONS = 18
"""Every game shares one policy head over ALE's 18 actions (XTRA's released code); a game uses the ids it understands."""

ACTION_NAMES = (
    "NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT", "UPFIRE",
    "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE",
)  # fmt: skip

ALL = tuple(range(NUM_ACTIONS))


ActionSpaceName = Literal["game", "ale18"]


Family = Literal["atari", "catch", "minatar"]
"""Games that one class of `xtra.envs` implements, and that the same protocols measure."""


@dataclass(frozen=True)
class Game:
    """A game: its name in suites, the family that implements it, and the ids (of 18) it understands, in ascending order."""

    name: str
    family: Family
    action_ids: tuple[int, ...]


ATARI_ACTION_IDS: dict[str, tuple[int, ...]] = {
    "Adventure": ALL,
    "AirRaid": (0, 1, 3, 4, 11, 12),
    "Alien": ALL,
    "Amidar": (0, 1, 2, 3, 4, 5, 10, 11, 12, 13),
    "Assault": (0, 1, 2, 3, 4, 11, 12),
    "Asterix": (0, 2, 3, 4, 5, 6, 7, 8, 9),
    "Asteroids": (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15),
    "Atlantis": (0, 1, 11, 12),
    "Atlantis2": (0, 1, 11, 12),
    "Backgammon": (1, 3, 4),
    "BankHeist": ALL,
    "BasicMath": (0, 1, 2, 3, 4, 5),
    "BattleZone": ALL,
    "BeamRider": (0, 1, 2, 3, 4, 6, 7, 11, 12),
    "Berzerk": ALL,
    "Blackjack": (0, 1, 2, 5),
    "Bowling": (0, 1, 2, 5, 10, 13),
    "Boxing": ALL,
    "Breakout": (0, 1, 3, 4),
    "Carnival": (0, 1, 3, 4, 11, 12),
    "Casino": (0, 1, 2, 5),
    "Centipede": ALL,
    "ChopperCommand": ALL,
    "CrazyClimber": (0, 2, 3, 4, 5, 6, 7, 8, 9),
    "Crossbow": ALL,
    "Darkchambers": ALL,
    "Defender": ALL,
    "DemonAttack": (0, 1, 3, 4, 11, 12),
    "DonkeyKong": ALL,
    "DoubleDunk": ALL,
    "Earthworld": ALL,
    "ElevatorAction": ALL,
    "Enduro": (0, 1, 3, 4, 5, 8, 9, 11, 12),
    "Entombed": ALL,
    "Et": ALL,
    "FishingDerby": ALL,
    "FlagCapture": ALL,
    "Freeway": (0, 2, 5),
    "Frogger": (0, 2, 3, 4, 5),
    "Frostbite": ALL,
    "Galaxian": (0, 1, 3, 4, 11, 12),
    "Gopher": (0, 1, 2, 3, 4, 10, 11, 12),
    "Gravitar": ALL,
    "Hangman": ALL,
    "HauntedHouse": ALL,
    "Hero": ALL,
    "HumanCannonball": ALL,
    "IceHockey": ALL,
    "Jamesbond": ALL,
    "JourneyEscape": (0, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17),
    "Kaboom": (0, 1, 3, 4),
    "Kangaroo": ALL,
    "KeystoneKapers": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
    "KingKong": (0, 1, 2, 3, 4, 5),
    "Klax": ALL,
    "Koolaid": (0, 2, 3, 4, 5, 6, 7, 8, 9),
    "Krull": ALL,
    "KungFuMaster": (0, 2, 3, 4, 5, 8, 9, 11, 12, 13, 14, 15, 16, 17),
    "LaserGates": ALL,
    "LostLuggage": (0, 2, 3, 4, 5, 6, 7, 8, 9),
    "MarioBros": ALL,
    "MiniatureGolf": ALL,
    "MontezumaRevenge": ALL,
    "MrDo": (0, 1, 2, 3, 4, 5, 10, 11, 12, 13),
    "MsPacman": (0, 2, 3, 4, 5, 6, 7, 8, 9),
    "NameThisGame": (0, 1, 3, 4, 11, 12),
    "Othello": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    "Pacman": (0, 2, 3, 4, 5),
    "Phoenix": (0, 1, 3, 4, 5, 11, 12, 13),
    "Pitfall": ALL,
    "Pitfall2": ALL,
    "Pong": (0, 1, 3, 4, 11, 12),
    "Pooyan": (0, 1, 2, 5, 10, 13),
    "PrivateEye": ALL,
    "Qbert": (0, 1, 2, 3, 4, 5),
    "Riverraid": ALL,
    "RoadRunner": ALL,
    "Robotank": ALL,
    "Seaquest": ALL,
    "SirLancelot": (0, 1, 3, 4, 11, 12),
    "Skiing": (0, 3, 4),
    "Solaris": ALL,
    "SpaceInvaders": (0, 1, 3, 4, 11, 12),
    "SpaceWar": ALL,
    "StarGunner": ALL,
    "Superman": ALL,
    "Surround": (0, 2, 3, 4, 5),
    "Tennis": ALL,
    "Tetris": (0, 1, 3, 4, 5),
    "TicTacToe3D": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    "TimePilot": (0, 1, 2, 3, 4, 5, 10, 11, 12, 13),
    "Trondead": ALL,
    "Turmoil": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12),
    "Tutankham": (0, 2, 3, 4, 5, 10, 11, 12),
    "UpNDown": (0, 1, 2, 5, 10, 13),
    "Venture": ALL,
    "VideoCheckers": (1, 6, 7, 8, 9),
    "VideoChess": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    "VideoCube": ALL,
    "VideoPinball": (0, 1, 2, 3, 4, 5, 10, 11, 12),
    "WizardOfWor": (0, 1, 2, 3, 4, 5, 10, 11, 12, 13),
    "WordZapper": ALL,
    "YarsRevenge": ALL,
    "Zaxxon": ALL,
}

XTRA_GAMES = (
    "Alien", "Amidar", "Assault", "Asterix", "Atlantis", "BankHeist", "BattleZone", "BeamRider", "Boxing", "Breakout",
    "Carnival", "Centipede", "ChopperCommand", "CrazyClimber", "DemonAttack", "DoubleDunk", "Enduro", "FishingDerby",
    "Freeway", "Frostbite", "Gopher", "Gravitar", "Hero", "IceHockey", "Jamesbond", "Kangaroo", "Krull", "KungFuMaster",
    "MsPacman", "NameThisGame", "Phoenix", "Pong", "Pooyan", "PrivateEye", "Qbert", "Riverraid", "RoadRunner",
    "Robotank", "Seaquest", "TimePilot", "UpNDown", "VideoPinball", "WizardOfWor", "YarsRevenge", "Zaxxon",
)  # fmt: skip
"""The 45 games of the table in XTRA's released code: the 26 of Atari 100k and 19 more."""

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


def game(name: str) -> Game:
    """The game of that name. Raises KeyError for an unknown one; suites check names before."""
    return GAMES[name]


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
        action_ids = GAMES[game].action_ids
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
