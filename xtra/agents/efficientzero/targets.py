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
    """Makes a batch of what the replay recorded and of targets `values` `[B, K + 1]` and `policies` `[B, K + 1, A]`.

    padding: draws the actions past a trajectory's end.
    """
    replay_fields = make_replay_fields(config, window, weights, space, padding)
    return Batch(
        frames=window.frames(config.network.frame_stack, config.targets.num_unroll_steps),
        values=np.where(replay_fields["alive"], values, np.float32(0)),
        policies=policies,
        **replay_fields,
    )


def make_replay_fields(
    config: EfficientZeroConfig, window: Window, weights: Float, space: ActionSpace, padding: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Returns the fields of a `Batch` that are made of the replay alone, by name, without its frames; `actions` `[B, K]`, for
    example.

    weights: `[B]`, importance weights. padding: draws the actions past a trajectory's end.
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
    """Everything about a batch of B samples that the host can work out before the target network is asked, put together so that
    it goes to a GPU in one copy."""

    frames: tuple[Array, ...]
    """All frames `[B, L, H, W, C]` uint8. Where the replay keeps them on the device, in their stead what
    `TargetMaker._plan_frames` returns."""
    policy_question: Question[Array]
    """Which of the positions `[n, K + 1]` of the first n samples, those that are reanalysed, are searched for a policy."""
    policy_searches: Exploration | None
    """What each of the R searches of `policy_question` explores by; None if R is 0."""
    value_question: Question[Array]
    """Which of the positions `[B, K + 1]` whose values end the n-step returns are asked about. Its steps are counted from the
    sampled transition, not from the first of these positions."""
    value_searches: Exploration | None
    """What each of the R searches of `value_question` explores by; None if the network's own values are taken
    (`targets.value_source`), or if R is 0."""
    bootstrap_inside: Array
    """`[B, K + 1]` bool: which of the positions that values are bootstrapped from are within the trajectory."""
    stored_policies: Array
    """`[B - n, K + 1, A]`: policies of the samples that are not reanalysed, as the replay has them."""
    rewards: Array
    """As `discounted_rewards` returns them."""
    discounts: Array
    """As `bootstrap_discounts` returns them."""
    takes_n_step: Array
    """`[B, 1]` bool: as the function `takes_n_step` returns it, with an axis for the steps."""
    replay_fields: dict[str, Array]
    """As `make_replay_fields` returns it."""


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
        self, replay: ReplayBuffer, sample: Sample, target: EfficientZeroNetwork, update: int, stream_number: int | None = None
    ) -> Batch:
        """Makes the batch of update number `update`, on the target network's device.

        stream_number: numbers the random streams of the searches and of the padding actions, if `update` is not to.

        An exception leaves this maker unusable: with `targets.reanalysis: per_period` positions are noted as answered before they
        are.
        """
        config, device = self._config.targets, next(target.parameters()).device
        stream_number = update if stream_number is None else stream_number
        if config.reanalysis == "per_period" and self._memos is None:
            self._memos = Memos(replay.priorities.shape, self._planner.space.size, device)
        plan: BatchPlan[Tensor] = tree_to_device(device, self._plan(replay, sample, update, stream_number, device))
        # Every observation that is needed is a run of these, so each frame is read once.
        frames = self._read_frames(replay, plan)
        policies, bootstrap, root_values = self._ask(plan, frames, target)
        values = value_targets(bootstrap, plan.discounts, plan.rewards)
        if config.value_target == "mixed":
            values = torch.where(plan.takes_n_step, values, root_values)
        alive = plan.replay_fields["alive"]
        return Batch(
            frames=frames[:, : self._frame_stack + config.num_unroll_steps],
            values=torch.where(alive, values, 0.0),
            policies=torch.where(alive[..., None], torch.cat([policies, plan.stored_policies]), 0.0),
            **plan.replay_fields,
        )

    def with_targets(self, replay: ReplayBuffer, sample: Sample, values: Float, policies: Float, update: int) -> Batch:
        """Makes the batch of update number `update` again, from targets `[B, K + 1]` and `[B, K + 1, A]` that were kept of it."""
        padding = stream(self._seed, "padding-actions", update)
        window = Window(replay, sample, self._num_steps)
        return assemble(self._config, window, sample.weights, values, policies, self._planner.space, padding)

    def state(self) -> dict[str, Any]:
        """Returns the target network's answers that are kept; nothing with `targets.reanalysis: each_draw`."""
        return {} if self._memos is None else self._memos.state()

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Sets what `state` returned. device: that of the target network."""
        self._memos = Memos.restored(state, device) if state else None

    def _plan(
        self, replay: ReplayBuffer, sample: Sample, update: int, stream_number: int, device: torch.device
    ) -> BatchPlan[NDArray[Any]]:
        """Works out what the target network is asked, and everything in a batch that does not depend on its answers."""
        config, num_steps = self._config.targets, self._num_steps
        window, period = Window(replay, sample, num_steps + config.td_steps), update // config.target_update_interval
        age = (replay.num_rows - 1 - sample.rows) * replay.num_envs
        horizon = td_horizon(age, config)
        num_searched = round(config.reanalyze_fraction * len(sample.rows))
        now, later = np.arange(num_steps), horizon[:, None] + np.arange(num_steps)
        bootstrap_inside = np.take_along_axis(window.inside, later, axis=1)
        alive = window.inside[:num_searched, now]
        positions = window.rows[:num_searched, now], window.envs[:num_searched, now]
        later_positions = np.take_along_axis(window.rows, later, axis=1), np.take_along_axis(window.envs, later, axis=1)
        if self._memos is None:
            policy_question, value_question = ask_all(alive, device), ask_all(bootstrap_inside, device)
        else:
            memos = self._memos
            policy_question, value_question = memos.ask(positions, alive, later_positions, bootstrap_inside, period, device)
        policy_searches = self._draw_exploration(policy_question, "reanalyze", stream_number)
        value_searches = None
        if config.value_source == "search":
            value_searches = self._draw_exploration(value_question, "bootstrap", stream_number)
        padding = stream(self._seed, "padding-actions", stream_number)
        return BatchPlan(
            frames=self._plan_frames(replay, window),
            policy_question=policy_question,
            policy_searches=policy_searches,
            value_question=value_question._replace(steps=later[value_question.samples, value_question.steps]),
            value_searches=value_searches,
            bootstrap_inside=bootstrap_inside,
            stored_policies=replay.policies[window.slots[num_searched:, now], window.envs[num_searched:, now]],
            rewards=discounted_rewards(window.rewards(config.clip_rewards), horizon, self._config.search.discount, num_steps),
            discounts=bootstrap_discounts(horizon, self._config.search.discount),
            takes_n_step=takes_n_step(age, update, config)[:, None],
            replay_fields=make_replay_fields(self._config, window, sample.weights, self._planner.space, padding),
        )

    def _draw_exploration(self, question: Question[NDArray[Any]], name: str, stream_number: int) -> Exploration | None:
        """Draws what the R searches of a question explore by; None if R is 0. Draws are made for all of its positions `[B, K]`,
        so what a search gets does not depend on which others are asked for."""
        if not len(question.samples):
            return None
        drawn = self._planner.draw_exploration(question.read_slots.size, name, stream_number)
        rows = np.ravel_multi_index((question.samples, question.steps), question.read_slots.shape)
        return Exploration(*(tensor[rows] for tensor in drawn))

    def _plan_frames(self, replay: ReplayBuffer, window: Window) -> tuple[NDArray[Any], ...]:
        """Returns all frames of a window, `[B, L, H, W, C]` uint8; the observation of step k begins at frame k.

        Where the replay keeps frames on the device, returns what `_read_frames` needs to read them there: their places `[B, L]`,
        the indices `[P]` into these, flattened, at which a final frame belongs, and the final frames `[P, H, W, C]`.
        """
        num_steps = window.rows.shape[1] - 1
        if not isinstance(replay.frames, DeviceFrames):
            return (window.frames(self._frame_stack, num_steps),)
        places = replay.frames.places(*window.frame_places(self._frame_stack, num_steps))
        ends, final_frames = window.final_frames(self._frame_stack, num_steps)
        return places, np.ravel_multi_index(ends, places.shape), final_frames

    def _read_frames(self, replay: ReplayBuffer, plan: BatchPlan[Tensor]) -> Tensor:
        """Returns all frames of a plan, `[B, L, H, W, C]` uint8, on the device."""
        if not isinstance(replay.frames, DeviceFrames):
            return plan.frames[0]
        places, ends, final_frames = plan.frames
        frames = replay.frames.gather(places)
        frames.view(-1, *frames.shape[2:])[ends] = final_frames
        return frames

    def _ask(self, plan: BatchPlan[Tensor], frames: Tensor, target: EfficientZeroNetwork) -> tuple[Tensor, Tensor, Tensor]:
        """Asks the target network. Returns the policies `[n, K + 1, A]` that its searches found, the values `[B, K + 1]` that
        n-step returns end in, 0 past the trajectory's end, and the searches' root values `[n, K + 1]`, which are filled for mixed
        value targets alone.

        Policies and root values of steps past the trajectory's end are arbitrary.
        """
        policy_question, value_question, memos = plan.policy_question, plan.value_question, self._memos
        if memos is None:
            policies = frames.new_zeros(policy_question.read_slots.numel(), self._planner.space.size, dtype=torch.float32)
            values = frames.new_zeros(value_question.read_slots.numel(), dtype=torch.float32)
        else:
            policies, values = memos.policies.answers, memos.values.answers
        root_values = values.new_zeros(policy_question.read_slots.shape)
        if plan.policy_searches is not None:
            observations = observations_at(frames, policy_question.samples, policy_question.steps, self._frame_stack)
            result = self._planner.explore(target, observations, plan.policy_searches, fetch=False)
            put(policies, policy_question.write_slots, result.action_weights)
            if self._config.targets.value_target == "mixed":
                put(root_values.view(-1), policy_question.write_slots, result.root_values)
            if memos is not None:
                of_search = self._config.targets.value_source == "search"
                put(values, policy_question.write_slots, result.root_values if of_search else result.root_output.value)
        if len(value_question.samples):
            observations = observations_at(frames, value_question.samples, value_question.steps, self._frame_stack)
            put(values, value_question.write_slots, self._infer_values(observations, target, plan.value_searches))
        bootstrap = torch.where(plan.bootstrap_inside, values[value_question.read_slots], 0.0)
        return policies[policy_question.read_slots], bootstrap, root_values

    def _infer_values(self, observations: Tensor, target: EfficientZeroNetwork, searches: Exploration | None) -> Tensor:
        """Returns the values `[R]` of observations `[R, ...]`: the network's own, or, if `searches` says what searches explore
        by, the root values that these find."""
        if searches is None:
            return target.initial_inference(observations).value
        return self._planner.explore(target, observations, searches, fetch=False).root_values
