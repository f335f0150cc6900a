"""Atari's games: the actions that each understands, its modes and its difficulties, and the names of its flavours.

Pure data. Action sets are ale-py 0.12's minimal ones, modes and difficulties those it lists; tests compare them with the
emulator, and the action sets with the table of the 45 games in XTRA's released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xtra.protocol.families import Family, Protocol, UnknownGame

ALL = tuple(range(18))

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

FLAVOURS: dict[str, tuple[Sequence[int], Sequence[int]]] = {
    "Adventure": (range(3), range(4)),
    "AirRaid": (range(1, 9), (0,)),
    "Alien": (range(4), range(4)),
    "Amidar": ((0,), (0, 3)),
    "Asteroids": ((*range(32), 128), (0, 3)),
    "Atlantis": (range(4), (0,)),
    "Backgammon": ((0,), (3,)),
    "BankHeist": (range(0, 29, 4), range(4)),
    "BasicMath": (range(5, 9), (0, 2, 3)),
    "BattleZone": (range(1, 4), (0,)),
    "BeamRider": ((0,), (0, 1)),
    "Berzerk": ((*range(1, 10), 16, 17, 18), (0,)),
    "Blackjack": ((0,), range(4)),
    "Bowling": (range(0, 5, 2), (0, 1)),
    "Boxing": ((0,), range(4)),
    "Breakout": (range(0, 45, 4), (0, 1)),
    "Casino": ((0, 2, 3), range(4)),
    "Centipede": ((22, 86), (0,)),
    "ChopperCommand": ((0, 2), (0, 1)),
    "CrazyClimber": (range(4), (0, 1)),
    "Crossbow": (range(0, 7, 2), (0, 1)),
    "Defender": ((*range(1, 10), 16), (0, 1)),
    "DemonAttack": (range(1, 8, 2), (0, 1)),
    "DoubleDunk": (range(16), (0,)),
    "Entombed": ((0,), (0, 2)),
    "Et": (range(3), range(4)),
    "FishingDerby": ((0,), range(4)),
    "FlagCapture": (range(8, 11), (0,)),
    "Freeway": (range(8), (0, 1)),
    "Frogger": (range(3), (0, 1)),
    "Frostbite": ((0, 2), (0,)),
    "Galaxian": (range(1, 10), (0, 1)),
    "Gopher": ((0, 2), (0, 1)),
    "Gravitar": (range(5), (0,)),
    "Hangman": (range(4), (0, 1)),
    "HauntedHouse": (range(9), (0, 1)),
    "Hero": (range(5), (0,)),
    "HumanCannonball": (range(8), (0, 1)),
    "IceHockey": ((0, 2), range(4)),
    "Jamesbond": ((0, 1), (0,)),
    "JourneyEscape": ((0,), (0, 1)),
    "Kangaroo": ((0, 1), (0,)),
    "KingKong": (range(4), (0,)),
    "Klax": (range(3), (0,)),
    "LostLuggage": ((0, 1), (0, 1)),
    "MarioBros": (range(0, 7, 2), (0,)),
    "MiniatureGolf": ((0,), (0, 1)),
    "MrDo": (range(4), (0,)),
    "MsPacman": (range(4), (0,)),
    "NameThisGame": ((8, 24, 40), (0, 1)),
    "Othello": (range(3), (0, 2)),
    "Pacman": (range(8), (0, 1)),
    "Pong": ((0, 1), range(4)),
    "Pooyan": ((10, 30, 50, 70), (0,)),
    "PrivateEye": (range(5), range(4)),
    "Qbert": ((0,), (0, 1)),
    "Riverraid": ((0,), (0, 1)),
    "Seaquest": ((0,), (0, 1)),
    "SpaceInvaders": (range(16), (0, 1)),
    "SpaceWar": (range(6, 18), (0,)),
    "StarGunner": (range(4), (0,)),
    "Superman": ((0,), range(4)),
    "Surround": ((0, 2), range(4)),
    "Tennis": ((0, 2), range(4)),
    "TicTacToe3D": (range(9), (0, 2)),
    "TimePilot": ((0,), range(3)),
    "Trondead": ((0,), (0, 1)),
    "Turmoil": (range(9), (0,)),
    "Tutankham": (range(0, 13, 4), (0,)),
    "UpNDown": ((0,), range(4)),
    "Venture": ((0,), range(4)),
    "VideoCheckers": ((*range(1, 10), *range(11, 20)), (0,)),
    "VideoChess": (range(5), (0,)),
    "VideoCube": (tuple(100 * cube + rule for cube in range(51) for rule in range(3)), (0, 1)),
    "VideoPinball": ((0, 2), (0, 1)),
    "WizardOfWor": ((0,), (0, 1)),
    "WordZapper": (range(24), range(4)),
    "YarsRevenge": (range(0, 97, 32), (0, 1)),
    "Zaxxon": (range(0, 25, 8), (0,)),
}
"""The modes and the difficulties of the games that have others than mode 0 and difficulty 0. A game starts in its first mode and,
even where that is not listed, in difficulty 0."""

_SETTINGS = ("mode", "difficulty")


@dataclass(frozen=True)
class Flavour:
    """A game of the console in one of its modes and difficulties (Machado et al., 2018), as ale-py numbers them."""

    game: str
    mode: int
    difficulty: int

    @property
    def is_default(self) -> bool:
        """True if the game's plain name stands for it."""
        return self == default_flavour(self.game)

    @property
    def name(self) -> str:
        """Its one name in suites: settings that are the default are left out, the mode stands first."""
        plain = default_flavour(self.game)
        settings = [f"{key}={getattr(self, key)}" for key in _SETTINGS if getattr(self, key) != getattr(plain, key)]
        return "@".join([self.game, ",".join(settings)]) if settings else self.game


def default_flavour(game: str) -> Flavour:
    """Returns the flavour that an Atari game's plain name stands for."""
    return Flavour(game, flavours_of(game)["mode"][0], 0)


def flavours_of(game: str) -> dict[str, tuple[int, ...]]:
    """Returns the modes and the difficulties that an Atari game has."""
    modes, difficulties = FLAVOURS.get(game, ((0,), (0,)))
    return {"mode": tuple(modes), "difficulty": tuple(difficulties)}


def parse_flavour(name: str) -> Flavour:
    """Parses the name of an Atari game, or of a flavour of one: `Breakout`, `Breakout@mode=12`, `Breakout@mode=12,difficulty=1`.

    Raises UnknownGame.
    """
    game, at, text = name.partition("@")
    flavour = default_flavour(game)
    if not at:
        return flavour
    choices = flavours_of(game)
    settings: dict[str, int] = {}
    for part in text.split(","):
        key, _, value = (word.strip() for word in part.partition("="))
        if key not in _SETTINGS or key in settings:
            raise UnknownGame(f"{name!r} is not a flavour's name", f"write {game}@mode=M,difficulty=D; {_described(game)}")
        if not value.isdecimal() or int(value) not in {*choices[key], getattr(flavour, key)}:
            raise UnknownGame(f"{game} has no {key} {value or 'of that name'}", _described(game))
        settings[key] = int(value)
    flavour = Flavour(game, **{"mode": flavour.mode, "difficulty": flavour.difficulty} | settings)
    if name != flavour.name:
        raise UnknownGame(f"{name!r} is called {flavour.name}", "a game has one name: defaults left out, the mode first")
    return flavour


def _described(game: str) -> str:
    """Describes the modes and difficulties of a game in words."""
    modes, difficulties = (", ".join(map(str, values)) for values in flavours_of(game).values())
    return f"modes of {game}: {modes}; difficulties: {difficulties}"


SCREEN_WIDTH = 160
"""Pixels of a screen's rows. Flavours are made smaller, never larger."""


def _frame_problem(game: str, frame_size: int) -> str | None:
    if "@" in game and frame_size > SCREEN_WIDTH:
        return f"{game} is shown on at most {SCREEN_WIDTH} pixels"
    return None


def _check_flavour(name: str) -> None:
    parse_flavour(name)


_ATARI_100K = {
    "environment.frame_skip": 4,
    "environment.noop_max": 30,
    "environment.repeat_action_probability": 0.0,
    "environment.life_loss_terminal": True,
    "environment.max_episode_env_steps": 27_000,
    "training.env_steps": 100_000,
    "evaluation.num_episodes": 32,
    "evaluation.max_episode_env_steps": 27_000,
}

ATARI_100K = Protocol(
    name="atari100k",
    family="atari",
    summary="Atari 100k as EfficientZero and XTRA ran it: 100,000 env steps (400,000 frames), no sticky actions, 32 whole games.",
    settings=_ATARI_100K,
)
ATARI_100K_STICKY = Protocol(
    name="atari100k-sticky",
    family="atari",
    summary="Atari 100k with the sticky actions of Machado et al. (2018): each frame repeats the last action with chance 0.25.",
    settings=_ATARI_100K | {"environment.repeat_action_probability": 0.25},
)
ATARI_20K = Protocol(
    name="atari20k",
    family="atari",
    summary="The first fifth of Atari 100k: 20,000 env steps (80,000 frames), scored alike: what one core can train in.",
    settings=_ATARI_100K | {"training.env_steps": 20_000},
)
ATARI_SMOKE = Protocol(
    name="atari-smoke",
    family="atari",
    summary="A few hundred env steps of real Atari, evaluated on 4 episodes cut at 400 env steps: proves wiring, not learning.",
    settings=_ATARI_100K
    | {
        "environment.max_episode_env_steps": 400,
        "training.env_steps": 240,
        "evaluation.num_episodes": 4,
        "evaluation.max_episode_env_steps": 400,
    },
    proves="wiring",
)
FAMILY = Family(
    name="atari",
    games=ATARI_ACTION_IDS,
    emulators="xtra.envs.atari:make_atari",
    protocols=(ATARI_100K, ATARI_100K_STICKY, ATARI_20K, ATARI_SMOKE),
    frame_problem=_frame_problem,
    check_flavour=_check_flavour,
    example="Breakout@mode=12",
)
