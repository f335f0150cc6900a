"""What the stages ask of an agent, so that one training loop and one evaluation serve them all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.replay.buffer import ReplayBuffer


@dataclass(frozen=True)
class TrainingRun:
    """What a learner must know of the run. num_updates: all that will be made; env_step_updates: those that the whole budget of
    env steps is worth."""

    num_updates: int
    env_step_updates: int
    seed: int
    num_threads: int
    device: torch.device


@dataclass(frozen=True)
class Decision:
    """What an agent does in N environments. actions: `[N]` ids of the 18. policies `[N, A]`, root_values `[N]`: kept in the
    replay."""

    actions: NDArray[np.int64]
    policies: NDArray[np.float32]
    root_values: NDArray[np.float32]


class Player(Protocol):
    """Plays greedily; for evaluation."""

    frame_stack: int

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """stacks: `[N, frame_stack, H, W, 3]` uint8, oldest frame first; returns action ids `[N]`."""
        ...


class Learner(Player, Protocol):
    """An agent that learns online. It holds no generator state: draws derive from the seed and the counters handed in."""

    def start_from(self, weights: Mapping[str, Tensor], components: Collection[str], frozen: Collection[str]) -> None:
        """Before the first update: loads some components of another network and freezes some."""
        ...

    def make_replay(self, num_envs: int, frame_shape: tuple[int, int, int], expected_transitions: int) -> ReplayBuffer:
        """An empty replay that suits the agent."""
        ...

    def act(self, stacks: NDArray[np.uint8], row: int, updates: int) -> Decision:
        """Explores. row: lock-step rows collected so far; updates: optimiser steps made so far."""
        ...

    def update(self, replay: ReplayBuffer, update: int) -> dict[str, float]:
        """Optimiser step number `update` (from 0); returns metrics. Raises FloatingPointError when the loss is not finite."""
        ...

    def finish(self) -> None:
        """After the last update: play with the final network."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs to go on bit for bit."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Sets everything to what `state` returned."""
        ...

    def network_state(self) -> dict[str, Any]:
        """The trained network alone: what evaluation and transfer need."""
        ...

    def timed_methods(self) -> dict[str, tuple[object, str]]:
        """The parts that a measurement of speed splits it into: by name, an object and the name of its method. One may call
        another; it is then without it."""
        ...
