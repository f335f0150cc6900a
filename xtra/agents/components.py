"""Networks made of named components, which transfer loads and freezes one by one (Xu et al., 2023)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Self

from torch import Tensor, nn


class ComponentNetwork(nn.Module):
    """A network whose children are its components. A frozen one keeps its weights and its batch-norm statistics."""

    def __init__(self) -> None:
        super().__init__()
        self._frozen: frozenset[str] = frozenset()

    @property
    def components(self) -> tuple[str, ...]:
        """The names of its components."""
        return tuple(name for name, _ in self.named_children())

    def load_components(self, state: Mapping[str, Tensor], names: Collection[str]) -> None:
        """Loads the named components, strictly, from another network's `state_dict`; the others stay as they are.

        Raises ValueError for a component that this kind of network does not have, or whose shapes differ.
        """
        for name in names:
            prefix = f"{name}."
            part = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            try:
                self._component(name).load_state_dict(part)
            except RuntimeError as error:
                raise ValueError(f"component {name} does not fit the network it is loaded into: {error}") from None

    def freeze(self, names: Collection[str]) -> None:
        """Freezes the named components: no gradient reaches them, and `train` leaves them in evaluation mode."""
        for name in names:
            self._component(name).requires_grad_(False).eval()
        self._frozen = frozenset(names)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for name in self._frozen:
            self._component(name).eval()
        return self

    def ensure_training(self) -> None:
        """Puts the network into training mode if it is in another: every update asks for it, and there are a hundred layers."""
        if not self.training:
            self.train()

    def _component(self, name: str) -> nn.Module:
        if name not in self.components:
            raise ValueError(f"{type(self).__name__} has no component {name!r}; it has {', '.join(self.components)}")
        return self.get_submodule(name)
