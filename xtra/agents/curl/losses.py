"""CURL's loss as a pure function of networks and a batch: distributional double Q-learning, and telling views apart.

Each sample has its own valid actions and contrastive weight, so one batch may hold several games.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from xtra.agents.curl.batch import CurlBatch
from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.network import CurlNetwork


@dataclass(frozen=True)
class CurlLosses:
    """value: `[B]`, cross-entropy with the target distribution. contrastive: `[B]`, of recognising the observation in its view;
    accuracy: `[]`, the share that were recognised. Both are 0 without views."""

    value: Tensor
    contrastive: Tensor
    accuracy: Tensor


def curl_losses(
    network: CurlNetwork, target: CurlNetwork, momentum: CurlNetwork, batch: CurlBatch, config: CurlConfig
) -> CurlLosses:
    """Computes the two terms, unweighted. Gradients reach `network` alone."""
    target_probabilities = target_distribution(network, target, batch)
    log_probabilities = network.log_probabilities(batch.observations, batch.tasks.valid, batch.noise)
    value = -(target_probabilities * of_actions(log_probabilities, batch.actions)).sum(-1)
    if batch.views is None:
        return CurlLosses(value, torch.zeros_like(value), value.new_zeros(()))
    anchors, keys = batch.views
    logits = contrastive_logits(network, momentum, anchors, keys) * config.contrastive.logit_scale
    matches = torch.arange(len(logits), device=logits.device)
    accuracy = (logits.argmax(1) == matches).float().mean()
    return CurlLosses(value, functional.cross_entropy(logits, matches, reduction="none"), accuracy)


def total_loss(losses: CurlLosses, batch: CurlBatch) -> Tensor:
    """Returns the loss `[]`: importance weights scale both terms, the contrastive one as the batch's mean (released code).

    Where games are mixed, each sample counts in that mean as its own game weighs it.
    """
    contrastive = (batch.tasks.contrastive_weights * losses.contrastive).mean()
    return (batch.weights * (losses.value + contrastive)).mean()


def priorities(losses: CurlLosses, batch: CurlBatch, config: CurlConfig) -> Tensor:
    """Returns new priorities `[B]`: each sample's value loss, to which the released code adds its batch's mean contrastive
    loss."""
    value = losses.value.detach()
    if not config.contrastive.in_priorities:
        return value
    return value + batch.tasks.contrastive_weights * losses.contrastive.detach().mean()


@torch.no_grad()
def target_distribution(network: CurlNetwork, target: CurlNetwork, batch: CurlBatch) -> Tensor:
    """Returns `[B, atoms]`: the target network's distribution of the action that the learning one prefers (double Q), n steps
    on."""
    valid = batch.tasks.valid
    best = network.values(batch.next_observations, valid, batch.noise).argmax(1)
    log_probabilities = target.log_probabilities(batch.next_observations, valid, batch.target_noise)
    return project(network.atoms, of_actions(log_probabilities, best).exp(), batch.returns, batch.discounts)


def project(atoms: Tensor, probabilities: Tensor, returns: Tensor, discounts: Tensor) -> Tensor:
    """Projects the distribution of returns + discounts * z back onto the atoms: `[B, K]`; z are atoms `[K]`, of probabilities
    `[B, K]`.

    Points are clipped to the atoms' range; the mass of one between two atoms goes to both in proportion (Bellemare et al., 2017,
    equation 7).
    """
    points = (returns[:, None] + discounts[:, None] * atoms).clamp(atoms[0], atoms[-1])
    distance = (points[:, :, None] - atoms).abs() / (atoms[1] - atoms[0])
    return (probabilities[:, :, None] * (1 - distance).clamp(min=0)).sum(1)


def contrastive_logits(network: CurlNetwork, momentum: CurlNetwork, anchors: Tensor, keys: Tensor) -> Tensor:
    """Returns `[B, B]`: the similarity of the learning network's code of each anchor with the momentum network's code of each
    key."""
    with torch.no_grad():
        key_codes = momentum.codes(keys)
    return network.projection.compare(network.codes(anchors), key_codes)


def of_actions(per_action: Tensor, actions: Tensor) -> Tensor:
    """Selects the rows of the actions `[B]`: `[B, K]` of `[B, 18, K]`."""
    return per_action[torch.arange(len(actions), device=actions.device), actions]
