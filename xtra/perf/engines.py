"""The engines of the benchmark by their names in the report. Making a peer that is missing raises `NotInstalled`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from xtra.perf.hash_model import NativeHashModel, root_latents
from xtra.perf.peers import LightZeroLoop, LightZeroSearch, MctxSearcher
from xtra.perf.problem import Searcher, SearchOutput, SearchSize
from xtra.search import SearchConfig, dirichlet_noise, gumbel_noise, search


class XtraSearcher:
    """Our search as its users call it. Its hash model is C++; mctx compiles its own, LightZero's is NumPy."""

    def __init__(self, size: SearchSize, policy: str) -> None:
        self._size = size
        self._config = SearchConfig(num_simulations=size.num_simulations, policy="gumbel" if policy == "gumbel" else "puct")
        self._model = NativeHashModel(size.batch, size.num_actions)
        self._roots = root_latents(size.batch)
        self._valid = torch.ones(size.batch, size.num_actions, dtype=torch.bool)
        self._seeds = torch.arange(size.batch)
        rng = np.random.default_rng(0)
        gumbel = policy == "gumbel"
        self._noise = gumbel_noise(rng, self._valid) if gumbel else dirichlet_noise(rng, self._valid, 0.3)

    def __call__(self, index: int) -> SearchOutput:
        result = search(
            self._model,
            self._roots,
            self._config,
            valid_actions=self._valid,
            seeds=self._seeds + index,
            noise=self._noise,
            num_threads=self._size.num_threads,
        )
        return SearchOutput(result.visit_counts.numpy(), result.root_values.numpy())


ENGINES: dict[str, Callable[[SearchSize], Searcher]] = {
    "xtra": lambda size: XtraSearcher(size, "puct"),
    "xtra_gumbel": lambda size: XtraSearcher(size, "gumbel"),
    "lightzero": LightZeroLoop,
    "lightzero_search": LightZeroSearch,
    "mctx_muzero": lambda size: MctxSearcher(size, "muzero"),
    "mctx_gumbel": lambda size: MctxSearcher(size, "gumbel"),
}
"""`lightzero` is a replica of its EfficientZero search loop around its own C++ tree, `lightzero_search` that loop itself."""
