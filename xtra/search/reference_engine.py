"""The NumPy definition as an engine: one `ReferenceTree` a root. Slow; for tests, and for machines without the extension."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.search.config import SearchConfig
from xtra.search.engine import BadOutput, Roots, RootStatistics
from xtra.search.exploration import considered_visits_table, exploration_table
from xtra.search.model import ModelOutput
from xtra.search.reference import ReferenceTree


class ReferenceEngine:
    """The engine that searches with `ReferenceTree`. CPU tensors only."""

    nbytes = 0  # each search makes its memory anew

    def __init__(self, config: SearchConfig, output: ModelOutput) -> None:
        batch, num_actions = output.policy_logits.shape
        tables = exploration_table(config), considered_visits_table(config, num_actions)
        self._trees = [ReferenceTree(config, *tables) for _ in range(batch)]

    def begin(self, roots: Roots, output: ModelOutput) -> None:
        self._valid = roots.valid
        self._latents: list[Tensor] = []
        self._states: list[Tensor] = []
        weights = self._weights(output)
        if roots.noise is not None:
            self._refuse_noise(roots, ~roots.noise.isfinite())
        if roots.bias is not None:
            self._refuse_noise(roots, roots.bias.isnan() | (roots.bias == torch.inf))
        for index, tree in enumerate(self._trees):
            seed = None if roots.seeds is None else int(roots.seeds[index]) & 0xFFFFFFFFFFFFFFFF
            tree.begin(
                weights[index],
                roots.valid[index].numpy(),
                np.float32(output.value[index]),
                None if roots.noise is None else roots.noise[index].numpy(),
                None if roots.bias is None else roots.bias[index].numpy(),
                seed,
            )
        self._refuse_noise(roots, torch.from_numpy(np.stack([tree.nodes[0]["prior"] for tree in self._trees])) < 0)
        self._store(output)

    def step(self, simulation: int, output: ModelOutput) -> None:
        weights = self._weights(output)
        for index, tree in enumerate(self._trees):
            value, prefix = np.float32(output.value[index]), np.float32(output.value_prefix[index])
            tree.step(simulation, weights[index], value, prefix)
        self._store(output)

    def finish(self) -> RootStatistics:
        roots = self.read_nodes()[:, 0]
        visits = torch.from_numpy(roots["child_visits"].astype(np.int32))
        values = roots["value_sum"] / roots["visits"].astype(np.float32)
        return RootStatistics(visits, torch.from_numpy(roots["q"].copy()), torch.from_numpy(values))

    def read_nodes(self) -> NDArray[Any]:
        return np.stack([tree.nodes for tree in self._trees])

    def _store(self, output: ModelOutput) -> None:
        """Keeps an inference's latents and states, those of resetting nodes as zeros, and gathers what the next inference
        reads."""
        slot = len(self._latents)
        state = output.value_prefix_state.clone()
        state[[index for index, tree in enumerate(self._trees) if tree.is_reset(slot)]] = 0
        self._latents.append(output.latent.clone())
        self._states.append(state)
        leaves = [tree.leaf for tree in self._trees]
        # In the outputs' order in memory, which models may build upon.
        self.latent, self.value_prefix_state = torch.empty_like(output.latent), torch.empty_like(state)
        for index, (parent, _) in enumerate(leaves):
            self.latent[index] = self._latents[parent][index]
            self.value_prefix_state[index] = self._states[parent][index]
        self.actions = torch.tensor([action for _, action in leaves], dtype=torch.int64)

    def _weights(self, output: ModelOutput) -> NDArray[np.float32]:
        """Returns exp(logits - the row's largest valid logit), `[B, A]`; 0 where not valid."""
        if not bool(self._valid.any(1).all()):
            raise BadOutput("search", int((~self._valid.any(1)).nonzero()[0]), 4)
        logits = output.policy_logits.masked_fill(~self._valid, -torch.inf)
        weights: NDArray[np.float32] = np.exp((logits - logits.amax(1, keepdim=True)).numpy())
        self._refuse(output, torch.from_numpy(weights))
        return weights

    def _refuse_noise(self, roots: Roots, bad: Tensor) -> None:
        """Raises `BadOutput` for the first root with a valid action whose noise is bad, `[B, A]`."""
        rows = (bad & roots.valid).any(1)
        if bool(rows.any()):
            raise BadOutput("search", int(rows.nonzero()[0]), 5)

    def _refuse(self, output: ModelOutput, weights: Tensor) -> None:
        bad = [weights.isnan().any(1), ~output.value.isfinite()]
        if self._latents:
            bad.append(~output.value_prefix.isfinite())
        for error, rows in enumerate(bad, start=1):
            if bool(rows.any()):
                raise BadOutput("recurrent_inference" if self._latents else "initial_inference", int(rows.nonzero()[0]), error)
