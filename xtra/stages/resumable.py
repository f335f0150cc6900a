"""The frame of every training: go on from where an earlier attempt stopped, move until nothing is due, leave what was made."""

from __future__ import annotations

from typing import Protocol

from xtra.search.engine import BadOutput
from xtra.stages.context import Diverged


class Resumable(Protocol):
    """A training made of indivisible moves, so that a checkpoint between any two of them resumes exactly."""

    def resume(self) -> None:
        """Goes back to the newest good checkpoint, or to the start if there is none."""
        ...

    def move(self) -> bool:
        """Makes the one move that is due and saves a checkpoint if one is; False when the training is complete."""
        ...

    def save_outputs(self) -> None:
        """What the job leaves."""
        ...


def complete(training: Resumable) -> None:
    """Raises Diverged, with everything left that a finished training leaves, when a loss or a network's output is not finite."""
    training.resume()
    try:
        while training.move():
            pass
    except (FloatingPointError, BadOutput) as error:
        training.save_outputs()
        raise Diverged(str(error)) from error
    training.save_outputs()
