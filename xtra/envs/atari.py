"""Atari 2600 games on ale-py's C++ vector environment, preprocessed as EfficientZero does (RGB, max of two frames, area-resized).

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
from xtra.protocol.atari import parse_flavour

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

NEVER = 2**31 - 1
"""Frames after which ale-py would cut an episode: we cut them ourselves, in env steps."""


def make_atari(config: EnvironmentConfig, num_envs: int) -> Emulators:
    """Makes the emulators of the plain game, or of one of its flavours."""
    if parse_flavour(config.game).is_default:
        return AtariEmulators(config, num_envs)
    from xtra.envs.atari_flavours import FlavourEmulators  # stands on this module

    return FlavourEmulators(config, num_envs)


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
            # ale-py has started a new game within the step. Where only a life is lost what it calls final is of no step.
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
