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

from xtra.transfer.config import TaskWeightConfig

Float = NDArray[np.float64]


class TaskWeights:
    """The weights of the tasks `games`, and the measurements that set them. Updates are numbered from 0."""

    def __init__(self, config: TaskWeightConfig, games: Sequence[str]) -> None:
        self._config, self._games = config, tuple(games)
        self.values: Float = np.full(len(games), config.initial)
        self.rows: list[dict[str, Any]] = []
        self._trials, self._hits, self._sums = (np.zeros(len(games)) for _ in range(3))

    def measures(self, update: int) -> bool:
        """Returns whether this update is inside a measuring window."""
        config = self._config
        since = update - config.start
        return config.method != "uniform" and since >= 0 and since % config.interval < config.window

    def record(self, update: int, similarities: Float) -> None:
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
        if self._config.method == "mean_similarity":
            measured = np.maximum(mean, 0.0)
        elif self._config.smoothing:
            # Both counters start at 1 in the released code, so that a task without a hit keeps a little weight.
            measured = np.round((1 + self._hits) / (1 + self._trials), 2)
        else:
            measured = self._hits / trials
        # A task that was never drawn in the window keeps the weight it had.
        self.values = np.where(self._trials > 0, measured, self.values)
        for game, weight, similarity in zip(self._games, self.values.tolist(), similarities, strict=True):
            row = {"source_game": game, "updates": update + 1, "weight": weight, "gradient_similarity": similarity}
            self.rows.append(row)
        self._trials, self._hits, self._sums = (np.zeros(len(self._games)) for _ in range(3))


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
