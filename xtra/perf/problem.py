"""The problem that search engines are timed on: its sizes, what an engine must return, and a model that is the same for all.

The hash model: a latent is a 32-bit hash of the actions that led to it, and its predictions are a row of fixed tables. So a tree
is a function of its root, and all engines search the same tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.search import ModelOutput, _native


class SearchSize(NamedTuple):
    """One problem size."""

    batch: int
    """Roots."""
    num_actions: int
    num_simulations: int
    """Simulations of each root."""
    num_threads: int = 1


class SearchOutput(NamedTuple):
    """The results that a search must return to count."""

    visits: NDArray[np.integer]
    """`[B, A]`; each row sums to the simulations."""
    values: NDArray[np.floating]
    """`[B]`, finite."""


class NotInstalled(Exception):
    """Raised for an engine that cannot run here; the message says what to install."""


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
"""Sizes that are measured where none is asked for."""
STANDARD_NETWORK = [SearchSize(64, 18, 50)]
"""Sizes of searches with a network that are measured where none is asked for."""


def combinations(batches: list[int], actions: list[int], simulations: list[int], threads: list[int]) -> list[SearchSize]:
    """Returns all combinations; an empty list stands for 64 roots, 18 actions, 50 simulations or 1 thread."""
    return [SearchSize(*sizes) for sizes in product(batches or [64], actions or [18], simulations or [50], threads or [1])]


NUM_ROWS = 4096
MULTIPLIER = np.uint32(2654435761)


@dataclass(frozen=True)
class Tables:
    """float32; logits `[4096, A]` ~ N(0, 1), values `[4096]` ~ N(0, 1), rewards `[4096]` ~ N(0, 0.1)."""

    logits: NDArray[np.float32]
    values: NDArray[np.float32]
    rewards: NDArray[np.float32]


@lru_cache
def tables(num_actions: int) -> Tables:
    """Makes the tables for that many actions; the same in every process."""
    rng = np.random.default_rng(num_actions)
    logits = rng.normal(size=(NUM_ROWS, num_actions)).astype(np.float32)
    values, rewards = (rng.normal(scale=scale, size=NUM_ROWS).astype(np.float32) for scale in (1.0, 0.1))
    return Tables(logits, values, rewards)


def root_latents(batch: int) -> NDArray[np.uint32]:
    """Returns the latents, uint32 `[B]`, that the searches of a batch start from."""
    return np.arange(batch, dtype=np.uint32) * np.uint32(97) + np.uint32(1)


def mixed(latents: Any) -> Any:
    """Makes one round of the hash, on any array `[...]` of uint32."""
    return (latents ^ (latents >> 15)) * MULTIPLIER


def successors(latents: Any, actions: Any) -> Any:
    """Returns the latents, uint32 `[B]`, that the actions, uint32 `[B]`, lead to from `latents`, uint32 `[B]`."""
    return mixed(mixed(latents) + actions + np.uint32(1))


class NativeHashModel:
    """The hash model in C++, for our own engines: observations and latents are uint32 `[B]`, and it writes into the same buffers
    every time."""

    def __init__(self, batch: int, num_actions: int) -> None:
        given = tables(num_actions)
        self._tables = given
        self._output = ModelOutput(
            latent=torch.zeros(batch, dtype=torch.int32),
            value_prefix_state=torch.zeros(batch, 1),
            value_prefix=torch.zeros(batch),
            value=torch.zeros(batch),
            policy_logits=torch.zeros(batch, num_actions),
        )
        self._arrays = [tensor.numpy() for tensor in self._output]
        latent, state, prefix, value, logits = (tensor.data_ptr() for tensor in self._output)
        memory = {
            "logits": given.logits.ctypes.data,
            "values": given.values.ctypes.data,
            "rewards": given.rewards.ctypes.data,
            "latents_out": latent,
            "states_out": state,
            "prefixes_out": prefix,
            "values_out": value,
            "logits_out": logits,
        }
        self._model = _native.HashModel(batch, num_actions, NUM_ROWS, memory)

    def initial_inference(self, observations: NDArray[np.uint32], /) -> ModelOutput:
        rows = observations % NUM_ROWS
        latent, state, _prefix, value, logits = self._arrays
        latent[:] = observations.view(np.int32)
        state[:] = 0
        self._tables.values.take(rows, out=value)
        self._tables.logits.take(rows, axis=0, out=logits)
        return self._output

    def recurrent_inference(self, latent: Tensor, value_prefix_state: Tensor, actions: Tensor, /) -> ModelOutput:
        self._model.infer(latent.data_ptr(), value_prefix_state.data_ptr(), actions.data_ptr())
        return self._output
