"""What is benchmarked: a problem size in, visits and values out; and the sizes that are measured."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class SearchSize(NamedTuple):
    """One problem size."""

    batch: int
    """Roots."""
    num_actions: int
    num_simulations: int
    """Of each root."""
    num_threads: int = 1


class SearchOutput(NamedTuple):
    """What a search must hand over to count."""

    visits: NDArray[np.integer]
    """`[B, A]`; each row sums to the simulations."""
    values: NDArray[np.floating]
    """`[B]`, finite."""


class NotInstalled(Exception):
    """An engine cannot run here; the message says what to install."""


class Searcher(Protocol):
    """One engine, made ready for one size."""

    def __call__(self, index: int) -> SearchOutput:
        """Searches once. `index` varies the random numbers, where an engine lets its caller give them."""


BATCHES = [1, 8, 64, 256, 1536]
ACTIONS = [6, 18]
SIMULATIONS = [16, 50, 200, 800]

STANDARD = [
    SearchSize(1, 18, 50),
    SearchSize(8, 18, 50),
    SearchSize(64, 18, 50),
    SearchSize(256, 18, 50),
    SearchSize(64, 6, 50),
    SearchSize(64, 18, 16),
    SearchSize(64, 18, 200),
]
"""Measured where no size is asked for."""
STANDARD_NETWORK = [SearchSize(64, 18, 50)]
"""The same, of searches with a network."""


def combinations(batches: list[int], actions: list[int], simulations: list[int], threads: list[int]) -> list[SearchSize]:
    """All combinations; an empty list stands for 64 roots, 18 actions, 50 simulations or 1 thread."""
    return [SearchSize(*sizes) for sizes in product(batches or [64], actions or [18], simulations or [50], threads or [1])]
