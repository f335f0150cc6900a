"""The frame of every long stage: it goes on from where an earlier attempt stopped, moves until nothing is due, and saves what was
made.

Checkpoints are made when the stage asks for one, by time, and when the job is asked to stop. The moves and their order follow
from the stage's state alone, so when checkpoints came changes no result.
"""

from __future__ import annotations

import pickle
import shutil
import time
from typing import Any, Protocol

import torch

from xtra.search.engine import BadOutput
from xtra.stages.context import Diverged, StageContext
from xtra.store.checkpoint import CHECKPOINTS, REFUSED_CHECKPOINTS, Checkpoints
from xtra.store.files import DamagedError, StoreError


class Resumable(Protocol):
    """Work made of indivisible moves of at most a few seconds, so that a checkpoint between any two of them resumes exactly."""

    def move(self) -> bool:
        """Makes the one move that is due; returns False, without a move, when the work is complete."""
        ...

    def checkpoint_due(self) -> bool:
        """Tells whether a checkpoint is due after the last move, however much time has passed."""
        ...

    def state(self) -> dict[str, Any]:
        """Returns everything that the moves to come depend on, as `torch.save` takes it."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to that state. Raises DamagedError where a file that it names is not what it was."""
        ...

    def position(self) -> str:
        """Describes how far the work is, for people: `1,200 env steps and 800 updates`."""
        ...

    def save_outputs(self) -> None:
        """Saves the job's results."""
        ...


def complete(work: Resumable, context: StageContext) -> None:
    """Brings the work to its end from wherever it stands. Raises Stopped, with all saved, when the job was asked to stop."""
    saver = _Saver(work, context)
    saver.resume()
    context.stop.defer()
    while work.move():
        saver.save_if_due()
    work.save_outputs()


def complete_training(training: Resumable, context: StageContext) -> None:
    """Does what `complete` does, but leaves outputs and raises Diverged when a loss or a network's output is not finite."""
    try:
        complete(training, context)
    except (FloatingPointError, BadOutput) as error:
        training.save_outputs()
        raise Diverged(str(error)) from error


class _Saver:
    """The checkpoints of one piece of work, each named by the number of moves before it."""

    def __init__(self, work: Resumable, context: StageContext) -> None:
        self._work, self._context = work, context
        self._checkpoints = Checkpoints(context.work / CHECKPOINTS)
        self._num_moves = 0
        self._saved = time.monotonic()

    def resume(self) -> None:
        """Goes back to the newest checkpoint that is undamaged, as are the files that it names, or to the start if there is
        none.

        Raises StoreError where there are some and none will do, and puts them aside, so that the next attempt begins from the
        start: this one's work may have taken over a part of theirs.
        """
        refused = False
        for _, path in self._checkpoints.good():
            # Our own file, checksummed: it may hold NumPy arrays.
            state = torch.load(path, map_location="cpu", weights_only=False)
            try:
                self._work.restore(state["work"])
            except DamagedError as error:
                print(f"{error}; trying an earlier checkpoint")
                refused = True
                continue
            except KeyError as error:
                print(f"{path}: lacks {error}, so another release wrote it; trying an earlier checkpoint")
                refused = True
                continue
            self._num_moves = state["num_moves"]
            self._context.telemetry.rewind(state["metrics_size"])
            self._context.stop.resumes_from = self._work.position()
            print(f"going on from {self._work.position()}", flush=True)
            return
        if refused:
            aside = self._checkpoints.directory.with_name(REFUSED_CHECKPOINTS)
            shutil.rmtree(aside, ignore_errors=True)
            self._checkpoints.directory.replace(aside)
            raise StoreError(f"{aside}: no checkpoint was of use, and all are put aside there; run again to begin anew")
        self._context.telemetry.rewind(0)

    def save_if_due(self) -> None:
        """Called after each move. Raises Stopped, after saving, when the job was asked to stop."""
        self._num_moves += 1
        overdue = time.monotonic() - self._saved >= self._context.checkpoint_seconds
        if overdue or self._work.checkpoint_due() or self._context.stop.requested:
            self._save()
        self._context.stop.check()

    def _save(self) -> None:
        state = {"work": self._work.state(), "num_moves": self._num_moves, "metrics_size": self._context.telemetry.size()}
        self._checkpoints.save(self._num_moves, lambda file: torch.save(state, file, pickle_protocol=pickle.HIGHEST_PROTOCOL))
        self._context.telemetry.keep_progress(self._checkpoints.directory)
        self._saved = time.monotonic()
        self._context.stop.resumes_from = self._work.position()
