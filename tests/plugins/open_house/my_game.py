"""A game of one file: two lamps, of which one is lit; the button below it is rewarded."""

import numpy as np
from numpy.typing import NDArray

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import EmulatorStep, Frames, Mask, to_frames
from xtra.protocol.families import Family, Protocol, multiple_of

RIGHT, LEFT = 3, 4
STEPS = 8

FAMILY = Family(
    name="lamps",
    games={"Lamps": (RIGHT, LEFT)},
    emulators="my_game:LampEmulators",
    protocols=(Protocol("lamps", "lamps", "Two lamps, eight steps.", {"training.env_steps": 2_000}),),
    frame_problem=multiple_of(10),
    ends_by_itself=True,
)


class LampEmulators:
    """N pairs of lamps. The seed says which of each pair is lit, step by step."""

    def __init__(self, config: EnvironmentConfig, num_envs: int) -> None:
        self.num_envs = num_envs
        self._config = config
        self._lit = np.zeros((num_envs, STEPS), np.int64)
        self._steps = np.zeros(num_envs, np.int64)

    def reset(self, mask: Mask, seeds: NDArray[np.int64]) -> Frames:
        """Draws the lamps of the masked pairs."""
        for env in np.flatnonzero(mask):
            self._lit[env] = np.random.default_rng(int(seeds[env])).integers(2, size=STEPS)
            self._steps[env] = 0
        return self._draw()

    def step(self, action_ids: NDArray[np.int64]) -> EmulatorStep:
        """Rewards the button below the lamp, then lights the next."""
        rewards = (np.where(action_ids == RIGHT, 1, 0) == self._now()).astype(np.float32)
        self._steps += 1
        return EmulatorStep(self._draw(), rewards, np.zeros(self.num_envs, np.bool_), self._steps >= STEPS)

    def _now(self) -> NDArray[np.int64]:
        lit: NDArray[np.int64] = self._lit[np.arange(self.num_envs), self._steps % STEPS]
        return lit

    def _draw(self) -> Frames:
        pictures = np.full((self.num_envs, 10, 10, 3), 30, np.uint8)
        for env, lamp in enumerate(self._now()):
            pictures[env, 2:6, 5 * lamp : 5 * lamp + 5] = 255
        return to_frames(pictures, self._config)
