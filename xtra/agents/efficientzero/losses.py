"""EfficientZero's loss: the model unrolled K steps along the actions taken, each step compared with its targets.

Terms per sample, summed over steps (facts: section 6): value prefix (K), policy (K + 1), value (K + 1), consistency (K). The
gradient is scaled by 1/K as a whole and by 1/2 at each step through the dynamics (MuZero, appendix G).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.support import to_categorical, to_scalar


@dataclass(frozen=True)
class TensorBatch:
    """`targets.Batch` on the device, its images augmented. observation: `[B, 3 F, H, W]`; next_observations: `[B, K, 3 F, H,
    W]`."""

    observation: Tensor
    next_observations: Tensor
    actions: Tensor
    value_prefixes: Tensor
    values: Tensor
    policies: Tensor
    alive: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Losses:
    """Each term per sample, `[B]`, unweighted; `value_errors`: `[B]`, |predicted - target| at the first step, for the
    priorities."""

    value_prefix: Tensor
    policy: Tensor
    value: Tensor
    consistency: Tensor
    value_errors: Tensor


@dataclass(frozen=True)
class Masks:
    """Which steps count, as floats. after: `[B, K]`, for what follows an action: it was taken. policy: `[B, K + 1]`. value: `[B,
    K + 1]`.

    The state after the last action is trained too: its value is 0, which is how the search learns that nothing follows an end.
    consistency: `[B, K]`, the next observation is known.
    """

    after: Tensor
    policy: Tensor
    value: Tensor
    consistency: Tensor

    @staticmethod
    def of(alive: Tensor, mask_past_end: str) -> Masks:
        """alive: `[B, K + 1]`. XTRA's released code (`consistency`) trains all the rest past the end as well."""
        inside = alive.float()
        after = inside[:, :-1]
        value = torch.cat([torch.ones_like(after[:, :1]), after], dim=1)
        if mask_past_end == "consistency":
            after, value = torch.ones_like(after), torch.ones_like(value)
        # Past the end policy targets are all zero, so this mask changes nothing there; it states the intent.
        return Masks(after, inside, value, inside[:, 1:])


def unroll_losses(network: EfficientZeroNetwork, batch: TensorBatch, config: EfficientZeroConfig) -> Losses:
    """The four terms of one batch. The network must be in training mode: batch norm sees this batch."""
    support, horizon = config.network.support, config.search.lstm_horizon
    masks = Masks.of(batch.alive, config.targets.mask_past_end)
    latent = network.representation(batch.observation)
    policy_logits, value_logits = network.prediction(latent)
    policy = cross_entropy(policy_logits, batch.policies[:, 0]) * masks.policy[:, 0]
    value = scalar_loss(value_logits, batch.values[:, 0], support) * masks.value[:, 0]
    value_errors = (to_scalar(value_logits.detach(), support) - batch.values[:, 0]).abs()
    value_prefix, consistency = torch.zeros_like(value), torch.zeros_like(value)
    wanted = project_targets(network, batch) if config.optimizer.consistency_weight > 0 else None
    state = network.zero_lstm_state(len(latent), latent.device)
    for k in range(batch.actions.shape[1]):
        if k % horizon == 0:
            state = torch.zeros_like(state)
        latent, state, prefix_logits = network.dynamics(latent, state, batch.actions[:, k])
        policy_logits, value_logits = network.prediction(latent)
        value_prefix = value_prefix + scalar_loss(prefix_logits, batch.value_prefixes[:, k], support) * masks.after[:, k]
        policy = policy + cross_entropy(policy_logits, batch.policies[:, k + 1]) * masks.policy[:, k + 1]
        value = value + scalar_loss(value_logits, batch.values[:, k + 1], support) * masks.value[:, k + 1]
        if wanted is not None:
            similarity = functional.cosine_similarity(network.projection(latent), wanted[:, k], dim=-1, eps=1e-5)
            consistency = consistency - similarity * masks.consistency[:, k]
        latent.register_hook(halve)
    return Losses(value_prefix, policy, value, consistency, value_errors)


def total_loss(losses: Losses, batch: TensorBatch, config: EfficientZeroConfig) -> Tensor:
    """The importance-weighted mean over samples of the weighted terms, scaled by 1/K."""
    weights = config.optimizer
    per_sample = (
        weights.value_prefix_weight * losses.value_prefix
        + weights.policy_weight * losses.policy
        + weights.value_weight * losses.value
        + weights.consistency_weight * losses.consistency
    )
    return (batch.weights * per_sample).mean() / config.targets.num_unroll_steps


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """`[B]`: -sum of target log softmax(logits), both `[B, X]`. A target of zeros gives 0."""
    return -(target * logits.float().log_softmax(-1)).sum(-1)


def scalar_loss(logits: Tensor, target: Tensor, support: int) -> Tensor:
    """`[B]`: cross-entropy of bins `[B, S]` with the two-hot category of the scalar `[B]`."""
    return cross_entropy(logits, to_categorical(target, support))


@torch.no_grad()
def project_targets(network: EfficientZeroNetwork, batch: TensorBatch) -> Tensor:
    """`[B, K, P]`: the projections of the observations that really followed, the consistency loss's fixed side."""
    observations = batch.next_observations.flatten(0, 1)
    projections = network.projection.projector(network.representation(observations))
    return projections.unflatten(0, batch.next_observations.shape[:2])  # type: ignore[no-any-return]


def halve(gradient: Tensor) -> Tensor:
    """Hook on each step's latent. It sees the whole gradient, from the heads and from later steps, as in EfficientZero's code."""
    return gradient * 0.5
