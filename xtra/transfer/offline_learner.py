"""What learns from data that does not change: teachers, students, cloners, and whatever else is pretrained."""

from __future__ import annotations

from typing import Any, Protocol


class OfflineLearner(Protocol):
    """It holds no generator state: draws derive from the seed and the number of the update."""

    def update(self, update: int) -> dict[str, float]:
        """Optimiser step number `update` (from 0); returns metrics. Raises FloatingPointError when the loss is not finite."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs to go on bit for bit, the replays' priorities included; the data themselves are not."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Sets everything to what `state` returned."""
        ...

    def network_state(self) -> dict[str, Any]:
        """The trained network alone."""
        ...
