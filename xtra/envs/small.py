"""Catch: a built-in pixel game that an agent learns in a minute, for tests and for trying things out.

bsuite's rules (Osband et al., 2020): on a board of 10 rows and 5 columns a ball falls one row per step from a random column; a
paddle on the bottom row, starting in the middle, moves left, right or stays. When the ball arrives the episode ends: +1 if the
paddle is under it, else -1. A column is two pixels wide, so that the picture is a square of 10x10 or a multiple.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import EmulatorStep, Frames, Mask

ROWS, COLUMNS, COLUMN_WIDTH = 10, 5, 2
RIGHT, LEFT = 3, 4
"""ALE's action ids; every other id leaves the paddle where it is."""
BALL_COLOR = (255, 255, 255)
PADDLE_COLOR = (80, 160, 255)


class CatchEmulators:
    """N boards. The seed of a game gives the column of its ball."""

    def __init__(self, config: EnvironmentConfig, num_envs: int) -> None:
        if config.frame_size % ROWS:
            raise ValueError(f"environment.frame_size: Catch is drawn on a multiple of {ROWS} pixels, not {config.frame_size}")
        self.num_envs = num_envs
        self._scale = config.frame_size // ROWS
        self._row, self._ball, self._paddle = (np.zeros(num_envs, np.int64) for _ in range(3))

    def reset(self, mask: Mask, seeds: NDArray[np.int64]) -> Frames:
        """New balls on the masked boards."""
        for env in np.flatnonzero(mask):
            self._row[env], self._paddle[env] = 0, COLUMNS // 2
            self._ball[env] = np.random.Generator(np.random.Philox(int(seeds[env]))).integers(COLUMNS)
        return self._draw()

    def step(self, action_ids: NDArray[np.int64]) -> EmulatorStep:
        """The paddle moves, then the ball falls by one row."""
        move = (action_ids == RIGHT).astype(np.int64) - (action_ids == LEFT)
        self._paddle = np.clip(self._paddle + move, 0, COLUMNS - 1)
        self._row = np.minimum(self._row + 1, ROWS - 1)
        landed = self._row == ROWS - 1
        rewards = np.where(landed, np.where(self._ball == self._paddle, 1.0, -1.0), 0.0).astype(np.float32)
        return EmulatorStep(self._draw(), rewards, np.zeros(self.num_envs, np.bool_), landed)

    def _draw(self) -> Frames:
        board = np.zeros((self.num_envs, ROWS, COLUMNS, 3), np.uint8)
        every = np.arange(self.num_envs)
        board[every, ROWS - 1, self._paddle] = PADDLE_COLOR
        board[every, self._row, self._ball] = BALL_COLOR
        return board.repeat(self._scale, axis=1).repeat(COLUMN_WIDTH * self._scale, axis=2)
