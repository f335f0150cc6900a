"""Atari 2600 games on ale-py's C++ vector environment, preprocessed as EfficientZero does (RGB, max of two frames, area-resized).

That environment cannot choose modes and difficulties, so flavours of games run on single emulators. Their preprocessing is the
same once more, so that the two show the same episodes to the bit (tests/envs): the maximum of the last two frames, resized by
area; lost lives; up to `noop_max` - 1 no-ops, drawn as its C++ library draws them; sticky actions, which are the emulator's own.

The gray view takes the emulator's own luminance and is resized in the same way. CURL's code differs: it resizes bilinearly, and
before it takes the maximum.
"""

from __future__ import annotations

import os
from pathlib import Path

import ale_py
import numpy as np
from ale_py import roms
from ale_py.registration import rom_id_to_name
from ale_py.vector_env import AtariVectorEnv
from numpy.typing import NDArray

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import Emulators, EmulatorStep, Frames, Mask
from xtra.protocol.atari import Flavour, parse_flavour

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

NEVER = 2**31 - 1
"""Frames after which ale-py would cut an episode: we cut them ourselves, in env steps."""


def make_atari(config: EnvironmentConfig, num_envs: int) -> Emulators:
    """Makes the emulators of the plain game, or of one of its flavours."""
    emulators = AtariEmulators if parse_flavour(config.game).is_default else FlavourEmulators
    return emulators(config, num_envs)


class AtariEmulators:
    """N copies of an Atari game. Actions are ids of the full set of 18. Rewards are raw."""

    def __init__(self, config: EnvironmentConfig, num_envs: int) -> None:
        self.num_envs = num_envs
        self._vector = AtariVectorEnv(
            rom_id(config.game),
            num_envs,
            # Results do not depend on the number of threads (tests/envs), so the machine decides.
            num_threads=min(num_envs, os.cpu_count() or 1),
            full_action_space=True,
            repeat_action_probability=config.repeat_action_probability,
            frameskip=config.frame_skip,
            noop_max=config.noop_max,
            img_height=config.frame_size,
            img_width=config.frame_size,
            grayscale=config.color == "gray",
            stack_num=1,
            max_num_frames_per_episode=NEVER,
            reward_clipping=False,  # on by default in ale-py; scores need raw rewards
            use_fire_reset=False,
            life_loss_info=True,  # `episodic_life` would restart the game at each lost life
            autoreset_mode="SameStep",  # its own restart is overwritten by our seeded `reset`
        )
        self._frame_number = np.zeros(num_envs, np.int64)

    def reset(self, mask: Mask, seeds: NDArray[np.int64]) -> Frames:
        """Restarts the masked copies `[N]`, each from its seed `[N]`; returns frames `[N, H, W, C]`. A restarted game equals a
        fresh one of the same seed."""
        frames, info = self._vector.reset(seed=seeds[mask], options={"reset_mask": mask})
        self._frame_number = info["episode_frame_number"].astype(np.int64)
        return _owned(frames)

    def step(self, action_ids: NDArray[np.int64]) -> EmulatorStep:
        """Takes one env step, `frame_skip` emulator frames, with an action id for each copy `[N]`."""
        frames, rewards, ended, _, info = self._vector.step(action_ids)
        frame_number = info["episode_frame_number"].astype(np.int64)
        # `ended` marks lost lives and game overs alike; only a game over restarts the frame counter.
        game_over = ended & (frame_number <= self._frame_number)
        self._frame_number = frame_number
        seen = _owned(frames)
        if game_over.any():
            # ale-py has started a new game within the step. Where only a life was lost, its `final_obs` belongs to no step.
            seen[game_over] = _owned(info["final_obs"])[game_over]
        return EmulatorStep(seen, rewards.astype(np.float32), ended & ~game_over, game_over)


def rom_id(game: str) -> str:
    """Returns ale-py's name of an Atari game (`ms_pacman` for MsPacman)."""
    identifier: str = next(rom_id for rom_id in roms.get_all_rom_ids() if rom_id_to_name(rom_id) == game)
    return identifier


def rom_path(game: str) -> Path:
    """Returns the path of the game's ROM."""
    path: Path | None = roms.get_rom_path(rom_id(game))
    assert path is not None  # ale-py ships it
    return path


def _owned(frames: NDArray[np.uint8]) -> Frames:
    """Copies stacks of one frame `[N, 1, H, W, 3]`, or gray ones without the last axis, to frames `[N, H, W, C]`, since ale-py
    reuses its buffer."""
    return frames[:, 0].copy() if frames.ndim == 5 else frames[:, 0, :, :, None].copy()


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
        from xtra.envs._resize import AreaResize  # compiled; plain games do without it

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
            if game_over:  # Screens that this step has not read yet are those of the step before.
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
