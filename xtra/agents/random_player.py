"""Acts uniformly at random over the game's valid actions: the reference that every score must beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xtra.protocol.games import GAMES
from xtra.rng import stream


class RandomPlayer:
    """Its draws are a function of (seed, env step), so an evaluation is repeatable."""

    frame_stack = 1

    def __init__(self, game: str, seed: int) -> None:
        self._valid = np.array(GAMES[game].action_ids)
        self._seed = seed

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """One valid action id per environment."""
        return stream(self._seed, "random-player", env_step).choice(self._valid, len(stacks))
