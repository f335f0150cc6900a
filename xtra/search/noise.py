"""Exploration noise for the roots, drawn by the caller from a stream of its own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def dirichlet_noise(rng: np.random.Generator, valid_actions: Tensor, alpha: float) -> Tensor:
    """Dirichlet(alpha) over each root's valid actions: float32 `[B, A]` on the CPU, 0 where not valid, rows sum to 1.

    The numbers of a root depend on `rng` and on how many valid actions the roots before it have, so draw one root at a time
    from a stream of its own where the place in the batch must not matter.
    """
    valid = valid_actions.cpu().numpy()
    noise = np.zeros(valid.shape, dtype=np.float32)
    counts = valid.sum(axis=1)
    if (counts == counts[0]).all():
        # The same numbers, drawn at once: a call per root costs more than the search of a small tree.
        noise[valid] = rng.dirichlet(np.full(int(counts[0]), alpha), size=len(valid)).ravel()
    else:
        for row, mask, count in zip(noise, valid, counts.tolist(), strict=True):
            row[mask] = rng.dirichlet(np.full(count, alpha))
    return torch.from_numpy(noise)


def gumbel_noise(rng: np.random.Generator, valid_actions: Tensor) -> Tensor:
    """Standard Gumbel samples, float32 `[B, A]` on the CPU, for the root policy `gumbel`."""
    return torch.from_numpy(rng.gumbel(size=tuple(valid_actions.shape)).astype(np.float32))
