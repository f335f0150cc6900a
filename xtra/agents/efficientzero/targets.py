"""What an update learns towards: value prefixes, n-step values and policies (Ye et al., 2021; facts: section 6).

The arithmetic is in three plain functions over arrays; `TargetMaker` feeds them from the replay and the delayed target network,
whose search policies replace the stored ones ("reanalysis").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xtra.agents.efficientzero.config import EfficientZeroConfig, TargetConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.observation import to_observations
from xtra.agents.efficientzero.planning import Planner
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.replay.window import Float, Int, Mask, Window
from xtra.rng import stream


@dataclass(frozen=True)
class Batch:
    """One update's data: B samples, K unroll steps.

    frames: `[B, frame_stack + K, H, W, 3]` uint8; observation k is frames k to k + frame_stack - 1. actions: `[B, K]` ids.
    value_prefixes: `[B, K]`. values: `[B, K + 1]`. policies: `[B, K + 1, A]`. alive: `[B, K + 1]`, step k is within the
    trajectory. weights: `[B]` importance weights.
    """

    frames: NDArray[np.uint8]
    actions: Int
    value_prefixes: Float
    values: Float
    policies: Float
    alive: Mask
    weights: Float


def value_prefix_targets(rewards: Float, lstm_horizon: int) -> Float:
    """Rewards `[B, K]` of the unrolled steps to undiscounted running sums that start anew every `lstm_horizon` steps."""
    prefixes = np.empty_like(rewards)
    for start in range(0, rewards.shape[1], lstm_horizon):
        prefixes[:, start : start + lstm_horizon] = np.cumsum(rewards[:, start : start + lstm_horizon], axis=1)
    return prefixes


def value_targets(rewards: Float, bootstrap: Float, horizon: Int, discount: float) -> Float:
    """z_k = sum over i < n of discount^i r_{k+i}, plus discount^n v_{k+n}, for k = 0..K.

    rewards: `[B, >= K + n]` from the sampled step on, 0 past the trajectory's end. bootstrap: `[B, K + 1]` values at k + n, 0
    past the end. horizon: `[B]`, each sample's n.
    """
    num_steps = bootstrap.shape[1]
    targets = bootstrap * discount ** horizon[:, None].astype(np.float64)
    for i in range(int(horizon.max())):
        targets += np.where((i < horizon)[:, None], discount**i * rewards[:, i : i + num_steps], 0.0)
    return targets.astype(np.float32)


def td_horizon(age: Int, config: TargetConfig) -> Int:
    """Off-policy correction: one step less per `td_steps_decay` transitions of age, at least 1. age: transitions added since."""
    return np.clip(config.td_steps - age // config.td_steps_decay, 1, config.td_steps)


def assemble(
    config: EfficientZeroConfig,
    window: Window,
    weights: Float,
    values: Float,
    policies: Float,
    action_ids: tuple[int, ...],
    padding: np.random.Generator,
) -> Batch:
    """A batch of what happened and the targets that someone made for it. padding: draws the actions past the end."""
    unroll = config.targets.num_unroll_steps
    alive = window.inside[:, : unroll + 1]
    rewards = window.rewards(config.targets.clip_rewards)[:, :unroll]
    return Batch(
        frames=window.frames(config.network.frame_stack, unroll),
        actions=window.actions(unroll, action_ids, padding),
        value_prefixes=value_prefix_targets(rewards, config.search.lstm_horizon),
        values=np.where(alive, values, np.float32(0)),
        policies=policies,
        alive=alive,
        weights=weights,
    )


class TargetMaker:
    """Turns samples into batches with the target network. Equal arguments give equal batches."""

    def __init__(self, config: EfficientZeroConfig, planner: Planner, seed: int) -> None:
        self._config, self._planner, self._seed = config, planner, seed

    def make(self, replay: ReplayBuffer, sample: Sample, target: EfficientZeroNetwork, update: int) -> Batch:
        """The batch of update number `update`."""
        config, search = self._config.targets, self._config.search
        unroll = config.num_unroll_steps
        window = Window(replay, sample, unroll + config.td_steps + 1)
        rewards = window.rewards(config.clip_rewards)
        age = (replay.num_rows - 1 - sample.rows) * replay.num_envs
        horizon = td_horizon(age, config)
        bootstrap = self._bootstrap(replay, window, horizon, target, update)
        values = value_targets(rewards, bootstrap, horizon, search.discount)
        policies = self._policies(replay, window, target, update)
        padding = stream(self._seed, "padding-actions", update)
        return assemble(self._config, window, sample.weights, values, policies, self._planner.action_ids, padding)

    def _policies(self, replay: ReplayBuffer, window: Window, target: EfficientZeroNetwork, update: int) -> Float:
        """`[B, K + 1, A]`: the stored search policies, for the first `reanalyze_fraction` of the batch searched anew; 0 past the
        end."""
        config = self._config.targets
        steps = slice(0, config.num_unroll_steps + 1)
        slots, envs, inside = window.slots[:, steps], window.envs[:, steps], window.inside[:, steps]
        policies: Float = np.where(inside[..., None], replay.policies[slots, envs], np.float32(0))
        anew = inside.copy()
        anew[round(config.reanalyze_fraction * len(anew)) :] = False
        if anew.any():
            observations = self._observe(replay, window.rows[:, steps][anew], envs[anew], target)
            result = self._planner.explore(target, observations, "reanalyze", update)
            policies[anew] = result.action_weights.cpu().numpy()
        return policies

    def _bootstrap(self, replay: ReplayBuffer, window: Window, horizon: Int, target: EfficientZeroNetwork, update: int) -> Float:
        """`[B, K + 1]`: the target network's (or its search's) value of the step `horizon` after each; 0 past the end."""
        offsets = horizon[:, None] + np.arange(self._config.targets.num_unroll_steps + 1)
        samples = np.arange(len(horizon))[:, None]
        inside = window.inside[samples, offsets]
        values = np.zeros(inside.shape, np.float32)
        if not inside.any():
            return values
        rows, envs = window.rows[samples, offsets][inside], window.envs[samples, offsets][inside]
        observations = self._observe(replay, rows, envs, target)
        if self._config.targets.value_source == "search":
            result = self._planner.explore(target, observations, "bootstrap", update)
            values[inside] = result.root_values.cpu().numpy()
        else:
            with torch.no_grad():
                values[inside] = target.initial_inference(observations).value.cpu().numpy()
        return values

    def _observe(self, replay: ReplayBuffer, rows: Int, envs: Int, target: EfficientZeroNetwork) -> torch.Tensor:
        stacks = replay.stacks(rows, envs, self._config.network.frame_stack)
        return to_observations(stacks, next(target.parameters()).device)
