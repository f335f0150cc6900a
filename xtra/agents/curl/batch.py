"""From sampled transitions to what an update computes with: on the device, augmented, with noise and each game's constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.network import CurlNetwork, Noise
from xtra.agents.curl.targets import Transitions
from xtra.agents.curl.views import random_view
from xtra.agents.observation import to_observations
from xtra.protocol.games import GAMES, NUM_ACTIONS
from xtra.rng import derive_seed, stream


@dataclass(frozen=True)
class Tasks:
    """What depends on each sample's game. valid: `[B, 18]`, the actions it understands. contrastive_weights: `[B]`."""

    valid: Tensor
    contrastive_weights: Tensor

    @staticmethod
    def of(games: Sequence[str], config: CurlConfig, device: torch.device) -> Tasks:
        """For samples of the games of these names, in their order."""
        weights = [config.contrastive.weight_in(game) for game in games]
        return Tasks(valid_actions(games, device), torch.tensor(weights, device=device))


@dataclass(frozen=True)
class Batch:
    """B samples on the device.

    observations, next_observations: `[B, C, S, S]`, now and n steps later. actions, returns, discounts, weights: `[B]`, as in
    `Transitions`. noise, target_noise: of the two networks. views: two augmentations of the observations, or None without the
    contrastive loss.
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


def make_batch(samples: Transitions, tasks: Tasks, network: CurlNetwork, config: CurlConfig, *, seed: int, update: int) -> Batch:
    """The batch of update number `update`, for this network. Its augmentation and noise are functions of (seed, update)."""
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

    def tensor(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(device)

    return Batch(
        observations=observations,
        next_observations=next_observations,
        actions=tensor(samples.actions),
        returns=tensor(samples.returns),
        discounts=tensor(samples.discounts),
        weights=tensor(samples.weights),
        tasks=tasks,
        noise=network.prediction.draw_noise(rng, 1, device),
        target_noise=network.prediction.draw_noise(rng, 1, device),
        views=views,
    )


def valid_actions(games: Sequence[str], device: torch.device) -> Tensor:
    """`[B, 18]`: which actions each game understands."""
    valid = np.zeros((len(games), NUM_ACTIONS), np.bool_)
    for row, game in zip(valid, games, strict=True):
        row[list(GAMES[game].action_ids)] = True
    return torch.from_numpy(valid).to(device)
