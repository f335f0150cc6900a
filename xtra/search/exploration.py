"""Exploration at the root: noise, pUCT's factor, Gumbel sequential halving and its improved policy (Danihelka et al., 2022).

Noise is drawn by the caller, from a stream of its own.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.search.config import SearchConfig
from xtra.search.model import ModelOutput


@lru_cache(maxsize=64)
def exploration_table(config: SearchConfig) -> NDArray[np.float32]:
    """Tabulates pUCT's factor (ln((n + c_base + 1) / c_base) + c_init) * sqrt(n), float32 `[S + 2]` by visits n; computed in
    float64."""
    visits = np.arange(config.num_simulations + 2, dtype=np.float64)
    growth = np.log((visits + config.pb_c_base + 1) / config.pb_c_base) + config.pb_c_init
    return (growth * np.sqrt(visits)).astype(np.float32)


@lru_cache(maxsize=64)
def considered_visits_table(config: SearchConfig, num_actions: int) -> NDArray[np.uint16]:
    """Tabulates sequential halving, uint16 `[A + 1, S]`: the number of visits that the action which simulation s chooses must
    have, with m actions considered."""
    table = np.zeros((num_actions + 1, config.num_simulations), dtype=np.uint16)
    if config.policy == "gumbel":
        for considered in range(1, min(num_actions, config.max_considered_actions) + 1):
            table[considered] = considered_visits(considered, config.num_simulations)
    return table


def considered_visits(num_considered: int, num_simulations: int) -> list[int]:
    """Computes one row of that table: log2(m) phases of equal length; each halves the actions and visits those left equally
    often."""
    if num_considered == 1:
        return list(range(num_simulations))
    num_phases = math.ceil(math.log2(num_considered))
    plan: list[int] = []
    visits = [0] * num_considered
    num_left = num_considered
    while len(plan) < num_simulations:
        for _ in range(max(1, num_simulations // (num_phases * num_left))):
            plan.extend(visits[:num_left])
            visits[:num_left] = [count + 1 for count in visits[:num_left]]
        num_left = max(2, num_left // 2)
    return plan[:num_simulations]


def improved_policy(
    config: SearchConfig, root: ModelOutput, valid: Tensor, root_bias: Tensor, visits: Tensor, q: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns softmax(logits + sigma(completed Q)) over valid actions, float32 `[B, A]`, and the chosen action, int64 `[B]`.

    root_bias: Gumbel + logits. visits, q: of the root's children. All `[B, A]`. The action is the best by Gumbel + logits +
    sigma(Q) among the most visited.
    """
    logits = root.policy_logits.masked_fill(~valid, -torch.inf)
    sigma = scaled_completed_q(config, root.value, logits.softmax(-1), valid, visits, q)
    weights = (logits + sigma).softmax(-1)
    scores = (root_bias + sigma).masked_fill(~valid | (visits < visits.amax(1, keepdim=True)), -torch.inf)
    return weights, scores.argmax(1)


def scaled_completed_q(config: SearchConfig, value: Tensor, prior: Tensor, valid: Tensor, visits: Tensor, q: Tensor) -> Tensor:
    """Computes sigma of the completed Q, `[B, A]`: unvisited actions take the mixed value, then all are rescaled to [0, 1]."""
    visited = visits > 0
    num_visits = visits.sum(1)
    weighted = (prior * q).where(visited, 0.0).sum(1) / prior.where(visited, 0.0).sum(1).clamp(min=1e-30)
    mixed = (value + num_visits * weighted) / (num_visits + 1)
    completed = q.where(visited, mixed.unsqueeze(1))
    low = completed.masked_fill(~valid, torch.inf).amin(1, keepdim=True)
    high = completed.masked_fill(~valid, -torch.inf).amax(1, keepdim=True)
    rescaled = (completed - low) / (high - low).clamp(min=config.gumbel_min_span)
    most = visits.amax(1, keepdim=True)
    return config.gumbel_value_scale * (config.gumbel_visit_offset + most) * rescaled


def dirichlet_noise(rng: np.random.Generator, valid_actions: Tensor, alpha: float) -> Tensor:
    """Draws Dirichlet(alpha) noise over each root's valid actions: float32 `[B, A]` on the CPU, 0 where not valid, rows sum to 1.

    The numbers of a root depend on `rng` and on how many valid actions the roots before it have, so draw one root at a time from
    a stream of its own where the place in the batch must not matter.
    """
    valid = valid_actions.cpu().numpy()
    noise = np.zeros(valid.shape, dtype=np.float32)
    counts = valid.sum(axis=1)
    if len(counts) and (counts == counts[0]).all():
        # The same numbers, drawn at once: a call per root costs more than the search of a small tree.
        noise[valid] = rng.dirichlet(np.full(int(counts[0]), alpha), size=len(valid)).ravel()
    else:
        for row, mask, count in zip(noise, valid, counts.tolist(), strict=True):
            row[mask] = rng.dirichlet(np.full(count, alpha))
    return torch.from_numpy(noise)


def gumbel_noise(rng: np.random.Generator, valid_actions: Tensor) -> Tensor:
    """Draws standard Gumbel samples, float32 `[B, A]` on the CPU, for the root policy `gumbel`."""
    return torch.from_numpy(rng.gumbel(size=tuple(valid_actions.shape)).astype(np.float32))
