"""The interface of agents to the stages, so that one training loop and one evaluation serve them all."""

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
    """The run that a learner is in. num_updates: all that will be made; env_step_updates: as many as the budget of env steps is
    worth."""

    num_updates: int
    env_step_updates: int
    seed: int
    num_threads: int
    device: torch.device


@dataclass(frozen=True)
class Decision:
    """An agent's actions in N environments. actions: `[N]` ids of the 18. policies `[N, A]`, root_values `[N]`: kept in the
    replay."""

    actions: NDArray[np.int64]
    policies: NDArray[np.float32]
    root_values: NDArray[np.float32]


class Player(Protocol):
    """An agent that plays greedily; for evaluation."""

    frame_stack: int

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        """Returns action ids `[N]`. stacks: `[N, frame_stack, H, W, 3]` uint8, oldest frame first."""
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
        """Makes it act with the final network. Called after the last update."""
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
