"""Plans on a corridor of seven cells with a model written by hand: from the middle, the reward lies two steps to the right."""

import numpy as np
import torch

from xtra.search import FunctionModel, SearchConfig, search

CELLS, GOAL, LEFT, RIGHT = 7, 5, 0, 1


def dynamics(cells: np.ndarray, prefixes: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cells = np.clip(cells + np.where(actions == RIGHT, 1, -1), 0, CELLS - 1)
    prefixes = prefixes + (cells == GOAL)[:, None].astype(np.float32)  # rewards since the value prefix was last reset
    return cells, prefixes, prefixes[:, 0].copy()


def predict(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((len(cells), 2), np.float32), np.zeros(len(cells), np.float32)  # no prior knowledge, no value estimate


model = FunctionModel(represent=lambda cells: cells, dynamics=dynamics, predict=predict)
starts = np.array([3, 6])
result = search(model, starts, SearchConfig(num_simulations=50), valid_actions=torch.ones(2, 2, dtype=torch.bool))
for start, action, visits in zip(starts, result.actions.tolist(), result.visit_counts.tolist(), strict=True):
    print(f"from cell {start}: go {('left', 'right')[action]}, visits {visits}")
print(result.tree.dump(root=0, max_depth=2))
