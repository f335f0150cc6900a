"""Which problem sizes are measured: a short list by default, or the product of what was asked for."""

from __future__ import annotations

from itertools import product

from xtra.perf.searcher import Cell

BATCHES = [1, 8, 64, 256, 1536]
ACTIONS = [6, 18]
SIMULATIONS = [16, 50, 200, 800]

STANDARD = [
    Cell(1, 18, 50),
    Cell(8, 18, 50),
    Cell(64, 18, 50),
    Cell(256, 18, 50),
    Cell(64, 6, 50),
    Cell(64, 18, 16),
    Cell(64, 18, 200),
]
STANDARD_NETWORK = [Cell(64, 18, 50)]


def cells(batches: list[int], actions: list[int], simulations: list[int], threads: list[int]) -> list[Cell]:
    """All combinations; where a list is empty, 64 roots, 18 actions, 50 simulations, 1 thread."""
    return [Cell(*sizes) for sizes in product(batches or [64], actions or [18], simulations or [50], threads or [1])]
