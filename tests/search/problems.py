"""Random search problems whose model is a hash: a tree is a function of its root and the actions alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from xtra.search import FunctionModel, SearchConfig, SearchResult, search

ROWS = 4096
MULTIPLIER = np.uint32(2654435761)


def hash_model(num_actions: int, seed: int = 0, value_scale: float = 1.0) -> FunctionModel:
    """Latents are 32-bit hashes; the value prefix accumulates in a one-float state, as an LSTM's would."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(ROWS, num_actions)).astype(np.float32)
    values = (value_scale * rng.normal(size=ROWS)).astype(np.float32)
    rewards = (0.1 * rng.normal(size=ROWS)).astype(np.float32)

    def mixed(latent: np.ndarray) -> np.ndarray:
        return (latent ^ (latent >> np.uint32(15))) * MULTIPLIER

    def dynamics(latent: np.ndarray, state: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        after = mixed(mixed(latent.view(np.uint32)) + actions.astype(np.uint32) + np.uint32(1))
        total = state + rewards[after % ROWS][:, None]
        return after.view(np.int32), total, total[:, 0].copy()

    def predict(latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = latent.view(np.uint32) % ROWS
        return logits[rows], values[rows]

    return FunctionModel(lambda observations: np.asarray(observations, dtype=np.int32).copy(), dynamics, predict)


@dataclass
class Problem:
    """One call of `search`, so that engines, batches and threads can be compared on it."""

    config: SearchConfig
    batch: int
    num_actions: int
    seed: int = 0
    seeded: bool = True
    noisy: bool = False
    value_scale: float = 1.0
    valid: Tensor = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        valid = rng.random((self.batch, self.num_actions)) < 0.7
        valid[np.arange(self.batch), rng.integers(self.num_actions, size=self.batch)] = True
        self.valid = torch.from_numpy(valid)
        self.seeds = torch.from_numpy(rng.integers(-(2**63), 2**63, size=self.batch))
        self.noise = torch.from_numpy(rng.gumbel(size=valid.shape).astype(np.float32))
        if self.config.policy == "puct":
            self.noise = self.noise.abs().masked_fill(~self.valid, 0)
            self.noise /= self.noise.sum(1, keepdim=True)

    def run(self, rows: slice = slice(None), **options: object) -> SearchResult:
        """Searches those roots."""
        given = {
            "valid_actions": self.valid[rows],
            "seeds": self.seeds[rows] if self.seeded else None,
            "noise": self.noise[rows] if self.noisy else None,
        }
        model = hash_model(self.num_actions, self.seed, self.value_scale)
        return search(model, np.arange(self.batch)[rows], self.config, **(given | options))


def assert_same_search(one: SearchResult, other: SearchResult) -> None:
    """Exact equality of every number in the trees and in the results."""
    for name in one.tree.nodes.dtype.names or ():
        np.testing.assert_array_equal(one.tree.nodes[name], other.tree.nodes[name], err_msg=name)
    for name in ("visit_counts", "root_values", "action_weights", "actions"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
