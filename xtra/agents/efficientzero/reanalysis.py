"""What a target network is asked about the replay's positions, and a cache of its answers.

The target network changes every `target_update_interval` updates, a period, and in between the same positions are drawn again and
again. With `targets.reanalysis: per_period` each is searched, and each bootstrap value inferred, once per period.

The answers lie in tables on the network's device. Which positions they belong to, and where in the table, is known on the host,
so that it never waits for the device to learn what must be asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.replay.window import Int, Mask

Positions = tuple[Int, Int]
"""Positions in the replay: their rows, counted from the first ever, and their environments, two arrays of one shape."""

CPU = torch.device("cpu")

Array = TypeVar("Array", NDArray[Any], Tensor)
"""Arrays while the host works a question out, tensors once it has gone to the network's device."""


class Question(NamedTuple, Generic[Array]):
    """A question to a network about a batch of positions `[B, K]` (B samples, K steps), and the slots of a table in which its
    answers are kept.

    The network looks at R observations. The first U are asked about, and their answers are kept. The other R - U repeat these
    from the first on, so that on CUDA few values of R occur, for each of which a search is captured as a graph; their answers are
    dropped. `Memo.ask` asks about U different positions, `ask_all` about entries of the batch whatever their positions.
    """

    samples: Array
    """`[R]`: the sample of each observation."""
    steps: Array
    """`[R]`: its step."""
    write_slots: Array
    """`[U]`, all different: where in the table the first U answers are written."""
    read_slots: Array
    """`[B, K]`: where in the table the answer of each entry is read once these are written."""


def ask_all(alive: Mask, device: torch.device) -> Question[NDArray[Any]]:
    """Asks about every entry of `alive` `[B, K]` that is set, with a table of B * K answers for this batch alone; none repeats
    another. On CUDA it asks about all entries: then the search has one shape, and is captured as a graph once.

    The answer to an entry does not depend on which others are asked about.
    """
    samples, steps = (np.ones_like(alive) if device.type == "cuda" else alive).nonzero()
    return Question(samples, steps, samples * alive.shape[1] + steps, np.arange(alive.size).reshape(alive.shape))


class Memo:
    """A table with one answer of a network for each slot and environment of a replay.

    The answers are on the device. The host keeps, for each, the row that it is about and the number of the period, hence of the
    target network, that it was given in: 8 bytes.

    table: the replay's number of slots and of environments, `(L, N)`. item: the shape of an answer.
    """

    def __init__(self, table: tuple[int, ...], item: tuple[int, ...] = (), device: torch.device = CPU) -> None:
        self._answers = torch.zeros(*table, *item, device=device)
        self._rows = np.full(table, -1, np.int32)
        self._periods = np.full(table, -1, np.int32)

    @property
    def answers(self) -> Tensor:
        """The answers `[L * N, *item]`, on the device, to be read and written at the slots that a question names."""
        return self._answers.flatten(0, 1)

    def ask(self, positions: Positions, alive: Mask, period: int, device: torch.device) -> Question[NDArray[Any]]:
        """Asks about the entries that are set in `alive` `[B, K]` and have no answer of period number `period` yet, and only once
        about a position that several entries have. positions: of every entry.

        What is asked about is noted as answered at once, so the answers must be written before the next call. On CUDA it is
        repeated from the first entry on, up to a multiple of B observations.
        """
        asked = first_of_each(positions, alive & self.lacks(positions, period))
        write_slots = self.mark_answered((positions[0][asked], positions[1][asked]), period)
        if device.type == "cuda" and len(write_slots):
            asked = in_chunks(asked, len(alive))
        return Question(*asked, write_slots, self._table_slots(positions))

    def lacks(self, positions: Positions, period: int) -> Mask:
        """Tells which positions `[...]` have no answer of period number `period`: `[...]` bool."""
        slots, envs = self._slots(positions), positions[1]
        known: Mask = (self._rows[slots, envs] == positions[0]) & (self._periods[slots, envs] == period)
        return ~known

    def mark_answered(self, positions: Positions, period: int) -> Int:
        """Notes on the host that positions `[U]` have answers of period number `period`. Returns the slots `[U]` of the table
        that these must be written to."""
        slots, envs = self._slots(positions), positions[1]
        self._rows[slots, envs], self._periods[slots, envs] = positions[0], period
        return self._table_slots(positions)

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns the answers `[L, N, *item]`, and rows and periods `[L, N]`. A checkpoint must hold the answers: a search
        depends on the noise of the update that first asked for it, so to ask again later would give others."""
        return {"answers": self._answers.cpu().numpy().copy(), "rows": self._rows.copy(), "periods": self._periods.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Sets what `state` returned, `[L, N, ...]` each, for a replay of the same layout."""
        self._answers.copy_(torch.from_numpy(state["answers"]))
        self._rows[:], self._periods[:] = state["rows"], state["periods"]

    def _slots(self, positions: Positions) -> Int:
        return positions[0] % len(self._rows)

    def _table_slots(self, positions: Positions) -> Int:
        return self._slots(positions) * self._rows.shape[1] + positions[1]


class Memos:
    """The answers of a target network about a replay's positions: the policy `[A]` that its search finds, and the value that
    returns are bootstrapped from."""

    def __init__(self, table: tuple[int, ...], num_actions: int, device: torch.device = CPU) -> None:
        self.policies, self.values = Memo(table, (num_actions,), device), Memo(table, (), device)

    def ask(
        self, searched: Positions, alive: Mask, bootstrapped: Positions, inside: Mask, period: int, device: torch.device
    ) -> tuple[Question[NDArray[Any]], Question[NDArray[Any]]]:
        """Asks for the policies of positions `searched` `[n, K]` and the values of positions `bootstrapped` `[B, K]`, as
        `Memo.ask` does. alive `[n, K]`, inside `[B, K]`: which of them are needed.

        A search tells its root's value too, so positions that are searched now count as answered in both tables.
        """
        policies = self.policies.ask(searched, alive, period, device)
        distinct = len(policies.write_slots)
        asked = policies.samples[:distinct], policies.steps[:distinct]
        self.values.mark_answered((searched[0][asked], searched[1][asked]), period)
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


def first_of_each(positions: Positions, pending: Mask) -> tuple[Int, Int]:
    """Returns indices `[U]`, `[U]` into `pending` `[B, K]`, in order: of its set entries the first of each distinct position.

    positions: `[B, K]`, of all entries.
    """
    samples, steps = pending.nonzero()
    rows, envs = positions
    _, first = np.unique(np.stack([rows[samples, steps], envs[samples, steps]]), axis=1, return_index=True)
    first.sort()
    return samples[first], steps[first]


def in_chunks(indices: tuple[Int, Int], chunk: int) -> tuple[Int, Int]:
    """Repeats indices `[U]`, from the first on, up to a multiple of `chunk`: few lengths, for each of which a search is captured
    as a graph."""
    length = -(-len(indices[0]) // chunk) * chunk
    return np.resize(indices[0], length), np.resize(indices[1], length)


def put(table: Tensor, slots: Tensor, answers: Tensor) -> None:
    """Writes the first U of answers `[R, *item]` to slots `[U]` of a table `[P, *item]`; the others repeat them."""
    table.index_copy_(0, slots, answers[: len(slots)])
