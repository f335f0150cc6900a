"""Weights of the offline tasks in finetuning, by the direction of their gradients (Xu et al., 2023, section 4.2).

Every `interval` updates a window opens, in which each update also measures, per task, the cosine between its gradient and the
target's; when the window closes, the weights are set from those measurements. This module knows gradients and counters only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.registry import load_object
from xtra.transfer.config import TaskWeightConfig
from xtra.transfer.registry import TASK_WEIGHTS

Float64 = NDArray[np.float64]


class TaskWeights:
    """The weights of the tasks `games`, and the measurements that set them. Updates are numbered from 0.

    Subclasses say what a window's measurements come to: `weigh`.
    """

    def __init__(self, config: TaskWeightConfig, games: Sequence[str]) -> None:
        self._config, self._games = config, tuple(games)
        self.values: Float64 = np.full(len(games), config.initial)
        self.rows: list[dict[str, Any]] = []
        self._trials, self._hits, self._sums = (np.zeros(len(games)) for _ in range(3))

    def measures(self, update: int) -> bool:
        """Returns whether this update is inside a measuring window."""
        config = self._config
        since = update - config.start
        return since >= 0 and since % config.interval < config.window

    def weigh(self, trials: Float64, hits: Float64, sums: Float64) -> Float64:
        """Returns the tasks' weights `[T]` after a window. trials: updates in which a task was measured, at least 1; hits: those
        whose cosine was above the threshold; sums: of the cosines; each `[T]`. A task never drawn in the window keeps its own."""
        raise NotImplementedError

    def record(self, update: int, similarities: Float64) -> None:
        """Counts this update's cosines `[T]`, NaN for a task without a sample. The window's last update sets the weights, which
        hold from the next update on."""
        is_measured = ~np.isnan(similarities)
        self._trials += is_measured
        self._hits += np.where(is_measured, similarities > self._config.threshold, False)
        self._sums += np.where(is_measured, similarities, 0.0)
        if (update - self._config.start) % self._config.interval == self._config.window - 1:
            self._close(update)

    def state(self) -> dict[str, Any]:
        """Returns the weights, the counters of an open window, and the rows so far."""
        arrays = {name: getattr(self, name).copy() for name in ("values", "_trials", "_hits", "_sums")}
        return {**arrays, "rows": list(self.rows)}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        for name, value in state.items():
            setattr(self, name, value.copy())

    def _close(self, update: int) -> None:
        trials = np.maximum(self._trials, 1)
        mean = self._sums / trials
        similarities = [m if num_trials else None for m, num_trials in zip(mean.tolist(), self._trials.tolist(), strict=True)]
        weights = self.weigh(trials, self._hits, self._sums)
        # A task that was never drawn in the window keeps the weight it had.
        self.values = np.where(self._trials > 0, weights, self.values)
        for game, weight, similarity in zip(self._games, self.values.tolist(), similarities, strict=True):
            row = {"source_game": game, "updates": update + 1, "weight": weight, "gradient_similarity": similarity}
            self.rows.append(row)
        self._trials, self._hits, self._sums = (np.zeros(len(self._games)) for _ in range(3))


def make_task_weights(config: TaskWeightConfig, games: Sequence[str]) -> TaskWeights:
    """Makes the weights that the configuration's `method` names."""
    made: TaskWeights = load_object(TASK_WEIGHTS[config.method].factory)(config, games)
    return made


class PeriodicSimilarity(TaskWeights):
    """The share of a window's updates in which a task's gradient pointed with the target's (Xu et al., 2023)."""

    def weigh(self, trials: Float64, hits: Float64, sums: Float64) -> Float64:
        """Returns hits by trials, `[T]` each. With smoothing both counters start at 1, as in the released code, so that a task
        without a hit keeps a little weight."""
        share: Float64 = np.round((1 + hits) / (1 + trials), 2) if self._config.smoothing else hits / trials
        return share


class MeanSimilarity(TaskWeights):
    """The mean cosine, a negative one as 0."""

    def weigh(self, trials: Float64, hits: Float64, sums: Float64) -> Float64:
        """Returns the mean of each task's cosines `[T]`, or 0 where it is negative."""
        mean: Float64 = np.maximum(sums / trials, 0.0)
        return mean


class UniformWeights(TaskWeights):
    """Weights that stay as they begin: unitary scalarisation (Kurin et al., 2022)."""

    def measures(self, update: int) -> bool:
        """Returns False: there is nothing to measure for."""
        return False


def gradient(loss: Tensor, parameters: Sequence[Tensor], clamp: float) -> Tensor:
    """Returns the loss's gradient as one vector `[P]`, each element clamped to ±clamp, 0 for parameters that the loss does not
    depend on. The graph is kept, because the update itself still needs it."""
    parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    flat = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, parts, strict=True)]
    return torch.cat([part.flatten() for part in flat]).clamp_(-clamp, clamp)


def cosine(a: Tensor, b: Tensor) -> float:
    """Returns the cosine of two vectors `[P]`; 0 if either is 0."""
    product = a.norm() * b.norm()
    return float(a @ b / product) if product > 0 else 0.0
