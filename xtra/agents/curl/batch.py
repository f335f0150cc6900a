"""CURL's batches: n-step transitions of sampled places, on the device, augmented, with noise and each game's constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.network import CurlNetwork, Noise
from xtra.agents.observation import random_view, to_observations
from xtra.device_copies import to_device
from xtra.protocol.games import NUM_ACTIONS, find_game
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.replay.window import Window
from xtra.rng import derive_seed, stream


@dataclass(frozen=True)
class NStepTransitions:
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
    def joined(parts: Sequence[NStepTransitions]) -> NStepTransitions:
        """Returns the samples of all parts, one part after another."""
        names = [field.name for field in fields(NStepTransitions)]
        return NStepTransitions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def n_step_returns(rewards: NDArray[np.float32], discount: float) -> NDArray[np.float32]:
    """Sums discount^i r_i over i, for rewards r `[B, n]`, which are 0 past a trajectory's end: `[B]`."""
    returns: NDArray[np.float64] = rewards @ discount ** np.arange(rewards.shape[1])
    return returns.astype(np.float32)


def transitions(replay: ReplayBuffer, sample: Sample, config: CurlConfig) -> NStepTransitions:
    """Reads the sampled transitions and what follows them from a replay.

    A bootstrap is dropped only where the trajectory ended within the n steps. The released code drops it one step early: at the
    last observation of a trajectory too.
    """
    steps, frame_stack = config.targets.td_steps, config.network.frame_stack
    window = Window(replay, sample, steps + 1)
    rewards = window.rewards(config.targets.clip_rewards)[:, :steps]
    return NStepTransitions(
        stacks=replay.stacks(sample.rows, sample.envs, frame_stack),
        # Past the end this is the last observation, which a discount of 0 keeps out of everything.
        next_stacks=replay.stacks(window.rows[:, -1], sample.envs, frame_stack),
        actions=replay.actions[window.slots[:, 0], sample.envs],
        returns=n_step_returns(rewards, config.targets.discount),
        discounts=(window.inside[:, -1] * config.targets.discount**steps).astype(np.float32),
        weights=sample.weights,
    )


@dataclass(frozen=True)
class Tasks:
    """The constants of each sample's game. valid: `[B, 18]`, the actions that it has. contrastive_weights: `[B]`."""

    valid: Tensor
    contrastive_weights: Tensor

    @staticmethod
    def of(games: Sequence[str], config: CurlConfig, device: torch.device) -> Tasks:
        """Returns the constants for samples of these games, in their order."""
        weights = [config.contrastive.weight_in(game) for game in games]
        return Tasks(valid_actions(games, device), torch.tensor(weights, device=device))


@dataclass(frozen=True)
class CurlBatch:
    """B samples on the device.

    observations, next_observations: `[B, C, S, S]`, now and n steps later. actions, returns, discounts, weights: `[B]`, as in
    `NStepTransitions`. noise, target_noise: of the two networks. views: two augmentations of the observations, or None without
    the contrastive loss.
    """

    observations: Tensor
    next_observations: Tensor
    actions: Tensor
    returns: Tensor
    discounts: Tensor
    weights: Tensor
    tasks: Tasks
    noise: Noise
    target_noise: Noise
    views: tuple[Tensor, Tensor] | None


def make_batch(
    samples: NStepTransitions, tasks: Tasks, network: CurlNetwork, config: CurlConfig, *, seed: int, update: int
) -> CurlBatch:
    """Makes the batch of update number `update` for this network. Its augmentation and noise are functions of (seed, update)."""
    device = network.atoms.device
    generator = torch.Generator(device).manual_seed(derive_seed(seed, "augment", update) % 2**63)
    rng = stream(seed, "noise", "update", update)
    observations, next_observations = (to_observations(stacks, device) for stacks in (samples.stacks, samples.next_stacks))
    views = None
    if config.contrastive.weight != 0:
        margin, padding = config.contrastive.crop_margin, config.contrastive.padding
        anchors, keys = (random_view(observations, margin, padding, generator) for _ in range(2))
        views = anchors, keys
    if config.optimizer.augmentation == "shift":
        shift = config.optimizer.augmentation_shift
        observations, next_observations = (
            random_view(images, 0, shift, generator) for images in (observations, next_observations)
        )

    actions, returns, discounts, weights = to_device(device, samples.actions, samples.returns, samples.discounts, samples.weights)
    return CurlBatch(
        observations=observations,
        next_observations=next_observations,
        actions=actions,
        returns=returns,
        discounts=discounts,
        weights=weights,
        tasks=tasks,
        noise=network.prediction.draw_noise(rng, 1, device),
        target_noise=network.prediction.draw_noise(rng, 1, device),
        views=views,
    )


def valid_actions(games: Sequence[str], device: torch.device) -> Tensor:
    """Returns `[B, 18]`: which actions each game has."""
    valid = np.zeros((len(games), NUM_ACTIONS), np.bool_)
    for row, game in zip(valid, games, strict=True):
        row[list(find_game(game).action_ids)] = True
    return torch.from_numpy(valid).to(device)
