"""What a Gumbel search concludes at the root: the improved policy and the action that won. Danihelka et al. (2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from xtra.search.config import SearchConfig
from xtra.search.types import ModelOutput


def improved_policy(
    config: SearchConfig, root: ModelOutput, valid: Tensor, root_bias: Tensor, visits: Tensor, q: Tensor
) -> tuple[Tensor, Tensor]:
    """softmax(logits + sigma(completed Q)) over valid actions, float32 `[B, A]`, and the chosen action, int64 `[B]`.

    root_bias: Gumbel + logits.  visits, q: of the root's children.  All `[B, A]`. The action is the best by
    Gumbel + logits + sigma(Q) among the most visited.
    """
    logits = root.policy_logits.masked_fill(~valid, -torch.inf)
    sigma = scaled_completed_q(config, root.value, logits.softmax(-1), valid, visits, q)
    weights = (logits + sigma).softmax(-1)
    scores = (root_bias + sigma).masked_fill(~valid | (visits < visits.amax(1, keepdim=True)), -torch.inf)
    return weights, scores.argmax(1)


def scaled_completed_q(config: SearchConfig, value: Tensor, prior: Tensor, valid: Tensor, visits: Tensor, q: Tensor) -> Tensor:
    """sigma of the completed Q, `[B, A]`: unvisited actions take the mixed value, then all are rescaled to [0, 1]."""
    visited = visits > 0
    num_visits = visits.sum(1)
    weighted = (prior * q).where(visited, 0.0).sum(1) / prior.where(visited, 0.0).sum(1).clamp(min=1e-30)
    mixed = (value + num_visits * weighted) / (num_visits + 1)
    completed = q.where(visited, mixed.unsqueeze(1))
    low = completed.masked_fill(~valid, torch.inf).amin(1, keepdim=True)
    high = completed.masked_fill(~valid, -torch.inf).amax(1, keepdim=True)
    rescaled = (completed - low) / (high - low).clamp(min=1e-8)
    most = visits.amax(1, keepdim=True)
    return config.gumbel_value_scale * (config.gumbel_visit_offset + most) * rescaled
