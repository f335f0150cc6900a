"""Every engine of the benchmark behind one call. A peer that is not installed raises `Absent` with what to install."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from xtra.perf.hash_model import NativeHashModel, root_latents
from xtra.search import SearchConfig, dirichlet_noise, gumbel_noise, search


class Cell(NamedTuple):
    """One problem size."""

    batch: int
    num_actions: int
    num_simulations: int
    num_threads: int = 1


class Found(NamedTuple):
    """What a search must hand over to count: visits `[B, A]` that sum to the simulations, values `[B]` that are finite."""

    visits: NDArray[np.integer]
    values: NDArray[np.floating]


class Absent(Exception):
    """This engine cannot run here; the message says why."""


class Searcher(Protocol):
    """One engine, made ready for one cell."""

    def __call__(self, index: int) -> Found:
        """Searches once. `index` varies the random numbers, where an engine lets its caller give them."""


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
        draw = gumbel_noise(rng, self._valid) if policy == "gumbel" else dirichlet_noise(rng, self._valid, 0.3)
        self._noise = draw

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


def _xtra(cell: Cell) -> Searcher:
    return XtraSearcher(cell, "puct")


def _xtra_gumbel(cell: Cell) -> Searcher:
    return XtraSearcher(cell, "gumbel")


def _lightzero(cell: Cell) -> Searcher:
    from xtra.perf.peers import LightZeroSearcher

    return LightZeroSearcher(cell)


def _mctx_muzero(cell: Cell) -> Searcher:
    from xtra.perf.peers import MctxSearcher

    return MctxSearcher(cell, "muzero")


def _mctx_gumbel(cell: Cell) -> Searcher:
    from xtra.perf.peers import MctxSearcher

    return MctxSearcher(cell, "gumbel")


ENGINES: dict[str, Callable[[Cell], Searcher]] = {
    "xtra": _xtra,
    "xtra_gumbel": _xtra_gumbel,
    "lightzero": _lightzero,
    "mctx_muzero": _mctx_muzero,
    "mctx_gumbel": _mctx_gumbel,
}
"""By the names of the report. `lightzero` is a replica of its EfficientZero search loop around its own C++ tree."""
