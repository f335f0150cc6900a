"""A teacher: EfficientZero on one game's dataset alone (facts: paper section 3)."""

from __future__ import annotations

from typing import Any

from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.replay.buffer import ReplayBuffer


class Teacher:
    """The online agent's update on a replay that nobody adds to."""

    def __init__(self, learner: EfficientZeroLearner, replay: ReplayBuffer) -> None:
        self._learner, self._replay = learner, replay

    def update(self, update: int) -> dict[str, float]:
        """Its reanalysis searches with the delayed target network, so that policies improve on those that played."""
        return self._learner.update(self._replay, update)

    def state(self) -> dict[str, Any]:
        """The learner and the priorities."""
        return {"learner": self._learner.state(), "replay": self._replay.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self._learner.restore(state["learner"])
        self._replay.restore(state["replay"])

    def network_state(self) -> dict[str, Any]:
        """The learning network's weights and batch-norm statistics."""
        return self._learner.network_state()
