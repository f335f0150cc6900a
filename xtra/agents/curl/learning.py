"""CURL's learning, online and in pretraining alike. Its loss is a pure function of networks and a batch: distributional double
Q-learning, and telling views apart. An update is a gradient step, slow followers and copies.

Each sample has its own valid actions and contrastive weight, so one batch may hold several games.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xtra.agents.curl.batch import CurlBatch
from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.network import CurlNetwork


@dataclass(frozen=True)
class CurlLosses:
    """The two terms of CURL's loss for each of B samples, unweighted.

    value: `[B]`, cross-entropy with the target distribution. contrastive: `[B]`, of recognising the observation in its view;
    accuracy: `[]`, the share that were recognised. Both are 0 without views.
    """

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


class CurlNetworks:
    """The network that learns and acts, two that follow it, and the optimiser.

    The target is a copy made every `target_update_interval` updates; the momentum network's encoder and contrastive head move
    slowly towards it at every update.
    """

    def __init__(self, config: CurlConfig, network: CurlNetwork) -> None:
        self._config, self.network = config, network
        self._target = copy.deepcopy(network).requires_grad_(False)
        self._momentum = copy.deepcopy(network).requires_grad_(False)
        settings = config.optimizer
        self._optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, eps=settings.adam_epsilon, fused=True)

    def start_from(self, weights: Mapping[str, Tensor], components: Collection[str], frozen: Collection[str]) -> None:
        """Loads some components of another network, into all three, and freezes some."""
        self.network.load_components(weights, components)
        self.network.freeze(frozen)
        for other in (self._target, self._momentum):
            other.load_state_dict(self.network.state_dict())

    def update(self, batch: CurlBatch, update: int) -> tuple[dict[str, float], CurlLosses]:
        """Makes update number `update`. Returns its metrics and its losses, which hold no gradient any more.

        Raises FloatingPointError, before any weight changes, when loss or gradient is not finite.
        """
        losses = curl_losses(self.network, self._target, self._momentum, batch, self._config)
        metrics = self._step(total_loss(losses, batch), update)
        metrics["value_loss"] = losses.value.mean().item()
        if batch.views is not None:
            metrics |= {"contrastive_loss": losses.contrastive.mean().item(), "contrastive_accuracy": losses.accuracy.item()}
            self._follow()
        if (update + 1) % self._config.targets.target_update_interval == 0:
            self._target.load_state_dict(self.network.state_dict())
        return metrics, losses

    def state(self) -> dict[str, Any]:
        """Returns everything that `restore` needs to go on bit for bit."""
        return {
            "network": self.network.state_dict(),
            "target": self._target.state_dict(),
            "momentum": self._momentum.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Sets what `state` returned."""
        self.network.load_state_dict(state["network"])
        self._target.load_state_dict(state["target"])
        self._momentum.load_state_dict(state["momentum"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _step(self, loss: Tensor, update: int) -> dict[str, float]:
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"update {update}: the loss is {loss.item()}")
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._config.optimizer.max_gradient_norm)
        if not math.isfinite(norm.item()):
            # Clipping by an infinite norm would write NaN into every weight.
            raise FloatingPointError(f"update {update}: the norm of the gradient is {norm.item()}")
        self._optimizer.step()
        return {"loss": loss.item(), "gradient_norm": norm.item()}

    @torch.no_grad()
    def _follow(self) -> None:
        share = 1 - self._config.contrastive.momentum
        for part in ("representation", "projection"):
            slow, fast = (network.get_submodule(part).parameters() for network in (self._momentum, self.network))
            for momentum_weights, weights in zip(slow, fast, strict=True):
                momentum_weights.lerp_(weights, share)
