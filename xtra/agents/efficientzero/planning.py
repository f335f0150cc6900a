"""The tree search as this agent uses it: one game's valid actions, its random streams, exploring or greedy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.cuda_graphs import graphs_are_wanted
from xtra.device_copies import to_device
from xtra.protocol.games import ActionSpace
from xtra.rng import stream
from xtra.search import GraphedSearch, ModelOutput, SearchResult, dirichlet_noise, gumbel_noise, search
from xtra.search.config import SearchConfig
from xtra.search.cuda import cuda_is_usable


class Exploration(NamedTuple):
    """The inputs by which R searches explore."""

    valid: Tensor
    """`[R, A]` bool: the actions that are considered."""
    seeds: Tensor
    """`[R]` int64: of the hashes that ties are broken by."""
    noise: Tensor
    """`[R, A]`: Dirichlet or Gumbel samples for the roots."""


class Planner:
    """Searches for one game, in the `space` of its actions. Streams derive from `seed` and the caller's names.

    most_rows: of the batches that `exploit` will be asked about, if the first is not the largest.
    """

    def __init__(self, config: SearchConfig, space: ActionSpace, seed: int, num_threads: int, most_rows: int = 0) -> None:
        self._config, self._seed, self._num_threads = config, seed, num_threads
        self.space = space
        self._valid = np.zeros(space.size, np.bool_)
        self._valid[list(space.valid)] = True
        # On CUDA one graph per network and shape; the copies of a network are changed in place, which a graph sees.
        self._graphs: dict[tuple[EfficientZeroNetwork, torch.Size, bool], GraphedSearch] = {}
        self._most_rows = most_rows

    def draw_exploration(self, num_rows: int, *name: str | int) -> Exploration:
        """Draws root noise and seeds for a batch of so many searches, on the host, from the stream `name`."""
        rng = stream(self._seed, "search", *name)
        valid = self._valid_for(num_rows)
        seeds = torch.from_numpy(rng.integers(2**63, size=num_rows, dtype=np.int64))
        if self._config.policy == "gumbel":
            return Exploration(valid, seeds, gumbel_noise(rng, valid))
        return Exploration(valid, seeds, dirichlet_noise(rng, valid, self._config.dirichlet_alpha))

    @torch.no_grad()
    def explore(
        self, network: EfficientZeroNetwork, observations: Tensor, exploration: Exploration, *, fetch: bool = True
    ) -> SearchResult:
        """Searches with root noise and seeded ties, for self-play and reanalysis. observations: `[R, ...]`.

        fetch: have a captured search bring its results to the host, as `GraphedSearch` can; others leave them where they are.
        """
        return self._search(network, observations, *to_device(observations.device, *exploration), fetch=fetch)

    @torch.no_grad()
    def exploit(self, network: EfficientZeroNetwork, observations: Tensor) -> SearchResult:
        """Searches without noise, ties to the lowest action, for evaluation. observations: `[R, ...]`."""
        num_rows = len(observations)
        if self._captures(observations):
            # Games end and the batch shrinks: rows that nobody asked for keep the shape of the largest one.
            self._most_rows = max(self._most_rows, num_rows)
            filling = observations[:1].expand(self._most_rows - num_rows, -1, -1, -1)
            observations = torch.cat([observations, filling])
        valid = self._valid_for(len(observations)).to(observations.device)
        return first_rows(self._search(network, observations, valid, None, None), num_rows)

    def _search(
        self,
        network: EfficientZeroNetwork,
        observations: Tensor,
        valid: Tensor,
        seeds: Tensor | None,
        noise: Tensor | None,
        *,
        fetch: bool = True,
    ) -> SearchResult:
        if not self._captures(observations):
            return search(
                network,
                observations,
                self._config,
                valid_actions=valid,
                seeds=seeds,
                noise=noise,
                num_threads=self._num_threads,
            )
        key = (network, observations.shape, noise is None)
        if key not in self._graphs:
            self._graphs[key] = GraphedSearch(network, self._config)
        return self._graphs[key](observations, valid_actions=valid, seeds=seeds, noise=noise, fetch=fetch)

    def _captures(self, observations: Tensor) -> bool:
        return graphs_are_wanted(observations.device) and cuda_is_usable()

    def _valid_for(self, num_rows: int) -> Tensor:
        return torch.from_numpy(np.broadcast_to(self._valid, (num_rows, self.space.size)).copy())


def first_rows(result: SearchResult, num_rows: int) -> SearchResult:
    """Returns the results of the first roots alone; the tree still has all."""
    if num_rows == len(result.actions):
        return result
    return result._replace(
        visit_counts=result.visit_counts[:num_rows],
        root_values=result.root_values[:num_rows],
        action_weights=result.action_weights[:num_rows],
        actions=result.actions[:num_rows],
        root_output=ModelOutput(*(tensor[:num_rows] for tensor in result.root_output)),
    )
