"""The interface of engines to `search`: all take the same calls and give the same numbers. And the pool of engines that are kept
between two searches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Literal, NamedTuple, Protocol

from numpy.typing import NDArray
from torch import Tensor

from xtra.search.model import ModelOutput

EngineName = Literal["auto", "reference", "portable", "avx2", "avx512", "emulated_warp", "offload"]
"""`auto` takes the fastest for the device; the others are for tests and comparisons: the NumPy definition, the CPU engine for one
instruction set, the CUDA path on 32 threads, and trees on the CPU with latents wherever the network is."""

ERROR_FIELDS = {1: "policy_logits", 2: "value", 3: "value_prefix", 4: "valid_actions", 5: "noise"}
"""Fields at fault, by the error numbers that the engines report (csrc/rules.hpp, Error)."""


class BadOutput(ValueError):
    """A model's output that cannot be searched with."""

    def __init__(self, source: str, root: int, error: int) -> None:
        """source: the method it came from.  error: a key of `ERROR_FIELDS`."""
        field = ERROR_FIELDS[error]
        if field == "valid_actions":
            super().__init__(f"valid_actions of root {root} has no valid action; expected at least one")
        elif field == "noise":
            fault = f"noise of root {root} has entries that are not finite, or make a prior negative"
            super().__init__(f"{fault}; expected finite Dirichlet samples, or policy='gumbel' for Gumbel samples")
        else:
            super().__init__(f"{source}: {field} of root {root} is not finite; expected finite numbers")


class Roots(NamedTuple):
    """The roots of a search besides the model's output, already checked."""

    valid: Tensor
    """bool `[B, A]`."""
    noise: Tensor | None
    """float32 `[B, A]`, to be mixed into the roots' priors, or None."""
    bias: Tensor | None
    """float32 `[B, A]`: Gumbel + logits, under the root policy `gumbel` alone."""
    seeds: Tensor | None
    """int64 or uint64 `[B]`, or None: ties go to the lowest index."""


class RootStatistics(NamedTuple):
    """The results of a search at its roots; owned by the caller."""

    visits: Tensor
    """int32 `[B, A]`, of the root's children."""
    q: Tensor
    """float32 `[B, A]`, of the root's visited children, else 0."""
    values: Tensor
    """float32 `[B]`, the root's mean value."""


class Engine(Protocol):
    """Trees, latents and recurrent states of one batch of roots; memory is bound when it is made and serves many searches."""

    @property
    def latent(self) -> Tensor:
        """Latents `[B, ...]` that the next inference reads; overwritten by `begin` and `step`."""

    @property
    def value_prefix_state(self) -> Tensor:
        """Recurrent states `[B, ...]`, as above."""

    @property
    def actions(self) -> Tensor:
        """Actions, int64 `[B]`, as above."""

    @property
    def nbytes(self) -> int:
        """Bytes of the memory that was bound when it was made."""

    def begin(self, roots: Roots, output: ModelOutput) -> None:
        """Sets the roots up and selects the first leaves."""

    def step(self, simulation: int, output: ModelOutput) -> None:
        """Expands the selected leaves, backs their values up and selects the next."""

    def finish(self) -> RootStatistics:
        """Returns the roots' statistics. Called after the last step."""

    def read_nodes(self) -> NDArray[Any]:
        """Copies the trees: `xtra.search.tree.node_fields`, `[B, S + 1]`."""


MAX_KEPT_ENGINES = 4
"""Idle engines kept at most: self-play, reanalysis and evaluation each have a shape of their own."""

MAX_KEPT_BYTES = 2**26
"""Bytes of idle engines kept at most, but for the one used last: one of 192 roots and 50 simulations at paper size holds 130 MB,
and reanalysis, whose number of roots differs from update to update, would leave one for each."""

_kept: list[tuple[Hashable, Engine]] = []  # longest idle first
_lock = threading.RLock()  # the garbage collector may call `return_engine` inside `borrow_engine`


def borrow_engine(key: Hashable, make: Callable[[], Engine]) -> Engine:
    """Returns an idle engine that was given back under the same key, or a new one. It is the caller's alone until it is given
    back."""
    with _lock:
        for kept_under, engine in _kept:
            if kept_under == key:
                # By identity, since `return_engine` may have moved it meanwhile.
                _kept[:] = [entry for entry in _kept if entry[1] is not engine]
                return engine
        _drop_idle(least=0)  # before the new one, which can have their memory
    return make()


def return_engine(key: Hashable, engine: Engine) -> None:
    """Offers an engine for the next search; those idle for longest are dropped if they are too many or too large."""
    with _lock:
        _kept.append((key, engine))
        _drop_idle(least=1)


def _drop_idle(least: int) -> None:
    """Drops the engines idle for longest until the others are within the limits, or only `least` are left."""
    while len(_kept) > least and (len(_kept) > MAX_KEPT_ENGINES or sum(one.nbytes for _, one in _kept) > MAX_KEPT_BYTES):
        del _kept[0]
