"""n-step transitions from the replay: what the next n steps brought, and the observation after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from xtra.agents.curl.config import CurlConfig
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.replay.window import Window


@dataclass(frozen=True)
class Transitions:
    """B samples. stacks, next_stacks: `[B, frame_stack, H, W, C]` uint8, now and n steps later. actions: `[B]` ids.

    returns: `[B]`, the discounted rewards between. discounts: `[B]`, the factor of whatever follows: discount^n, or 0 if the
    trajectory ended before. weights: `[B]` importance weights.
    """

    stacks: NDArray[np.uint8]
    next_stacks: NDArray[np.uint8]
    actions: NDArray[np.int64]
    returns: NDArray[np.float32]
    discounts: NDArray[np.float32]
    weights: NDArray[np.float32]

    @staticmethod
    def joined(parts: Sequence[Transitions]) -> Transitions:
        """All of them, one after another."""
        names = [field.name for field in fields(Transitions)]
        return Transitions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def n_step_returns(rewards: NDArray[np.float32], discount: float) -> NDArray[np.float32]:
    """Sum over i of discount^i r_i for rewards `[B, n]`, which are 0 past a trajectory's end."""
    returns: NDArray[np.float64] = rewards @ discount ** np.arange(rewards.shape[1])
    return returns.astype(np.float32)


def transitions(replay: ReplayBuffer, sample: Sample, config: CurlConfig) -> Transitions:
    """The sampled transitions.

    A bootstrap is dropped only where the trajectory ended within the n steps. The released code drops it one step early: at the
    last observation of a trajectory too.
    """
    steps, frame_stack = config.targets.td_steps, config.network.frame_stack
    window = Window(replay, sample, steps + 1)
    rewards = window.rewards(config.targets.clip_rewards)[:, :steps]
    return Transitions(
        stacks=replay.stacks(sample.rows, sample.envs, frame_stack),
        # Past the end this is the last observation, which a discount of 0 keeps out of everything.
        next_stacks=replay.stacks(window.rows[:, -1], sample.envs, frame_stack),
        actions=replay.actions[window.slots[:, 0], sample.envs],
        returns=n_step_returns(rewards, config.targets.discount),
        discounts=(window.inside[:, -1] * config.targets.discount**steps).astype(np.float32),
        weights=sample.weights,
    )
