"""Our own search, as its users call it."""

from __future__ import annotations

import numpy as np
import torch

from xtra.perf.hash_model import NativeHashModel, root_latents
from xtra.perf.searcher import Cell, Found
from xtra.search import SearchConfig, dirichlet_noise, gumbel_noise, search


class XtraSearcher:
    """Our full Python call: workspace, noise, results. The hash model is C++; mctx compiles it, LightZero gets NumPy."""

    def __init__(self, cell: Cell, policy: str) -> None:
        self._cell = cell
        self._config = SearchConfig(num_simulations=cell.num_simulations, policy="gumbel" if policy == "gumbel" else "puct")
        self._model = NativeHashModel(cell.batch, cell.num_actions)
        self._roots = root_latents(cell.batch)
        self._valid = torch.ones(cell.batch, cell.num_actions, dtype=torch.bool)
        self._seeds = torch.arange(cell.batch)
        rng = np.random.default_rng(0)
        gumbel = policy == "gumbel"
        self._noise = gumbel_noise(rng, self._valid) if gumbel else dirichlet_noise(rng, self._valid, 0.3)

    def __call__(self, index: int) -> Found:
        result = search(
            self._model,
            self._roots,
            self._config,
            valid_actions=self._valid,
            seeds=self._seeds + index,
            noise=self._noise,
            num_threads=self._cell.num_threads,
        )
        return Found(result.visit_counts.numpy(), result.root_values.numpy())
