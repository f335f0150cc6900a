"""What a search reads instead of computing: exploration factors and the plan of sequential halving, by visit count."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xtra.search.config import SearchConfig


@lru_cache(maxsize=64)
def exploration_table(config: SearchConfig) -> NDArray[np.float32]:
    """pUCT's factor (ln((n + c_base + 1) / c_base) + c_init) * sqrt(n), float32 `[S + 2]` by visits n; computed in float64."""
    visits = np.arange(config.num_simulations + 2, dtype=np.float64)
    growth = np.log((visits + config.pb_c_base + 1) / config.pb_c_base) + config.pb_c_init
    return (growth * np.sqrt(visits)).astype(np.float32)


@lru_cache(maxsize=64)
def considered_visits_table(config: SearchConfig, num_actions: int) -> NDArray[np.uint16]:
    """Sequential halving, uint16 `[A + 1, S]`: with m actions considered, the visits that simulation s's choice must have."""
    table = np.zeros((num_actions + 1, config.num_simulations), dtype=np.uint16)
    if config.policy == "gumbel":
        for considered in range(1, min(num_actions, config.max_considered_actions) + 1):
            table[considered] = considered_visits(considered, config.num_simulations)
    return table


def considered_visits(num_considered: int, num_simulations: int) -> list[int]:
    """One row of that table: log2(m) phases of equal length; each halves the actions and visits those left equally often."""
    if num_considered == 1:
        return list(range(num_simulations))
    num_phases = math.ceil(math.log2(num_considered))
    plan: list[int] = []
    visits = [0] * num_considered
    left = num_considered
    while len(plan) < num_simulations:
        for _ in range(max(1, num_simulations // (num_phases * left))):
            plan.extend(visits[:left])
            visits[:left] = [count + 1 for count in visits[:left]]
        left = max(2, left // 2)
    return plan[:num_simulations]
