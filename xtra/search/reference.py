"""The search of one root in plain NumPy. This file *defines* it: types, order of operations, order of reductions.

The C++ and CUDA engines must equal it exactly, so every quantity is float32 and every operation is written in the order in
which it is done. Sources: pUCT and min-max normalization, MuZero (Schrittwieser et al., 2020); value prefixes, mean Q and the
soft min-max, EfficientZero (Ye et al., 2021); sequential halving and completed Q, Danihelka et al. (2022).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xtra.search.config import SearchConfig
from xtra.search.tree import INVALID_PRIOR, NO_NODE, node_fields

Row = NDArray[np.float32]
"""One float per action."""

TIE_TOLERANCE = np.float32(1e-6)
"""Scores this close to the best are tied. EfficientZero: 1e-6."""

WARP = 32
"""Lanes of the fixed reduction order: a GPU's warp."""


def ordered_sum(row: Row) -> np.float32:
    """Sums a row `[A]` in the order of a warp: each of 32 lanes adds its strided entries, then the lanes are folded in half."""
    padded = np.zeros(-(-len(row) // WARP) * WARP, dtype=np.float32)
    padded[: len(row)] = row
    lanes = np.zeros(WARP, dtype=np.float32)
    for chunk in padded.reshape(-1, WARP):
        lanes = lanes + chunk
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    return np.float32(lanes[0])


def tie_keys(seed: int, simulation: int, depth: int, num_actions: int) -> NDArray[np.uint32]:
    """Hashes each action to an integer, `[A]`: splitmix64 of (seed, simulation, depth), then murmur3's finaliser over the
    actions."""
    mask = 0xFFFFFFFFFFFFFFFF
    state = (seed + 0x9E3779B97F4A7C15 * ((simulation << 16) + depth + 1)) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    state ^= state >> 31
    key = np.arange(num_actions, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(state & 0xFFFFFFFF)
    key = (key ^ (key >> np.uint32(16)) ^ np.uint32(state >> 32)) * np.uint32(0x85EBCA6B)
    key = (key ^ (key >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return np.asarray(key ^ (key >> np.uint32(16)), dtype=np.uint32)


def pick(scores: Row, valid: NDArray[np.bool_], seed: int | None, simulation: int, depth: int) -> int:
    """Picks the valid action of the best score. scores, valid: `[A]`.

    Among ties it is that of the greatest key (whose last 7 bits give way to the index), or without a seed the lowest.
    """
    tied = valid & ~(scores < scores[valid].max() - TIE_TOLERANCE)
    lowest_first = np.arange(127, 127 - len(scores), -1, dtype=np.uint32)
    key = lowest_first
    if seed is not None:
        key = (tie_keys(seed, simulation, depth, len(scores)) & ~np.uint32(127)) | lowest_first
    return 127 - int(key[tied].max() & np.uint32(127))


class ReferenceTree:
    """One root's tree. `begin`, then `step` once per simulation; `leaf` tells which edge to evaluate next."""

    def __init__(self, config: SearchConfig, exploration: Row, considered: NDArray[np.uint16]) -> None:
        """exploration: `[S + 2]`, the pUCT factor by visits.  considered: `[A + 1, S]`, sequential halving's visits."""
        self.config = config
        self.exploration = exploration
        self.considered = considered
        self.discount = np.float32(config.discount)
        self.value_delta_max = np.float32(config.value_delta_max)

    def begin(
        self,
        weights: Row,
        valid: NDArray[np.bool_],
        value: np.float32,
        noise: Row | None = None,
        root_bias: Row | None = None,
        seed: int | None = None,
    ) -> None:
        """Expands the root. weights `[A]`: exp(logits - largest valid logit). root_bias `[A]`: Gumbel + logits, under `gumbel`
        alone."""
        slots = self.config.num_simulations + 1
        self.nodes: NDArray[Any] = np.zeros(slots, dtype=node_fields(len(weights)))
        self.span_q = np.zeros(slots, dtype=np.float32)
        self.span_reward = np.zeros(slots, dtype=np.float32)
        self.preorder: list[int] = [0]
        self.low, self.scale = np.float32(0), np.float32(1)
        self.valid, self.seed, self.root_value, self.root_bias = valid, seed, value, root_bias
        self._fill(0, NO_NODE, NO_NODE, weights)
        if noise is not None:
            prior = self.nodes[0]["prior"]
            prior[valid] += np.float32(self.config.root_exploration_fraction) * (noise - prior)[valid]
        self.nodes[0]["value_sum"], self.nodes[0]["visits"] = value, 1
        self._select(0)

    def step(self, simulation: int, weights: Row, value: np.float32, value_prefix: np.float32) -> None:
        """Expands the leaf that simulation `simulation` selected, backs its value up, and selects the next leaf if any. weights
        `[A]`: as for `begin`."""
        slot = simulation + 1
        parent, action = self.leaf
        self._fill(slot, parent, action, weights)
        self.nodes[slot]["value_prefix"] = value_prefix
        self.nodes[parent]["child"][action] = slot
        self.nodes[slot]["reward"] = self._reward(slot, parent)
        self._enter_span(slot)
        self._backup(slot, value)
        span_q = self.span_q[1 : slot + 1]
        self.low, self.scale = self._span(span_q.min(), span_q.max())
        if slot < self.config.num_simulations:
            self._select(slot)

    def is_reset(self, slot: int) -> bool:
        """Tells whether the value prefix starts anew below this node."""
        return bool(slot != 0 and self.nodes[slot]["depth"] % self.config.lstm_horizon == 0)

    def _fill(self, slot: int, parent: int, action: int, weights: Row) -> None:
        node = self.nodes[slot]
        node["parent"], node["action"] = parent, action
        node["depth"] = 0 if parent == NO_NODE else self.nodes[parent]["depth"] + 1
        total = ordered_sum(np.where(self.valid, weights, np.float32(0)))
        node["prior"] = np.where(self.valid, weights / total, INVALID_PRIOR)
        node["child"] = NO_NODE

    def _reward(self, slot: int, before: int) -> np.float32:
        """Returns the reward of reaching `slot` if `before` is the node whose value prefix came before it."""
        prefix = self.nodes[slot]["value_prefix"]
        return np.float32(prefix if self.is_reset(before) else prefix - self.nodes[before]["value_prefix"])

    # Backup

    def _backup(self, slot: int, value: np.float32) -> None:
        ret = value
        while True:
            node = self.nodes[slot]
            node["value_sum"] += ret
            node["visits"] += 1
            if slot == 0:
                return
            mean = node["value_sum"] / np.float32(node["visits"])
            parent = self.nodes[node["parent"]]
            parent["q"][node["action"]] = node["reward"] + self.discount * mean
            parent["child_visits"][node["action"]] += 1
            self.span_q[slot] = self.span_reward[slot] + self.discount * mean
            ret = node["reward"] + self.discount * ret
            slot = int(node["parent"])

    # The span by which Q is normalized

    def _enter_span(self, slot: int) -> None:
        """Sets the reward that the node's edge has in the min-max: the true one, or that after the node popped before it from the
        released code's depth-first stack, whose order is preorder with the highest action first."""
        self.span_reward[slot] = self.nodes[slot]["reward"]
        if self.config.min_max != "released":
            return
        parent, action = int(self.nodes[slot]["parent"]), int(self.nodes[slot]["action"])
        before = parent
        higher = self.nodes[parent]["child"][action + 1 :]
        if (higher != NO_NODE).any():
            before = int(higher[higher != NO_NODE][0])
            while (self.nodes[before]["child"] != NO_NODE).any():
                before = int(self.nodes[before]["child"][self.nodes[before]["child"] != NO_NODE][0])
        place = self.preorder.index(before) + 1
        self.preorder.insert(place, slot)
        self.span_reward[slot] = self._reward(slot, before)
        if place + 1 < len(self.preorder):
            after = self.preorder[place + 1]
            self.span_reward[after] = self._reward(after, slot)
            mean = self.nodes[after]["value_sum"] / np.float32(self.nodes[after]["visits"])
            self.span_q[after] = self.span_reward[after] + self.discount * mean

    def _span(self, low: np.float32, high: np.float32) -> tuple[np.float32, np.float32]:
        """Returns the offset to subtract and the factor to multiply by; nothing is normalized while all values are equal."""
        if not high - low > 0:
            return np.float32(0), np.float32(1)
        return low, np.float32(1) / max(high - low, self.value_delta_max)

    # Selection

    def _select(self, simulation: int) -> None:
        slot, depth, mean_q = 0, 0, np.float32(0)
        while True:
            mean_q = self._mean_q(slot, mean_q)
            if slot == 0 and self.config.policy == "gumbel":
                scores = self._gumbel_scores(simulation)
            else:
                scores = self._puct_scores(slot, mean_q)
            action = pick(scores, self.valid, self.seed, simulation, depth)
            child = int(self.nodes[slot]["child"][action])
            if child == NO_NODE:
                self.leaf = (slot, action)
                return
            slot, depth = child, depth + 1

    def _mean_q(self, slot: int, parent_mean_q: np.float32) -> np.float32:
        """Returns EfficientZero's running mean of Q: of the visited children, and below the root of the parent's mean too."""
        node = self.nodes[slot]
        total = ordered_sum(np.where(self.valid, node["q"], np.float32(0)))
        visited = np.float32((node["child_visits"] > 0).sum())
        if slot == 0:
            return np.float32(total / visited) if visited > 0 else np.float32(0)
        return np.float32((parent_mean_q + total) / (visited + np.float32(1)))

    def _puct_scores(self, slot: int, mean_q: np.float32) -> Row:
        node = self.nodes[slot]
        visits = int(node["visits"]) - (self.config.exploration_visits == "children")
        visited = node["child_visits"] > 0
        low, scale = self.low, self.scale
        if self.config.min_max == "per_node":
            own = node["value_sum"] / np.float32(node["visits"])
            values = np.append(node["q"][visited], own)
            low, scale = self._span(values.min(), values.max())
        lowest = low if self.config.unvisited_q == "min" else mean_q
        q = np.where(visited, node["q"], lowest)
        value_score = np.clip((q - low) * scale, np.float32(0), np.float32(1))
        prior_score = self.exploration[visits] * node["prior"] / (node["child_visits"].astype(np.float32) + np.float32(1))
        return np.asarray(prior_score + value_score, dtype=np.float32)

    def _gumbel_scores(self, simulation: int) -> Row:
        """Scores actions for sequential halving: g + logits + sigma(Q) of those with as many visits as the plan considers now."""
        root = self.nodes[0]
        num_considered = min(self.config.max_considered_actions, int(self.valid.sum()))
        planned = self.considered[num_considered, simulation]
        penalty = np.where(root["child_visits"] == planned, np.float32(0), np.float32(-1e30))
        assert self.root_bias is not None
        return np.asarray((self.root_bias + self.completed_q()) + penalty, dtype=np.float32)

    def completed_q(self) -> Row:
        """Returns sigma(completed Q) of the root, `[A]`: mixed value where unvisited, rescaled to [0, 1], times c_scale (c_visit
        + max N)."""
        root = self.nodes[0]
        visited = root["child_visits"] > 0
        seen_prior = ordered_sum(np.where(visited, root["prior"], np.float32(0)))
        seen_q = ordered_sum(np.where(visited, root["prior"] * root["q"], np.float32(0)))
        weighted_q = seen_q / max(seen_prior, np.float32(1e-30))
        num_visits = np.float32(root["visits"] - 1)
        mixed = (self.root_value + num_visits * weighted_q) / (num_visits + np.float32(1))
        q = np.where(visited, root["q"], mixed)
        low, high = q[self.valid].min(), q[self.valid].max()
        rescaled = (q - low) / max(high - low, np.float32(self.config.gumbel_min_span))
        most = np.float32(root["child_visits"].max())
        scale = np.float32(self.config.gumbel_value_scale) * (np.float32(self.config.gumbel_visit_offset) + most)
        return np.asarray(scale * rescaled, dtype=np.float32)
