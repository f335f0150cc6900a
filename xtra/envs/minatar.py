"""MinAtar's games (Young and Tian, 2019) drawn in colours, so that they share an agent's input with one another and with Catch.

The rules, the random numbers and the sticky actions are those of the package `minatar`, which the extra of that name installs.
It gives a stack of channels, one per kind of thing; we give every kind a colour and a cell the mean of what is in it. So nothing
is lost: no two cells with up to three things look alike. Difficulty ramps up, as it does by default there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xtra.envs.config import CELLS, EnvironmentConfig
from xtra.envs.vector import EmulatorStep, Frames, Mask, to_frames

MODULES = {
    "MinAtarAsterix": "asterix",
    "MinAtarBreakout": "breakout",
    "MinAtarFreeway": "freeway",
    "MinAtarSeaquest": "seaquest",
    "MinAtarSpaceInvaders": "space_invaders",
}
ACTIONS = {0: 0, 4: 1, 2: 2, 3: 3, 5: 4, 1: 5}
"""MinAtar's actions by ALE's ids: no-op, left, up, right, down, fire. Every other id is a no-op."""

WHITE, YELLOW, GREEN, RED = (255, 255, 255), (255, 225, 50), (60, 210, 90), (225, 50, 50)
COLORS = {
    **dict.fromkeys(("player", "paddle", "cannon", "chicken", "sub_front"), WHITE),
    "sub_back": (130, 165, 200),
    **dict.fromkeys(("ball", "friendly_bullet"), YELLOW),
    **dict.fromkeys(("brick", "gold", "diver"), GREEN),
    **dict.fromkeys(("enemy", "alien", "car", "enemy_fish"), RED),
    "enemy_sub": (150, 30, 190),
    "enemy_bullet": (255, 120, 200),
    "trail": (45, 45, 45),
    # The next two lie over an alien, and change its colour.
    "alien_left": (240, 170, 20),
    "alien_right": (40, 90, 240),
    # Where a car comes from: the brighter, the faster.
    "speed1": (120, 200, 255),
    "speed2": (60, 140, 230),
    "speed3": (100, 80, 200),
    "speed4": (40, 40, 140),
    "speed5": (10, 40, 30),
    "oxygen_guage": (20, 60, 230),
    "diver_guage": (20, 190, 200),
}
"""Red, green and blue of each of MinAtar's channels, by the package's names for them. Alike things of two games look alike."""


class MinAtarEmulators:
    """N copies of one of MinAtar's games."""

    def __init__(self, config: EnvironmentConfig, num_envs: int) -> None:
        environment = _environment_class()
        self.num_envs = num_envs
        self._config = config
        self._games = [
            environment(MODULES[config.game], sticky_action_prob=config.repeat_action_probability) for _ in range(num_envs)
        ]
        self._palette = palette(self._games[0].env.channels)
        self._pictures = np.zeros((num_envs, CELLS, CELLS, 3), np.uint8)

    def reset(self, mask: Mask, seeds: NDArray[np.int64]) -> Frames:
        """Starts new games in the masked copies `[N]`, each from its seed `[N]`; returns frames `[N, H, W, C]`."""
        envs = np.flatnonzero(mask)
        for env in envs:
            game = self._games[env]
            game.seed(int(seeds[env]))
            game.last_action = 0  # MinAtar itself lets a sticky action of the last episode reach into this one.
            game.reset()
        self._draw(envs)
        return to_frames(self._pictures, self._config)

    def step(self, action_ids: NDArray[np.int64]) -> EmulatorStep:
        """Takes one of MinAtar's steps in each copy, with the action ids `[N]`."""
        results = [game.act(ACTIONS.get(action, 0)) for game, action in zip(self._games, action_ids.tolist(), strict=True)]
        self._draw(np.arange(self.num_envs))
        rewards, game_over = (np.array(column) for column in zip(*results, strict=True))
        frames = to_frames(self._pictures, self._config)
        return EmulatorStep(frames, rewards.astype(np.float32), np.zeros(self.num_envs, np.bool_), game_over.astype(np.bool_))

    def _draw(self, envs: NDArray[np.int64]) -> None:
        self._pictures[envs] = blend(np.stack([self._games[env].state() for env in envs]), self._palette)


def palette(channels: dict[str, int]) -> NDArray[np.int64]:
    """Returns the colours `[channels, 3]` of a game whose channels have these names and indices."""
    return np.array([COLORS[name] for name in sorted(channels, key=channels.__getitem__)])


def blend(present: NDArray[np.bool_], colors: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Returns the colours `[..., 3]` of cells `[..., channels]`: the mean of the colours of what is present, black where nothing
    is."""
    count = np.maximum(present.sum(axis=-1, keepdims=True), 1)
    mean: NDArray[np.int64] = (present @ colors) // count
    return mean.astype(np.uint8)


def _environment_class() -> Any:
    try:
        # Imported here: it is optional, and draws in matplotlib and seaborn.
        from minatar import Environment
    except ModuleNotFoundError as error:
        remedy = "MinAtar's games need the extra `minatar`: pip install 'xtra-bench[minatar]'"
        raise ModuleNotFoundError(f"{remedy} ({error})", name=error.name) from None
    return Environment
