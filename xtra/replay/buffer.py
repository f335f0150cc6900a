"""Replay: every transition once, in lock-step rows of N environments, sampled by priority.

Row t holds what the N environments saw and did at their t-th step, so a trajectory is a run of rows in one column and a window is
a slice. The table is a ring of slots, one per row: the oldest rows are dropped once `capacity` is reached, and the slot of the
row dropped last is written next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xtra.replay.config import ReplayConfig
from xtra.replay.frames import FinalFrames, FrameStore, make_frame_store

OPEN = np.iinfo(np.int64).max
"""`last` of a trajectory that still runs."""

FAN_OUT = 64
"""Children of a node in the tree of sums."""

Places = NDArray[np.int64]
Masses = NDArray[np.float64]


class SumTree:
    """Draws places 0 to L - 1 in proportion to their masses `[L]`, at least 0: sums in a tree, never summed as a whole.

    A node's sum follows from its leaves alone, whatever the order of the changes: a tree built anew equals one kept up to date.
    """

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


@dataclass(frozen=True)
class Sample:
    """B transitions. rows, envs: `[B]` places, `rows` counted from the first ever. weights: `[B]` importance weights, at most
    1."""

    rows: NDArray[np.int64]
    envs: NDArray[np.int64]
    weights: NDArray[np.float32]


def table_rows(config: ReplayConfig, num_envs: int, expected_transitions: int) -> int:
    """Returns the number of slots of the table: one for each row held, and one that keeps the row dropped last."""
    return -(-min(config.capacity, expected_transitions) // num_envs) + 1


class ReplayBuffer:
    """Transitions of one game.

    window: steps after a transition that its training targets look at; it can be sampled once they exist or its trajectory has
    ended, and its priority is not 0. expected_transitions: how many will ever be added; memory is laid out for these or
    `config.capacity`, whichever is less. frames: where they lie already (offline data); else they are kept here.
    """

    def __init__(
        self,
        config: ReplayConfig,
        num_envs: int,
        frame_shape: tuple[int, int, int],
        num_actions: int,
        window: int,
        expected_transitions: int,
        frames: FrameStore | None = None,
    ) -> None:
        self._num_slots = table_rows(config, num_envs, expected_transitions)
        self._config, self._window = config, window
        self.num_envs, self.frame_shape, self.num_rows = num_envs, frame_shape, 0
        table = (self._num_slots, num_envs)
        self.frames = frames or make_frame_store(*table, frame_shape, config.frame_memory_gb)
        self.final_frames = FinalFrames(frame_shape)
        self.actions = np.zeros(table, np.int64)
        self.rewards = np.zeros(table, np.float32)
        self.policies = np.zeros((*table, num_actions), np.float32)
        self.root_values = np.zeros(table, np.float32)
        self.first = np.zeros(table, np.int64)
        self.last = np.full(table, OPEN, np.int64)
        self.priorities = np.zeros(table, np.float64)
        self._start = np.zeros(num_envs, np.int64)
        # Made when the first sample is drawn; from then on priorities change by `update_priorities` alone.
        self._masses: SumTree | None = None

    def __len__(self) -> int:
        """Transitions held."""
        return (self.num_rows - self.oldest_row) * self.num_envs

    @property
    def max_rows(self) -> int:
        """The number of rows that are held at most."""
        return self._num_slots - 1

    @property
    def oldest_row(self) -> int:
        """The oldest row held. Those before it are dropped; of these the last is still in its slot, the others are
        overwritten."""
        return max(0, self.num_rows - self.max_rows)

    def append(
        self,
        frames: NDArray[np.uint8],
        actions: NDArray[np.int64],
        rewards: NDArray[np.float32],
        terminal: NDArray[np.bool_],
        policies: NDArray[np.float32],
        root_values: NDArray[np.float32],
        final_frames: NDArray[np.uint8] | None = None,
    ) -> None:
        """Adds one row: the frames `[N, H, W, C]` seen, the ids `[N]` of what was done, what followed, and the search's `[N, A]`,
        `[N]` statistics. final_frames: `[N, H, W, C]`, read where a trajectory ended with the action: what was seen then."""
        row, slot = self.num_rows, self.num_rows % self._num_slots
        self.frames.write(slot, frames)
        self.final_frames.forget(slot, self.num_envs)
        self.actions[slot], self.rewards[slot] = actions, rewards
        self.policies[slot], self.root_values[slot] = policies, root_values
        self.first[slot], self.last[slot] = self._start, OPEN
        # New transitions are as urgent as the most urgent one in the table (EfficientZero); the row dropped last counts, too.
        in_table = self.priorities[: min(row, self._num_slots)]
        self.priorities[slot] = in_table.max() if in_table.size else 1.0
        self.num_rows += 1
        # This row, the one that it pushes out and the one whose window it fills.
        for changed in (row, self.oldest_row - 1, row - self._window):
            self._refresh_masses(np.full(self.num_envs, changed % self._num_slots), np.arange(self.num_envs))
        for env in np.flatnonzero(terminal):
            slots = self.slots(np.arange(max(self._start[env], self.oldest_row), row + 1))
            self.last[slots, env] = row
            self._start[env] = row + 1
            if final_frames is not None:
                self.final_frames.write(slot, int(env), final_frames[env])
            self._refresh_masses(slots, np.full(len(slots), env))

    def slots(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the slots `[...]` of rows `[...]`: their indices in the arrays of this buffer."""
        return rows % self._num_slots

    def sample(self, batch_size: int, rng: np.random.Generator, correction: float) -> Sample:
        """Draws places with probability ∝ priority^alpha, with replacement; `correction` is beta. Raises ValueError if none is
        ready. Whatever alpha is, a place of priority 0 is never drawn."""
        if self._masses is None:
            slots, envs = np.indices((self._num_slots, self.num_envs)).reshape(2, -1)
            self._masses = SumTree(self._mass(slots, envs))
        if self._masses.total <= 0.0:
            raise ValueError("the replay holds no transition whose window is complete")
        places = self._masses.find(rng.random(batch_size))
        masses = self._masses.masses
        probability = masses[places] / self._masses.total
        weights = (np.count_nonzero(masses) * probability) ** -correction
        slots, envs = np.divmod(places, self.num_envs)
        return Sample(self._rows(slots), envs, (weights / weights.max()).astype(np.float32))

    def update_priorities(self, sample: Sample, priorities: NDArray[np.float64]) -> None:
        """Sets the sampled transitions' priorities `[B]`; of repeated places the last one counts."""
        slots = self.slots(sample.rows)
        self.priorities[slots, sample.envs] = priorities + self._config.priority_epsilon
        self._refresh_masses(slots, sample.envs)

    def stacks(self, rows: NDArray[np.int64], envs: NDArray[np.int64], frame_stack: int) -> NDArray[np.uint8]:
        """Reads observations `[..., frame_stack, H, W, C]`, oldest frame first; at a trajectory's start its first frame is
        repeated.

        rows, envs: `[...]`. Rows past the newest one, or past the trajectory's end, must be clipped by the caller.
        """
        back = np.arange(frame_stack - 1, -1, -1)
        first = np.maximum(self.first[self.slots(rows), envs], self.oldest_row)
        frame_rows = np.maximum(rows[..., None] - back, first[..., None])
        return self.frames.read(self.slots(frame_rows), np.broadcast_to(envs[..., None], frame_rows.shape))

    def state(self) -> dict[str, Any]:
        """Returns what changes after a row is written; the rest is in segments (recording.py)."""
        used = min(self.num_rows, self._num_slots)
        return {
            "num_rows": self.num_rows,
            "start": self._start.copy(),
            "last": self.last[:used].copy(),
            "priorities": self.priorities[:used].copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Sets what `state` returned, for a buffer of the same layout whose rows are loaded already."""
        self.num_rows = state["num_rows"]
        self._start[:] = state["start"]
        self.last[: len(state["last"])] = state["last"]
        self.priorities[: len(state["priorities"])] = state["priorities"]
        self._masses = None

    def _rows(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the newest row that may stand in each slot; negative if none ever did."""
        newest = self.num_rows - 1
        return newest - (newest - slots) % self._num_slots

    def _mass(self, slots: NDArray[np.int64], envs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns the masses that places are drawn in proportion to: priority^alpha, or 0 while they cannot be drawn."""
        rows, priorities = self._rows(slots), self.priorities[slots, envs]
        ready = (self.last[slots, envs] != OPEN) | (rows + self._window < self.num_rows)
        # A trajectory whose first rows are overwritten is still whole from here on: stacks are clipped at `oldest_row`.
        ready &= (rows >= self.oldest_row) & (priorities > 0.0)
        return np.where(ready, priorities**self._config.priority_exponent, 0.0)

    def _refresh_masses(self, slots: NDArray[np.int64], envs: NDArray[np.int64]) -> None:
        if self._masses is not None:
            self._masses.set(slots * self.num_envs + envs, self._mass(slots, envs))
