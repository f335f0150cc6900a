"""A cache of the target network's answers about the replay's positions, kept for as long as that network makes the targets.

The target network changes every `target_update_interval` updates, and in between the same positions are drawn again and again.
With `targets.reanalysis: per_period` each is searched, and each bootstrap value inferred, once per target network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.replay.window import Int, Mask

Places = tuple[Int, Int]
"""Rows, counted from the first ever, and environments of positions; of one shape."""

CPU = torch.device("cpu")

Array = TypeVar("Array", NDArray[Any], Tensor)
"""Arrays on the host, tensors where the network is."""


class Question(NamedTuple, Generic[Array]):
    """The entries, R of `[B, K]`, of a batch that a network is asked about, and where in a table the answers lie."""

    samples: Array
    """`[R]`: with `steps`, whose observations to look at; those from U on repeat the first ones."""
    steps: Array
    """`[R]`."""
    kept: Array
    """`[U]`: the answer's place in the table for each of the first U, all different."""
    read: Array
    """`[B, K]`: the place of each entry's answer."""


def ask_all(alive: Mask, device: torch.device) -> Question[NDArray[Any]]:
    """Asks for every entry of `alive` `[B, K]` that is set, with a table of B * K answers for this batch alone; for all on CUDA,
    where a search of one shape is captured as a graph once.

    What comes of an entry does not depend on the others.
    """
    samples, steps = (np.ones_like(alive) if device.type == "cuda" else alive).nonzero()
    return Question(samples, steps, samples * alive.shape[1] + steps, np.arange(alive.size).reshape(alive.shape))


class Memo:
    """One answer of a network for each position that a replay holds, on the device, and on the host for which positions.

    table: rows and environments of the replay's table. item: shape of an answer. Takes 8 bytes a position beside the answers.
    """

    def __init__(self, table: tuple[int, ...], item: tuple[int, ...] = (), device: torch.device = CPU) -> None:
        self._answers = torch.zeros(*table, *item, device=device)
        self._rows = np.full(table, -1, np.int32)
        self._periods = np.full(table, -1, np.int32)

    @property
    def answers(self) -> Tensor:
        """The table of answers, `[rows * N, *item]`, to be read and written."""
        return self._answers.flatten(0, 1)

    def ask(self, places: Places, alive: Mask, period: int, device: torch.device) -> Question[NDArray[Any]]:
        """Asks for those set entries of `alive` `[B, K]` that have no answer of target network number `period` yet, and counts on
        answers to all before it is asked again. places: those of all entries.

        On CUDA the entries are filled up to a multiple of B.
        """
        asked = first_of_each(places, alive & self.lacks(places, period))
        kept = self.promise((places[0][asked], places[1][asked]), period)
        if device.type == "cuda" and len(kept):
            asked = in_chunks(asked, len(alive))
        return Question(*asked, kept, self._places_of_answers(places))

    def lacks(self, places: Places, period: int) -> Mask:
        """Tells for which places `[...]` there is no answer of target network number `period`: `[...]`."""
        slots, envs = self._slots(places), places[1]
        known: Mask = (self._rows[slots, envs] == places[0]) & (self._periods[slots, envs] == period)
        return ~known

    def promise(self, places: Places, period: int) -> Int:
        """Notes that places `[R]` have answers of target network number `period`. Returns where in the table these belong:
        `[R]`."""
        slots, envs = self._slots(places), places[1]
        self._rows[slots, envs], self._periods[slots, envs] = places[0], period
        return self._places_of_answers(places)

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns all arrays, `[rows, N, ...]` each: an answer cannot be had again once its noise has been drawn."""
        return {"answers": self._answers.cpu().numpy().copy(), "rows": self._rows.copy(), "periods": self._periods.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Sets the arrays that `state` returned, `[rows, N, ...]` each, for a replay of the same layout."""
        self._answers.copy_(torch.from_numpy(state["answers"]))
        self._rows[:], self._periods[:] = state["rows"], state["periods"]

    def _slots(self, places: Places) -> Int:
        return places[0] % len(self._rows)

    def _places_of_answers(self, places: Places) -> Int:
        return self._slots(places) * self._rows.shape[1] + places[1]


class Memos:
    """The answers of a target network about a replay's positions: its search's policies `[A]` and its bootstrap values."""

    def __init__(self, table: tuple[int, ...], num_actions: int, device: torch.device = CPU) -> None:
        self.policies, self.values = Memo(table, (num_actions,), device), Memo(table, (), device)

    def ask(
        self, searched: Places, alive: Mask, bootstrapped: Places, inside: Mask, period: int, device: torch.device
    ) -> tuple[Question[NDArray[Any]], Question[NDArray[Any]]]:
        """Asks for the policies of places `[n, K]` and for the values of places `[B, K]`, as `Memo.ask` does. alive, inside: the
        entries that are needed. A search tells its root's value, too."""
        policies = self.policies.ask(searched, alive, period, device)
        asked = policies.samples[: len(policies.kept)], policies.steps[: len(policies.kept)]
        self.values.promise((searched[0][asked], searched[1][asked]), period)
        return policies, self.values.ask(bootstrapped, inside, period, device)

    def state(self) -> dict[str, Any]:
        """Returns everything that is kept."""
        return {"policies": self.policies.state(), "values": self.values.state()}

    @staticmethod
    def restored(state: Mapping[str, Any], device: torch.device = CPU) -> Memos:
        """Returns memos that hold what `state` returned."""
        *table, num_actions = state["policies"]["answers"].shape
        memos = Memos(tuple(table), num_actions, device)
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


def put(table: Tensor, places: Tensor, answers: Tensor) -> None:
    """Writes the first of answers `[R, *item]` to places `[U]` of a table `[P, *item]`; the rest repeat them."""
    table.index_copy_(0, places, answers[: len(places)])
