"""Draws places in proportion to their mass: a tree of sums with 64 children per node, so that nothing is ever summed as a whole.

A node's sum is a function of its leaves alone, whatever the order of the changes: a tree built anew equals one kept up to date.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FAN_OUT = 64

Places = NDArray[np.int64]
Masses = NDArray[np.float64]


class SumTree:
    """A tree of sums over places 0 to L - 1. masses: `[L]`, at least 0."""

    def __init__(self, masses: Masses) -> None:
        self._num_places = len(masses)
        self._levels = [masses]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            padded = np.zeros(-(-len(below) // FAN_OUT) * FAN_OUT)
            padded[: len(below)] = below
            self._levels[-1] = padded
            self._levels.append(padded.reshape(-1, FAN_OUT).sum(axis=1))

    @property
    def total(self) -> float:
        """The sum of all masses."""
        return float(self._levels[-1][0])

    @property
    def masses(self) -> Masses:
        """The masses `[L]`, to be read only."""
        return self._levels[0][: self._num_places]

    def set(self, places: Places, masses: Masses | float) -> None:
        """Sets the masses of places `[P]`; where one is named twice the last counts."""
        self._levels[0][places] = masses
        for children, sums in zip(self._levels, self._levels[1:], strict=False):
            places = places // FAN_OUT
            sums[places] = children.reshape(-1, FAN_OUT)[places].sum(axis=1)

    def find(self, shares: Masses) -> Places:
        """Returns for each share `[P]` in [0, 1) the place where the running sum of the masses passes it; never a place of mass
        0."""
        sums = shares * self.total
        nodes = np.zeros(len(shares), np.int64)
        for children in reversed(self._levels[:-1]):
            running = children.reshape(-1, FAN_OUT)[nodes].cumsum(axis=1)
            # Rounding may carry what is sought up to the end, past the last child of any mass.
            sums = np.minimum(sums, np.nextafter(running[:, -1], 0.0))
            child = (running <= sums[:, None]).sum(axis=1)
            before = np.where(child > 0, running[np.arange(len(nodes)), child - 1], 0.0)
            sums, nodes = sums - before, nodes * FAN_OUT + child
        return nodes
