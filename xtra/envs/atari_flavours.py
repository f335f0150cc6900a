"""Atari games in modes and difficulties of their own, which ale-py's vector environment cannot choose.

Its preprocessing once more, emulator by emulator, so that the two show the same episodes to the bit (tests/envs): the maximum of
the last two frames, resized by area; lost lives; up to `noop_max` - 1 no-ops, drawn as its C++ library draws them; sticky
actions, which are the emulator's own.
"""

from __future__ import annotations

import ale_py
import numpy as np
from numpy.typing import NDArray

from xtra.envs._resize import AreaResize
from xtra.envs.atari import rom_path
from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import EmulatorStep, Frames, Mask
from xtra.protocol.atari import Flavour, parse_flavour

ACTIONS = [ale_py.Action(action_id) for action_id in range(18)]


class FlavourEmulators:
    """N copies of an Atari game in one of its modes and difficulties. Actions are ids of the full set of 18. Rewards are raw."""

    def __init__(self, config: EnvironmentConfig, num_envs: int) -> None:
        self.num_envs = num_envs
        flavour = parse_flavour(config.game)
        self._consoles = [Console(config, flavour) for _ in range(num_envs)]
        size, channels = config.frame_size, 3 if config.color == "rgb" else 1
        self._frames = np.zeros((num_envs, size, size, channels), np.uint8)

    def reset(self, mask: Mask, seeds: NDArray[np.int64]) -> Frames:
        """Restarts the masked copies `[N]`, each from its seed `[N]`; returns frames `[N, H, W, C]`."""
        for env in np.flatnonzero(mask):
            self._consoles[env].reset(int(seeds[env]), self._frames[env])
        return self._frames.copy()

    def step(self, action_ids: NDArray[np.int64]) -> EmulatorStep:
        """Takes one env step, `frame_skip` emulator frames or fewer where the game ends, with an action id for each copy
        `[N]`."""
        copies = zip(self._consoles, action_ids.tolist(), self._frames, strict=True)
        results = [console.step(action_id, frame) for console, action_id, frame in copies]
        rewards, life_lost, game_over = (np.array(column) for column in zip(*results, strict=True))
        return EmulatorStep(self._frames.copy(), rewards.astype(np.float32), life_lost, game_over)


class Console:
    """One emulator with a game in it."""

    def __init__(self, config: EnvironmentConfig, flavour: Flavour) -> None:
        self._flavour, self._rom = flavour, rom_path(flavour.game)
        self._frame_skip, self._noop_max = config.frame_skip, config.noop_max
        self._ale = ale_py.ALEInterface()
        self._ale.setFloat("repeat_action_probability", config.repeat_action_probability)
        self._ale.loadROM(self._rom)
        height, width = self._ale.getScreenDims()
        self._resize = AreaResize(height, width, config.frame_size)
        # The last frame but one of a step, and the last. Gray ones are filled without their last axis.
        self._screens = np.zeros((2, height, width, 3 if config.color == "rgb" else 1), np.uint8)
        self._read = self._ale.getScreenRGB if config.color == "rgb" else self._read_gray

    def reset(self, seed: int, frame: NDArray[np.uint8]) -> None:
        """Starts a game from its seed and writes what it shows to `frame` `[size, size, C]`."""
        ale = self._ale
        ale.setInt("random_seed", seed)
        ale.loadROM(self._rom)  # seeds the emulator
        ale.setMode(self._flavour.mode)
        if self._flavour.difficulty in ale.getAvailableDifficulties():  # 0, which consoles start in, is not always listed.
            ale.setDifficulty(self._flavour.difficulty)
        ale.reset_game()
        for _ in range(num_noops(seed, self._noop_max)):
            ale.act(ACTIONS[0])
            if ale.game_over():
                ale.reset_game()
        self._screens[0] = 0
        self._read(self._screens[1])
        self._resize(self._screens[1], frame)

    def step(self, action_id: int, frame: NDArray[np.uint8]) -> tuple[float, bool, bool]:
        """Takes one env step and writes what the game then shows to `frame` `[size, size, C]`. Returns the reward, whether a life
        was lost, and whether the game is over."""
        ale, action, lives = self._ale, ACTIONS[action_id], self._ale.lives()
        reward, game_over = 0, False
        for left in range(self._frame_skip - 1, -1, -1):
            reward += ale.act(action)
            game_over = ale.game_over()
            if game_over:  # The frame is that of the last step, but for what was read of this one.
                break
            if left < 2:
                self._read(self._screens[1 - left])
        np.maximum(self._screens[0], self._screens[1], out=self._screens[1])
        self._resize(self._screens[1], frame)
        return reward, not game_over and 0 < ale.lives() < lives, game_over

    def _read_gray(self, screen: NDArray[np.uint8]) -> None:
        self._ale.getScreenGrayscale(screen[:, :, 0])


def num_noops(seed: int, noop_max: int) -> int:
    """Draws the number of no-ops before the first step: uniform on 0 to `noop_max` - 1, as `std::uniform_int_distribution` of
    GNU's C++ library draws it from `std::mt19937` (Lemire, 2019)."""
    if noop_max < 2:
        return 0
    generator = np.random.RandomState(seed)
    while True:
        product = int(generator.randint(2**32, dtype=np.uint32)) * noop_max
        if product % 2**32 >= 2**32 % noop_max:
            return product >> 32
