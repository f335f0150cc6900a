"""What every engine offers to `search`: the same calls, the same numbers."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from numpy.typing import NDArray
from torch import Tensor

from xtra.search.types import ModelOutput

EngineName = Literal["auto", "native", "reference"]
"""`auto` takes the fastest for the device; the others are for tests and comparisons."""


class BadOutput(Exception):
    """A model's output that cannot be searched with: which root, which field of ModelOutput."""

    def __init__(self, root: int, field: str) -> None:
        super().__init__(f"{field} of root {root}")
        self.root = root
        self.field = field


class Engine(Protocol):
    """Trees, latents and recurrent states of one batch of roots; memory is bound when it is made."""

    latent: Tensor
    """`[B, ...]`: what the next inference reads; overwritten by `begin` and `step`."""
    value_prefix_state: Tensor
    """`[B, ...]`, as above."""
    actions: Tensor
    """int64 `[B]`, as above."""

    def begin(self, priors: Tensor, output: ModelOutput, valid: Tensor, root_bias: Tensor | None, seeds: Tensor | None) -> None:
        """Plants the roots and selects the first leaves. `priors`: after softmax and noise; the rest as `search` got it."""

    def step(self, simulation: int, priors: Tensor, output: ModelOutput) -> None:
        """Expands the selected leaves, backs their values up and selects the next."""

    def read_nodes(self) -> NDArray[Any]:
        """A copy of the trees as `xtra.search.tree.node_fields`, `[B, S + 1]`."""

    def root_rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of each root: visits of its children int32 `[B, A]`, their Q float32 `[B, A]`, its mean value float32 `[B]`."""
