"""A cache of the target network's answers about the replay's positions, kept for as long as that network makes the targets.

The target network changes every `target_update_interval` updates, and in between the same positions are drawn again and again.
With `targets.reanalysis: per_period` each is searched, and each bootstrap value inferred, once per target network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xtra.replay.window import Float, Int, Mask

Places = tuple[Int, Int]
"""Rows, counted from the first ever, and environments of positions; of one shape."""


class Memo:
    """One answer of a network for each position that a replay holds.

    table: rows and environments of the replay's table. item: shape of an answer. Takes 8 bytes a position beside the answers.
    """

    def __init__(self, table: tuple[int, ...], item: tuple[int, ...] = ()) -> None:
        self._answers = np.zeros((*table, *item), np.float32)
        self._rows = np.full(table, -1, np.int32)
        self._periods = np.full(table, -1, np.int32)

    def lacks(self, places: Places, period: int) -> Mask:
        """Tells for which places `[...]` there is no answer of target network number `period`: `[...]`."""
        slots, envs = self._slots(places), places[1]
        known: Mask = (self._rows[slots, envs] == places[0]) & (self._periods[slots, envs] == period)
        return ~known

    def keep(self, places: Places, period: int, answers: Float) -> None:
        """Stores answers `[R, *item]` for places `[R]`."""
        slots, envs = self._slots(places), places[1]
        self._answers[slots, envs], self._rows[slots, envs], self._periods[slots, envs] = answers, places[0], period

    def read(self, places: Places) -> Float:
        """Returns the answers last kept for places `[...]`: `[..., *item]`."""
        return self._answers[self._slots(places), places[1]]

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns all arrays, `[rows, N, ...]` each: an answer cannot be had again once its noise has been drawn."""
        return {"answers": self._answers.copy(), "rows": self._rows.copy(), "periods": self._periods.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Sets the arrays that `state` returned, `[rows, N, ...]` each, for a replay of the same layout."""
        self._answers[:], self._rows[:], self._periods[:] = state["answers"], state["rows"], state["periods"]

    def _slots(self, places: Places) -> Int:
        return places[0] % len(self._rows)


class Memos:
    """The answers of a target network about a replay's positions: its search's policies `[A]` and its bootstrap values."""

    def __init__(self, table: tuple[int, ...], num_actions: int) -> None:
        self.policies, self.values = Memo(table, (num_actions,)), Memo(table)

    def state(self) -> dict[str, Any]:
        """Returns everything that is kept."""
        return {"policies": self.policies.state(), "values": self.values.state()}

    @staticmethod
    def restored(state: Mapping[str, Any]) -> Memos:
        """Returns memos that hold what `state` returned."""
        *table, num_actions = state["policies"]["answers"].shape
        memos = Memos(tuple(table), num_actions)
        memos.policies.restore(state["policies"])
        memos.values.restore(state["values"])
        return memos


def first_of_each(places: Places, pending: Mask) -> tuple[Int, Int]:
    """Returns indices `[R]`, `[R]` into `pending` `[B, K]`, in order: of its set entries the first one of each place `[B, K]`."""
    samples, steps = pending.nonzero()
    rows, envs = places
    _, first = np.unique(np.stack([rows[samples, steps], envs[samples, steps]]), axis=1, return_index=True)
    first.sort()
    return samples[first], steps[first]


def in_chunks(indices: tuple[Int, Int], chunk: int) -> tuple[Int, Int]:
    """Repeats indices `[R]` up to a multiple of `chunk`: few shapes, for each of which a search is captured as a graph."""
    length = -(-len(indices[0]) // chunk) * chunk
    return np.resize(indices[0], length), np.resize(indices[1], length)
