"""Catch: built-in pixel games that an agent learns in a minute, for tests, for trying things out and for studies of transfer.

The plain game has bsuite's rules (Osband et al., 2020): on a board of 10 rows and 5 columns a ball falls one row per step from a
random column; a paddle on the bottom row, starting in the middle, moves left, right or stays. When the ball arrives the episode
ends: +1 if the paddle is under it, else -1. A column is two pixels wide, so that the picture is a square of 10x10 or a multiple.

Every variant changes one rule. CatchInverted and CatchNegated share the dynamics of the plain game; in the others the ball, the
paddle or the board behaves differently. In all of them perfect play returns 1, and the ball's column is drawn independently of
the paddle: a random agent returns -0.6 (0.6 where rewards are negated).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xtra.envs.config import CELLS, EnvironmentConfig
from xtra.envs.vector import EmulatorStep, Frames, Mask, to_frames

LAST_ROW = CELLS - 1
RIGHT, LEFT = 3, 4
"""ALE's action ids; every other id leaves the paddle where it is."""

Color = tuple[int, int, int]
WHITE, BLUE, BLACK = (255, 255, 255), (80, 160, 255), (0, 0, 0)


@dataclass(frozen=True)
class CatchRules:
    """One game of the family. columns: the board's, a divisor of 10. paddle_columns: the paddle's width. rows_per_step: the
    ball's speed. columns_per_right: where RIGHT moves the paddle; LEFT is its opposite. reward_for_catching: a miss costs as
    much."""

    ball: Color = WHITE
    paddle: Color = BLUE
    board: Color = BLACK
    columns: int = 5
    paddle_columns: int = 1
    rows_per_step: float = 1.0
    rising: bool = False
    columns_per_right: int = 1
    reward_for_catching: float = 1.0


CATCH_RULES: dict[str, CatchRules] = {
    "Catch": CatchRules(),
    # Another picture of the same game: a dark red ball and a green paddle on a light board.
    "CatchInverted": CatchRules(ball=(120, 0, 0), paddle=(0, 100, 40), board=(230, 220, 200)),
    # The ball falls one row every two steps: 18 steps an episode.
    "CatchSlow": CatchRules(rows_per_step=0.5),
    # The ball falls two rows per step: 5 steps an episode.
    "CatchFast": CatchRules(rows_per_step=2.0),
    # LEFT moves the paddle right, and RIGHT left.
    "CatchMirrored": CatchRules(columns_per_right=-1),
    # The ball rises from the bottom row to a paddle on the top row.
    "CatchRising": CatchRules(rising=True),
    # A board of 10 columns, one pixel each, and a paddle of two.
    "CatchWide": CatchRules(columns=10, paddle_columns=2),
    # The same game for an agent that wants the opposite: -1 for catching the ball, +1 for missing it.
    "CatchNegated": CatchRules(reward_for_catching=-1.0),
}


class CatchEmulators:
    """N boards. The seed of a game gives the column of its ball."""

    def __init__(self, config: EnvironmentConfig, num_envs: int) -> None:
        self.num_envs = num_envs
        self._config = config
        self._rules = CATCH_RULES[config.game]
        self._steps, self._ball, self._paddle = (np.zeros(num_envs, np.int64) for _ in range(3))

    def reset(self, mask: Mask, seeds: NDArray[np.int64]) -> Frames:
        """Puts a new ball, in the column that its seed `[N]` gives, on each masked board `[N]`; returns frames `[N, H, W, C]`."""
        columns = self._rules.columns
        for env in np.flatnonzero(mask):
            self._steps[env], self._paddle[env] = 0, (columns - self._rules.paddle_columns) // 2
            self._ball[env] = np.random.Generator(np.random.Philox(int(seeds[env]))).integers(columns)
        return self._draw()

    def step(self, action_ids: NDArray[np.int64]) -> EmulatorStep:
        """Moves the paddles by the action ids `[N]`, then the balls."""
        rules = self._rules
        rights = (action_ids == RIGHT).astype(np.int64) - (action_ids == LEFT)
        self._paddle = np.clip(self._paddle + rights * rules.columns_per_right, 0, rules.columns - rules.paddle_columns)
        self._steps += 1
        landed = self._fallen() == LAST_ROW
        caught = (self._ball >= self._paddle) & (self._ball < self._paddle + rules.paddle_columns)
        rewards = np.where(landed, np.where(caught, 1.0, -1.0) * rules.reward_for_catching, 0.0).astype(np.float32)
        return EmulatorStep(self._draw(), rewards, np.zeros(self.num_envs, np.bool_), landed)

    def _fallen(self) -> NDArray[np.int64]:
        """Returns how many rows each ball has left behind, `[N]`: it stops at the paddle's."""
        return np.minimum((self._steps * self._rules.rows_per_step).astype(np.int64), LAST_ROW)

    def _draw(self) -> Frames:
        rules, every = self._rules, np.arange(self.num_envs)
        board = np.full((self.num_envs, CELLS, rules.columns, 3), rules.board, np.uint8)
        for column in range(rules.paddle_columns):
            board[every, LAST_ROW, self._paddle + column] = rules.paddle
        board[every, self._fallen(), self._ball] = rules.ball
        if rules.rising:
            board = board[:, ::-1]
        return to_frames(board.repeat(CELLS // rules.columns, axis=2), self._config)
