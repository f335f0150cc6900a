"""Settings of an environment: how a game is shown to an agent and cut into episodes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from xtra.config import Config
from xtra.protocol.families import FAMILIES
from xtra.protocol.games import find_game, is_game

VIEW = ("frame_size", "color")
"""Settings that change what a game looks like, not its course."""

CELLS = 10
"""Rows, and columns, of the picture of a game that we draw ourselves."""


class EnvironmentConfig(Config):
    """One game's environment. The defaults are EfficientZero's Atari preprocessing (its released code); the cap on training
    episodes is XTRA's."""

    game: str = ""
    """The game's name, as `xtra.protocol.games` lists it; the planner fills it in for each run."""
    frame_size: int = Field(96, ge=8, le=210)
    """Height and width of a frame in pixels, area-interpolated. EfficientZero: 96; preset `small`: 48; built-in games: 10; CURL:
    84 (its code interpolates bilinearly)."""
    color: Literal["rgb", "gray"] = "rgb"
    """Three channels, or one: the luminance. EfficientZero: rgb; CURL: gray. The course of a game is the same in both."""
    frame_skip: int = Field(4, ge=1, le=16)
    """Atari only: emulator frames per env step, the last two max-pooled. EfficientZero: 4."""
    noop_max: int = Field(30, ge=0, le=255)
    """Atari only: each episode starts with 0 to this minus 1 no-ops, as ale-py draws their number. EfficientZero: 30."""
    repeat_action_probability: float = Field(0.0, ge=0.0, lt=1.0)
    """Sticky actions: the chance per emulator frame that the previous action is repeated. Atari 100k: 0; its sticky variant:
    0.25; MinAtar: 0.1; Catch has none."""
    life_loss_terminal: bool = True
    """Losing a life ends the training trajectory (the game itself goes on). EfficientZero: yes. Never used in evaluation."""
    max_episode_env_steps: int = Field(27_000, ge=1)
    """Episodes are cut after this many env steps in training. XTRA's code: 27,000 (108,000 frames); EfficientZero's code:
    3,000."""

    @model_validator(mode="after")
    def _frames_fit_the_picture(self) -> Self:
        if is_game(self.game):
            problem = FAMILIES[find_game(self.game).family].frame_problem(self.game, self.frame_size)
            if problem is not None:
                raise ValueError(f"environment.frame_size is {self.frame_size}; {problem}")
        return self
