"""The interface of agents to the stages, so that one training loop and one evaluation serve them all.

Here is what learners and players do, how they are made of an agent's configuration, and the device that they compute on. Each
agent's module is imported when it is needed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.config import IMPORTED_FILE
from xtra.agents.registry import AGENTS, AgentConfig
from xtra.envs.config import EnvironmentConfig
from xtra.registry import load_object
from xtra.replay.buffer import ReplayBuffer

NETWORK_FILE = "network.pt"
"""The file of the network's `state_dict`, which every job that trains leaves."""


@dataclass(frozen=True)
class TrainingRun:
    """The run that a learner is in. num_updates: all that will be made; env_step_updates: as many as the budget of env steps is
    worth."""

    num_updates: int
    env_step_updates: int
    seed: int
    num_threads: int
    device: torch.device


@dataclass(frozen=True)
class Decision:
    """An agent's actions in N environments. actions: `[N]` ids. policies `[N, A]`, root_values `[N]`: kept in the replay."""

    actions: NDArray[np.int64]
    policies: NDArray[np.float32]
    root_values: NDArray[np.float32]


class Player(Protocol):
    """An agent that plays greedily; for evaluation."""

    frame_stack: int

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """Returns action ids `[N]`. stacks: `[N, frame_stack, H, W, C]` uint8, oldest frame first.

        They follow from the network and the arguments alone, however often it is called: draws come from streams that the env
        step names.
        """
        ...


class Learner(Player, Protocol):
    """An agent that learns online. It holds no generator state: draws derive from the seed and the counters handed in."""

    def start_from(self, weights: Mapping[str, Tensor], components: Collection[str], frozen: Collection[str]) -> None:
        """Loads some components of another network and freezes some. Called before the first update."""
        ...

    def make_replay(self, num_envs: int, frame_shape: tuple[int, int, int], expected_transitions: int) -> ReplayBuffer:
        """Makes an empty replay that holds what the agent stores of a step."""
        ...

    def act(self, stacks: NDArray[np.uint8], row: int, updates: int) -> Decision:
        """Explores in N environments. stacks: `[N, frame_stack, H, W, C]`, as for `play`; row: lock-step rows collected so far;
        updates: optimiser steps made so far."""
        ...

    def update(self, replay: ReplayBuffer, update: int) -> dict[str, float]:
        """Makes optimiser step number `update` (from 0). Returns metrics. Raises FloatingPointError when the loss is not
        finite."""
        ...

    def finish(self) -> None:
        """Makes it play with the final network. Called after the last update, before the curve's last evaluation, and again where
        that is resumed; never without a curve, so what `network_state` returns must not depend on it."""
        ...

    def state(self) -> dict[str, Any]:
        """Returns everything that `restore` needs to go on bit for bit."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Sets everything to what `state` returned."""
        ...

    def network_state(self) -> dict[str, Any]:
        """Returns the trained network alone: what evaluation and transfer need."""
        ...

    def timed_methods(self) -> dict[str, tuple[object, str]]:
        """Names the parts that a measurement of speed splits it into: by name, an object and the name of its method.

        One may call another; its time is then counted without the other's.
        """
        ...


def make_learner(config: AgentConfig, environment: EnvironmentConfig, run: TrainingRun) -> Learner:
    """Makes an agent at the start of its training. Raises TypeError for an agent that does not learn online."""
    agent = AGENTS[config.name]
    if agent.learner is None:
        raise TypeError(f"agent {agent.name} does not learn online")
    learner: Learner = load_object(agent.learner)(config, environment, run)
    return learner


def make_player(
    config: AgentConfig, environment: EnvironmentConfig, weights: Mapping[str, Tensor] | None, *, seed: int, num_threads: int
) -> Player:
    """Makes an agent that plays greedily. weights: its network's; None for an agent that has none."""
    agent = AGENTS[config.name]
    if weights is None and agent.has_network:
        raise ValueError(f"agent {agent.name} plays by a network, and none was given")
    player: Player = load_object(agent.player)(config, environment, weights, seed=seed, num_threads=num_threads)
    return player


def load_weights(directory: Path, device: torch.device) -> dict[str, Any]:
    """Loads the network that a job left in its output directory."""
    imported = directory / IMPORTED_FILE
    if imported.exists():
        return dict(safetensors.torch.load_file(imported, device=str(device)))
    weights: dict[str, Any] = torch.load(directory / NETWORK_FILE, map_location=device, weights_only=True)
    return weights


def prepare_torch(num_threads: int) -> torch.device:
    """Fixes the intra-op threads, demands deterministic kernels, keeps freed memory, and picks the device: the first GPU if there
    is one."""
    torch.set_num_threads(num_threads)
    keep_freed_memory()
    # cuBLAS is deterministic only with a fixed workspace, and reads this when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The same flag as `use_deterministic_algorithms` sets, which also imports torch's compiler: a second of every job's start.
    torch.set_deterministic_debug_mode("error")
    # Nothing reads memory before it is written, so filling it first only costs: a tenth of a small network's update.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def keep_freed_memory() -> None:
    """Has glibc keep freed blocks of less than 64 MiB (an old one: 32 MiB), and 1 GiB of them, for the next tensors; without
    glibc it does nothing.

    By itself it returns each large block at once, so that every activation is mapped and cleared by the system anew: a tenth of
    an update at paper size. The largest are few, observations and search pools, and differ in size from update to update: kept,
    they would leave holes that nothing fits. Settings of the user's, in `MALLOC_…` or `GLIBC_TUNABLES`, are left in force.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    # Before 2.35 or so glibc refuses more than 32 MiB; a trim threshold alone would do harm, since it ends glibc's own adapting.
    if mallopt(_M_MMAP_THRESHOLD, 2**26) or mallopt(_M_MMAP_THRESHOLD, 2**25):
        mallopt(_M_TRIM_THRESHOLD, 2**30)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of glibc's `malloc.h`."""
