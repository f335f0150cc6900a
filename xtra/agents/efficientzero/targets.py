"""What an update learns towards: value prefixes, n-step values and policies (Ye et al., 2021).

The arithmetic is in three plain functions over arrays; `TargetMaker` feeds them from the replay and the delayed target network,
whose search policies replace the stored ones ("reanalysis").
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from xtra.agents.efficientzero.batch import Batch, Frames
from xtra.agents.efficientzero.config import EfficientZeroConfig, TargetConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.observation import observations_at
from xtra.protocol.games import ActionSpace
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.replay.frames import DeviceFrames
from xtra.replay.window import Float, Int, Mask, Window
from xtra.rng import stream


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
    space: ActionSpace,
    padding: np.random.Generator,
    frames: Frames | None = None,
) -> Batch:
    """A batch of what happened and the targets that someone made for it. padding: draws the actions past the end. frames: if they
    are read already."""
    unroll = config.targets.num_unroll_steps
    alive = window.inside[:, : unroll + 1]
    rewards = window.rewards(config.targets.clip_rewards)[:, :unroll]
    return Batch(
        frames=window.frames(config.network.frame_stack, unroll) if frames is None else frames,
        actions=space.to_indices(window.actions(unroll, space.to_ids(np.array(space.valid)), padding)),
        value_prefixes=value_prefix_targets(rewards, config.search.lstm_horizon),
        values=np.where(alive, values, np.float32(0)),
        policies=policies,
        alive=alive,
        observed=window.observed[:, :unroll],
        weights=weights,
    )


class TargetMaker:
    """Turns samples into batches with the target network. Equal arguments give equal batches."""

    def __init__(self, config: EfficientZeroConfig, planner: Planner, seed: int) -> None:
        self._config, self._planner, self._seed = config, planner, seed
        self._frame_stack = config.network.frame_stack
        self._num_steps = config.targets.num_unroll_steps + 1

    def make(self, replay: ReplayBuffer, sample: Sample, target: EfficientZeroNetwork, update: int) -> Batch:
        """The batch of update number `update`."""
        config = self._config.targets
        window = Window(replay, sample, self._num_steps + config.td_steps)
        # Every observation that is needed is a run of these, so each frame is read once.
        frames = self._read(replay, window, next(target.parameters()).device)
        horizon = td_horizon((replay.num_rows - 1 - sample.rows) * replay.num_envs, config)
        bootstrap = self._bootstrap(window, frames, horizon, target, update)
        return assemble(
            self._config,
            window,
            sample.weights,
            values=value_targets(window.rewards(config.clip_rewards), bootstrap, horizon, self._config.search.discount),
            policies=self._policies(replay, window, frames, target, update),
            space=self._planner.space,
            padding=stream(self._seed, "padding-actions", update),
            frames=frames[:, : self._frame_stack + config.num_unroll_steps],
        )

    def _read(self, replay: ReplayBuffer, window: Window, device: torch.device) -> Tensor:
        """`[B, frame_stack + length - 1, H, W, C]` uint8 on the device: step k's observation begins at k."""
        num_steps = window.rows.shape[1] - 1
        if not isinstance(replay.frames, DeviceFrames):
            return torch.from_numpy(window.frames(self._frame_stack, num_steps)).to(device)
        frames = replay.frames.gather(*window.frame_places(self._frame_stack, num_steps))
        (samples, steps), final_frames = window.final_frames(self._frame_stack, num_steps)
        frames[samples, steps] = torch.from_numpy(final_frames).to(device)
        return frames

    def _policies(self, replay: ReplayBuffer, window: Window, frames: Tensor, target: EfficientZeroNetwork, update: int) -> Float:
        """`[B, K + 1, A]`: the stored search policies, for the first `reanalyze_fraction` of the batch searched anew; 0 past the
        end."""
        steps = slice(0, self._num_steps)
        inside, policies = window.inside[:, steps], replay.policies[window.slots[:, steps], window.envs[:, steps]]
        alive: Mask = inside[: round(self._config.targets.reanalyze_fraction * len(inside))]
        if alive.size:
            searched = to_compute(alive, frames.device).nonzero()
            observations = observations_at(frames, searched[0], searched[1], self._frame_stack)
            rows = np.ravel_multi_index(searched, alive.shape)
            result = self._planner.explore(target, observations, "reanalyze", update, among=alive.size, rows=rows)
            policies[searched] = result.action_weights.cpu().numpy()
        return np.where(inside[..., None], policies, np.float32(0))

    def _bootstrap(self, window: Window, frames: Tensor, horizon: Int, target: EfficientZeroNetwork, update: int) -> Float:
        """`[B, K + 1]`: the target network's (or its search's) value of the step `horizon` after each; 0 past the end."""
        offsets = horizon[:, None] + np.arange(self._num_steps)
        inside = np.take_along_axis(window.inside, offsets, axis=1)
        values = np.zeros(inside.shape, np.float32)
        wanted = to_compute(inside, frames.device).nonzero()
        if not len(wanted[0]):
            return values
        observations = observations_at(frames, wanted[0], offsets[wanted], self._frame_stack)
        if self._config.targets.value_source == "search":
            rows = np.ravel_multi_index(wanted, inside.shape)
            result = self._planner.explore(target, observations, "bootstrap", update, among=inside.size, rows=rows)
            values[wanted] = result.root_values.cpu().numpy()
        else:
            with torch.no_grad():
                values[wanted] = target.initial_inference(observations).value.cpu().numpy()
        return np.where(inside, values, np.float32(0))


def to_compute(wanted: Mask, device: torch.device) -> Mask:
    """Of the rows that are wanted, those that are computed: themselves, but on CUDA all, for a batch of one shape is captured as
    a graph once. What comes of a row does not depend on the others."""
    return np.ones_like(wanted) if device.type == "cuda" else wanted
