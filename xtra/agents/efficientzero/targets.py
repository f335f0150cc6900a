"""Targets of an update: value prefixes, n-step values and policies (Ye et al., 2021).

The arithmetic is in plain functions; `TargetMaker` feeds them from the replay and the delayed target network, whose
search policies replace the stored ones ("reanalysis").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.batch import Batch
from xtra.agents.efficientzero.config import EfficientZeroConfig, TargetConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Exploration, Planner
from xtra.agents.efficientzero.reanalysis import Array, Memos, Question, ask_all, put
from xtra.agents.observation import observations_at
from xtra.device_copies import tree_to_device
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


def discounted_rewards(rewards: Float, horizon: Int, discount: float, num_steps: int) -> Float:
    """Returns discount^i r_{k+i} for each i below the sample's horizon and k < `num_steps`, 0 for others: `[n, B, num_steps]`.

    rewards: `[B, >= num_steps - 1 + n]` from the sampled step on, 0 past the trajectory's end. horizon: `[B]`, each sample's n.
    """
    terms = [
        np.where((i < horizon)[:, None], discount**i * rewards[:, i : i + num_steps], np.float32(0))
        for i in range(int(horizon.max()))
    ]
    return np.stack(terms)


def bootstrap_discounts(horizon: Int, discount: float) -> NDArray[np.float64]:
    """Returns discount^n `[B, 1]` for each sample's horizon n."""
    discounts: NDArray[np.float64] = discount ** horizon[:, None].astype(np.float64)
    return discounts


def value_targets(bootstrap: Tensor, discounts: Tensor, rewards: Tensor) -> Tensor:
    """Computes z_k = sum over i < n of discount^i r_{k+i}, plus discount^n v_{k+n}, for k = 0..K: `[B, K + 1]`.

    bootstrap: `[B, K + 1]` values at k + n, 0 past the end. discounts, rewards: as `bootstrap_discounts` and `discounted_rewards`
    return them. Sums are in float64, in this order.
    """
    targets = bootstrap * discounts
    for term in rewards:
        targets += term
    return targets.float()


def takes_n_step(age: Int, update: int, config: TargetConfig) -> Mask:
    """Tells which samples `[B]` have n-step returns as value targets; the others have what a search of the state found.

    With the mixed targets of EfficientZero V2 (Wang et al., 2024) these are all until update `mixed_start`, and after it the
    newest `mixed_recent` transitions. age: `[B]`, as in `td_horizon`.
    """
    if config.value_target == "n_step" or update < config.mixed_start:
        return np.ones(len(age), np.bool_)
    return age < config.mixed_recent


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
) -> Batch:
    """Makes a batch of what happened and of targets `values` `[B, K + 1]` and `policies` `[B, K + 1, A]`.

    padding: draws the actions past the end.
    """
    happened = what_happened(config, window, weights, space, padding)
    return Batch(
        frames=window.frames(config.network.frame_stack, config.targets.num_unroll_steps),
        values=np.where(happened["alive"], values, np.float32(0)),
        policies=policies,
        **happened,
    )


def what_happened(
    config: EfficientZeroConfig, window: Window, weights: Float, space: ActionSpace, padding: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Returns those fields of a `Batch` that no network has a say in, but for its frames; `actions` `[B, K]`, for example.

    weights: `[B]`. padding: draws the actions past the end.
    """
    unroll = config.targets.num_unroll_steps
    rewards = window.rewards(config.targets.clip_rewards)[:, :unroll]
    return {
        "actions": space.to_indices(window.actions(unroll, space.to_ids(np.array(space.valid)), padding)),
        "value_prefixes": value_prefix_targets(rewards, config.search.lstm_horizon),
        "alive": window.inside[:, : unroll + 1],
        "observed": window.observed[:, :unroll],
        "weights": weights,
    }


class BatchPlan(NamedTuple, Generic[Array]):
    """All that the host knows of a batch of B samples before a network is asked, so that it goes to a GPU in one copy."""

    frames: tuple[Array, ...]
    """All frames `[B, L, H, W, C]` uint8; of frames that lie on the device, what `TargetMaker._frames` reads them by."""
    searched: Question[Array]
    """About the positions `[n, K + 1]` of the first n samples."""
    searches: Exploration | None
    """One for each of the R entries of `searched`; None if there are none."""
    bootstrapped: Question[Array]
    """About the positions `[B, K + 1]` that values are bootstrapped from; its steps count from the sampled one."""
    bootstraps: Exploration | None
    """One for each of the R entries of `bootstrapped`, if searches find their values; else, or if there are none, None."""
    bootstrap_inside: Array
    """`[B, K + 1]`: those of them within the trajectory."""
    stored_policies: Array
    """`[B - n, K + 1, A]`: of the other samples, as the replay has them."""
    rewards: Array
    """As `discounted_rewards` returns them."""
    discounts: Array
    """As `bootstrap_discounts` returns them."""
    takes_n_step: Array
    """`[B, 1]`, see there."""
    happened: dict[str, Array]
    """As `what_happened` returns it."""


class TargetMaker:
    """Turns samples of one replay into batches with the target network. Equal arguments and an equal state give equal batches.

    All that the host knows is worked out first and goes to the device at once; targets are made there.
    """

    def __init__(self, config: EfficientZeroConfig, planner: Planner, seed: int) -> None:
        self._config, self._planner, self._seed = config, planner, seed
        self._frame_stack = config.network.frame_stack
        self._num_steps = config.targets.num_unroll_steps + 1
        # With `per_period` alone, and from the first batch on.
        self._memos: Memos | None = None

    @torch.no_grad()
    def make(
        self, replay: ReplayBuffer, sample: Sample, target: EfficientZeroNetwork, update: int, noise: int | None = None
    ) -> Batch:
        """Makes the batch of update number `update`, on the target network's device. noise: number of the searches' random
        streams, if not the update's.

        After an exception this maker counts on answers that it has not got, and is of no use.
        """
        config, device = self._config.targets, next(target.parameters()).device
        noise = update if noise is None else noise
        if config.reanalysis == "per_period" and self._memos is None:
            self._memos = Memos(replay.priorities.shape, self._planner.space.size, device)
        plan: BatchPlan[Tensor] = tree_to_device(device, self._plan(replay, sample, update, noise, device))
        # Every observation that is needed is a run of these, so each frame is read once.
        frames = self._frames(replay, plan)
        policies, bootstrap, root_values = self._ask(plan, frames, target)
        values = value_targets(bootstrap, plan.discounts, plan.rewards)
        if config.value_target == "mixed":
            values = torch.where(plan.takes_n_step, values, root_values)
        alive = plan.happened["alive"]
        return Batch(
            frames=frames[:, : self._frame_stack + config.num_unroll_steps],
            values=torch.where(alive, values, 0.0),
            policies=torch.where(alive[..., None], torch.cat([policies, plan.stored_policies]), 0.0),
            **plan.happened,
        )

    def with_targets(self, replay: ReplayBuffer, sample: Sample, values: Float, policies: Float, update: int) -> Batch:
        """Makes the batch of update number `update` again, from targets `[B, K + 1]` and `[B, K + 1, A]` that were kept of it."""
        padding = stream(self._seed, "padding-actions", update)
        window = Window(replay, sample, self._num_steps)
        return assemble(self._config, window, sample.weights, values, policies, self._planner.space, padding)

    def state(self) -> dict[str, Any]:
        """Returns what is kept of the target network's answers; nothing with `each_draw`."""
        return {} if self._memos is None else self._memos.state()

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Sets what `state` returned. device: that of the target network."""
        self._memos = Memos.restored(state, device) if state else None

    def _plan(
        self, replay: ReplayBuffer, sample: Sample, update: int, noise: int, device: torch.device
    ) -> BatchPlan[NDArray[Any]]:
        """Works out what to ask of the target network, and all of a batch that does not depend on its answers."""
        config, num_steps = self._config.targets, self._num_steps
        window, period = Window(replay, sample, num_steps + config.td_steps), update // config.target_update_interval
        age = (replay.num_rows - 1 - sample.rows) * replay.num_envs
        horizon = td_horizon(age, config)
        num_searched = round(config.reanalyze_fraction * len(sample.rows))
        now, later = np.arange(num_steps), horizon[:, None] + np.arange(num_steps)
        bootstrap_inside = np.take_along_axis(window.inside, later, axis=1)
        alive, places = window.inside[:num_searched, now], (window.rows[:num_searched, now], window.envs[:num_searched, now])
        later_places = np.take_along_axis(window.rows, later, axis=1), np.take_along_axis(window.envs, later, axis=1)
        if self._memos is None:
            searched, bootstrapped = ask_all(alive, device), ask_all(bootstrap_inside, device)
        else:
            searched, bootstrapped = self._memos.ask(places, alive, later_places, bootstrap_inside, period, device)
        searches = self._draw_exploration(searched, "reanalyze", noise)
        bootstraps = self._draw_exploration(bootstrapped, "bootstrap", noise) if config.value_source == "search" else None
        padding = stream(self._seed, "padding-actions", noise)
        return BatchPlan(
            frames=self._frames_of(replay, window),
            searched=searched,
            searches=searches,
            bootstrapped=bootstrapped._replace(steps=later[bootstrapped.samples, bootstrapped.steps]),
            bootstraps=bootstraps,
            bootstrap_inside=bootstrap_inside,
            stored_policies=replay.policies[window.slots[num_searched:, now], window.envs[num_searched:, now]],
            rewards=discounted_rewards(window.rewards(config.clip_rewards), horizon, self._config.search.discount, num_steps),
            discounts=bootstrap_discounts(horizon, self._config.search.discount),
            takes_n_step=takes_n_step(age, update, config)[:, None],
            happened=what_happened(self._config, window, sample.weights, self._planner.space, padding),
        )

    def _draw_exploration(self, question: Question[NDArray[Any]], name: str, noise: int) -> Exploration | None:
        """Draws what the searches of a question explore by; None if it asks nothing. An entry draws the same whichever others are
        asked for."""
        if not len(question.samples):
            return None
        drawn = self._planner.draw_exploration(question.read.size, name, noise)
        rows = np.ravel_multi_index((question.samples, question.steps), question.read.shape)
        return Exploration(*(tensor[rows] for tensor in drawn))

    def _frames_of(self, replay: ReplayBuffer, window: Window) -> tuple[NDArray[Any], ...]:
        """Reads all frames of a window `[B, L, H, W, C]` uint8: step k's observation begins at k. Where they lie on the
        device, returns what `_frames` reads them by: places, those of final frames among them, and these."""
        num_steps = window.rows.shape[1] - 1
        if not isinstance(replay.frames, DeviceFrames):
            return (window.frames(self._frame_stack, num_steps),)
        places = replay.frames.places(*window.frame_places(self._frame_stack, num_steps))
        ends, final_frames = window.final_frames(self._frame_stack, num_steps)
        return places, np.ravel_multi_index(ends, places.shape), final_frames

    def _frames(self, replay: ReplayBuffer, plan: BatchPlan[Tensor]) -> Tensor:
        """Returns all frames of a plan `[B, L, H, W, C]`, on the device."""
        if not isinstance(replay.frames, DeviceFrames):
            return plan.frames[0]
        places, ends, final_frames = plan.frames
        frames = replay.frames.gather(places)
        frames.view(-1, *frames.shape[2:])[ends] = final_frames
        return frames

    def _ask(self, plan: BatchPlan[Tensor], frames: Tensor, target: EfficientZeroNetwork) -> tuple[Tensor, Tensor, Tensor]:
        """Asks the target network. Returns its searches' policies `[n, K + 1, A]`, the values `[B, K + 1]` that targets are
        bootstrapped from, 0 past the end, and, for mixed values alone, the searches' root values `[n, K + 1]`.

        Of a step outside the trajectory the first and the last may be anything.
        """
        searched, bootstrapped, memos = plan.searched, plan.bootstrapped, self._memos
        if memos is None:
            policies = frames.new_zeros(searched.read.numel(), self._planner.space.size, dtype=torch.float32)
            values = frames.new_zeros(bootstrapped.read.numel(), dtype=torch.float32)
        else:
            policies, values = memos.policies.answers, memos.values.answers
        root_values = values.new_zeros(searched.read.shape)
        if plan.searches is not None:
            observations = observations_at(frames, searched.samples, searched.steps, self._frame_stack)
            result = self._planner.explore(target, observations, plan.searches, fetch=False)
            put(policies, searched.kept, result.action_weights)
            if self._config.targets.value_target == "mixed":
                put(root_values.view(-1), searched.kept, result.root_values)
            if memos is not None:
                of_search = self._config.targets.value_source == "search"
                put(values, searched.kept, result.root_values if of_search else result.root_output.value)
        if len(bootstrapped.samples):
            observations = observations_at(frames, bootstrapped.samples, bootstrapped.steps, self._frame_stack)
            put(values, bootstrapped.kept, self._infer_values(observations, target, plan.bootstraps))
        return policies[searched.read], torch.where(plan.bootstrap_inside, values[bootstrapped.read], 0.0), root_values

    def _infer_values(self, observations: Tensor, target: EfficientZeroNetwork, searches: Exploration | None) -> Tensor:
        """Infers the values `[R]` of observations `[R, ...]`; searches: what searches for them explore by, if they are to be
        searched for."""
        if searches is None:
            return target.initial_inference(observations).value
        return self._planner.explore(target, observations, searches, fetch=False).root_values
