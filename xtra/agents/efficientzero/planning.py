"""The tree search as this agent uses it: one game's valid actions, its random streams, exploring or greedy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.protocol.games import NUM_ACTIONS
from xtra.rng import stream
from xtra.search import SearchResult, dirichlet_noise, gumbel_noise, search
from xtra.search.config import SearchConfig

Int = NDArray[np.int64]


class Planner:
    """Searches for one game. action_ids: the ids (of 18) it understands. Streams derive from `seed` and the caller's names."""

    def __init__(self, config: SearchConfig, action_ids: tuple[int, ...], seed: int, num_threads: int) -> None:
        self._config, self._seed, self._num_threads = config, seed, num_threads
        self.action_ids = action_ids
        self._valid = np.zeros(NUM_ACTIONS, np.bool_)
        self._valid[list(action_ids)] = True

    @torch.no_grad()
    def explore(
        self, network: EfficientZeroNetwork, observations: Tensor, *name: str | int, among: int = 0, rows: Int | None = None
    ) -> SearchResult:
        """With root noise and seeded ties, both from the stream `name`: for self-play and reanalysis. observations: `[R, ...]`.

        among, rows: which R of how many these are, if more were drawn for: what a row draws does not depend on which others are
        searched.
        """
        rng, device = stream(self._seed, "search", *name), observations.device
        rows = np.arange(len(observations)) if rows is None else rows
        valid = self._valid_for(among or len(observations))
        seeds = torch.from_numpy(rng.integers(2**63, size=len(valid), dtype=np.int64))
        if self._config.policy == "gumbel":
            noise = gumbel_noise(rng, valid)
        else:
            noise = dirichlet_noise(rng, valid, self._config.dirichlet_alpha)
        return search(
            network,
            observations,
            self._config,
            valid_actions=valid[rows].to(device),
            seeds=seeds[rows].to(device),
            noise=noise[rows].to(device),
            num_threads=self._num_threads,
        )

    @torch.no_grad()
    def exploit(self, network: EfficientZeroNetwork, observations: Tensor) -> SearchResult:
        """Without noise, ties to the lowest action: for evaluation."""
        valid = self._valid_for(len(observations)).to(observations.device)
        return search(
            network, observations, self._config, valid_actions=valid, seeds=None, noise=None, num_threads=self._num_threads
        )

    def _valid_for(self, num_rows: int) -> Tensor:
        return torch.from_numpy(np.broadcast_to(self._valid, (num_rows, NUM_ACTIONS)).copy())
