"""Targets of an update: value prefixes, n-step values and policies (Ye et al., 2021).

The arithmetic is in three plain functions over arrays; `TargetMaker` feeds them from the replay and the delayed target network,
whose search policies replace the stored ones ("reanalysis").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xtra.agents.efficientzero.batch import Batch, Frames
from xtra.agents.efficientzero.config import EfficientZeroConfig, TargetConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.efficientzero.reanalysis import Memo, Memos, Places, first_of_each, in_chunks
from xtra.agents.observation import observations_at
from xtra.device_copies import to_device, to_host
from xtra.protocol.games import ActionSpace
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.replay.frames import DeviceFrames
from xtra.replay.window import Float, Int, Mask, Window
from xtra.rng import stream


def value_prefix_targets(rewards: Float, lstm_horizon: int) -> Float:
    """Sums rewards `[B, K]` of the unrolled steps, undiscounted, anew every `lstm_horizon` steps: `[B, K]`."""
    prefixes = np.empty_like(rewards)
    for start in range(0, rewards.shape[1], lstm_horizon):
        prefixes[:, start : start + lstm_horizon] = np.cumsum(rewards[:, start : start + lstm_horizon], axis=1)
    return prefixes


def value_targets(rewards: Float, bootstrap: Float, horizon: Int, discount: float) -> Float:
    """Computes z_k = sum over i < n of discount^i r_{k+i}, plus discount^n v_{k+n}, for k = 0..K: `[B, K + 1]`.

    rewards: `[B, >= K + n]` from the sampled step on, 0 past the trajectory's end. bootstrap: `[B, K + 1]` values at k + n, 0
    past the end. horizon: `[B]`, each sample's n.
    """
    num_steps = bootstrap.shape[1]
    targets = bootstrap * discount ** horizon[:, None].astype(np.float64)
    for i in range(int(horizon.max())):
        targets += np.where((i < horizon)[:, None], discount**i * rewards[:, i : i + num_steps], 0.0)
    return targets.astype(np.float32)


def mixed_values(n_step: Float, searched: Float, age: Int, update: int, config: TargetConfig) -> Float:
    """Returns the mixed value target `[B, K + 1]` of EfficientZero V2 (Wang et al., 2024): n-step returns until update
    `mixed_start`, and after it for the newest `mixed_recent` transitions; for all others what a search of the state found.

    n_step, searched: `[B, K + 1]`. age: `[B]`, as in `td_horizon`.
    """
    if update < config.mixed_start:
        return n_step
    return np.where((age < config.mixed_recent)[:, None], n_step, searched)


def td_horizon(age: Int, config: TargetConfig) -> Int:
    """Shortens the bootstrap's horizon by one step per `td_steps_decay` transitions of age, to 1 at least (off-policy
    correction).

    age: `[B]`, transitions added since. Returns `[B]`.
    """
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
    """Makes a batch of what happened and of targets `values` `[B, K + 1]` and `policies` `[B, K + 1, A]`.

    padding: draws the actions past the end. frames: `[B, frame_stack + K, H, W, C]`, if they are read already.
    """
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
    """Turns samples of one replay into batches with the target network. Equal arguments and an equal state give equal batches."""

    def __init__(self, config: EfficientZeroConfig, planner: Planner, seed: int) -> None:
        self._config, self._planner, self._seed = config, planner, seed
        self._frame_stack = config.network.frame_stack
        self._num_steps = config.targets.num_unroll_steps + 1
        # With `per_period` alone, and from the first batch on.
        self._memos: Memos | None = None

    def make(
        self, replay: ReplayBuffer, sample: Sample, target: EfficientZeroNetwork, update: int, noise: int | None = None
    ) -> Batch:
        """Makes the batch of update number `update`. noise: number of the searches' random streams, where the update's own is
        taken."""
        config = self._config.targets
        noise, period = update if noise is None else noise, update // config.target_update_interval
        if config.reanalysis == "per_period" and self._memos is None:
            self._memos = Memos(replay.priorities.shape, self._planner.space.size)
        window = Window(replay, sample, self._num_steps + config.td_steps)
        # Every observation that is needed is a run of these, so each frame is read once.
        frames = self._read(replay, window, next(target.parameters()).device)
        age = (replay.num_rows - 1 - sample.rows) * replay.num_envs
        horizon = td_horizon(age, config)
        # Policies first: a search tells its root's value, too.
        policies, root_values = self._policy_targets(replay, window, frames, target, noise, period)
        bootstrap = self._bootstrap(window, frames, horizon, target, noise, period)
        values = value_targets(window.rewards(config.clip_rewards), bootstrap, horizon, self._config.search.discount)
        if config.value_target == "mixed":
            values = mixed_values(values, root_values, age, update, config)
        frames = frames[:, : self._frame_stack + config.num_unroll_steps]
        return self._assemble(window, sample, values, policies, noise, frames)

    def with_targets(self, replay: ReplayBuffer, sample: Sample, values: Float, policies: Float, update: int) -> Batch:
        """Makes the batch of update number `update` again, from targets `[B, K + 1]` and `[B, K + 1, A]` that were kept of it."""
        return self._assemble(Window(replay, sample, self._num_steps), sample, values, policies, update)

    def state(self) -> dict[str, Any]:
        """Returns what is kept of the target network's answers; nothing with `each_draw`."""
        return {} if self._memos is None else self._memos.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Sets what `state` returned."""
        self._memos = Memos.restored(state) if state else None

    def _assemble(
        self, window: Window, sample: Sample, values: Float, policies: Float, noise: int, frames: Frames | None = None
    ) -> Batch:
        padding = stream(self._seed, "padding-actions", noise)
        return assemble(self._config, window, sample.weights, values, policies, self._planner.space, padding, frames)

    def _read(self, replay: ReplayBuffer, window: Window, device: torch.device) -> Tensor:
        """Reads frames `[B, frame_stack + length - 1, H, W, C]` uint8 onto the device: step k's observation begins at k."""
        num_steps = window.rows.shape[1] - 1
        if not isinstance(replay.frames, DeviceFrames):
            return to_device(device, window.frames(self._frame_stack, num_steps))[0]
        places = replay.frames.places(*window.frame_places(self._frame_stack, num_steps))
        ends, final_frames = window.final_frames(self._frame_stack, num_steps)
        moved = to_device(device, places, np.ravel_multi_index(ends, places.shape), final_frames)
        frames = replay.frames.gather(moved[0])
        frames.view(-1, *frames.shape[2:])[moved[1]] = moved[2]
        return frames

    def _policy_targets(
        self, replay: ReplayBuffer, window: Window, frames: Tensor, target: EfficientZeroNetwork, noise: int, period: int
    ) -> tuple[Float, Float]:
        """Returns policies `[B, K + 1, A]`: the stored search policies, in the first `reanalyze_fraction` of the batch the target
        network's; 0 past the end. And the root values `[B, K + 1]` of the searches made now, 0 elsewhere."""
        steps = slice(0, self._num_steps)
        inside, policies = window.inside[:, steps], replay.policies[window.slots[:, steps], window.envs[:, steps]]
        root_values = np.zeros(inside.shape, np.float32)
        alive: Mask = inside[: round(self._config.targets.reanalyze_fraction * len(inside))]
        places = window.rows[: len(alive), steps], window.envs[: len(alive), steps]
        searched = self._to_compute(None if self._memos is None else self._memos.policies, alive, places, frames.device, period)
        if searched[0].size:
            observations = observations_at(frames, *searched, self._frame_stack)
            rows = np.ravel_multi_index(searched, alive.shape)
            result = self._planner.explore(target, observations, "reanalyze", noise, among=alive.size, rows=rows)
            of_search = self._config.targets.value_source == "search"
            bootstrap = result.root_values if of_search else result.root_output.value
            policies[searched], root_values[searched], values = to_host(result.action_weights, result.root_values, bootstrap)
            if self._memos is not None:
                there = places[0][searched], places[1][searched]
                self._memos.policies.keep(there, period, policies[searched])
                self._memos.values.keep(there, period, values)
        if self._memos is not None:
            policies[: len(alive)] = self._memos.policies.read(places)
        return np.where(inside[..., None], policies, np.float32(0)), root_values

    def _bootstrap(
        self, window: Window, frames: Tensor, horizon: Int, target: EfficientZeroNetwork, noise: int, period: int
    ) -> Float:
        """Returns `[B, K + 1]`: the target network's (or its search's) value of the step `horizon` after each; 0 past the end."""
        offsets = horizon[:, None] + np.arange(self._num_steps)
        inside = np.take_along_axis(window.inside, offsets, axis=1)
        places = np.take_along_axis(window.rows, offsets, axis=1), np.take_along_axis(window.envs, offsets, axis=1)
        values = np.zeros(inside.shape, np.float32)
        computed = self._to_compute(None if self._memos is None else self._memos.values, inside, places, frames.device, period)
        if computed[0].size:
            observations = observations_at(frames, computed[0], offsets[computed], self._frame_stack)
            values[computed] = self._infer_values(observations, target, noise, inside.shape, computed)
            if self._memos is not None:
                there = places[0][computed], places[1][computed]
                self._memos.values.keep(there, period, values[computed])
        if self._memos is not None:
            values = self._memos.values.read(places)
        return np.where(inside, values, np.float32(0))

    def _infer_values(
        self, observations: Tensor, target: EfficientZeroNetwork, noise: int, shape: tuple[int, ...], computed: tuple[Int, Int]
    ) -> Float:
        """Infers the values `[R]` of observations `[R, ...]`, which are the entries `computed` of an array of this shape."""
        if self._config.targets.value_source == "network":
            with torch.no_grad():
                inferred: Float = target.initial_inference(observations).value.cpu().numpy()
            return inferred
        rows = np.ravel_multi_index(computed, shape)
        result = self._planner.explore(target, observations, "bootstrap", noise, among=int(np.prod(shape)), rows=rows)
        searched: Float = result.root_values.cpu().numpy()
        return searched

    def _to_compute(self, memo: Memo | None, alive: Mask, places: Places, device: torch.device, period: int) -> tuple[Int, Int]:
        """Returns the entries `[R]` of `alive`, `[B, K]`, to be computed: those alive, or with a memo those that it lacks."""
        if memo is None:
            samples, steps = to_compute(alive, device).nonzero()
            return samples, steps
        lacking = first_of_each(places, alive & memo.lacks(places, period))
        return in_chunks(lacking, len(alive)) if device.type == "cuda" and lacking[0].size else lacking


def to_compute(alive: Mask, device: torch.device) -> Mask:
    """Selects the entries `[B, K]` to be computed: those alive, but all on CUDA, where a search of one shape is captured as a
    graph once.

    What comes of an entry does not depend on the others.
    """
    return np.ones_like(alive) if device.type == "cuda" else alive
