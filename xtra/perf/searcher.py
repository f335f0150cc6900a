"""What a benchmarked search is: a problem size in, visits and values out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


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
