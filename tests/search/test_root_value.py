"""A root's value by either of its definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xtra.search import FunctionModel, SearchConfig, search


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_the_roots_own_value_is_one_of_the_terms_or_left_out_as_released(engine: str) -> None:
    """One action, no rewards, no discount: values 10 at the root, then 1, 2 and 4 along the only path."""
    values = np.array([10, 1, 2, 4], np.float32)
    model = FunctionModel(
        lambda observations: np.zeros((1, 1), np.int64),
        lambda latent, state, actions: (latent + 1, state, np.zeros(1, np.float32)),
        lambda latent: (np.zeros((1, 1), np.float32), values[latent[:, 0]]),
    )
    found = {}
    for root_value in ("mean", "released"):
        config = SearchConfig(num_simulations=3, discount=1.0, root_value=root_value)
        found[root_value] = search(model, None, config, valid_actions=torch.ones(1, 1, dtype=torch.bool), engine=engine)
    # (10 + 1 + 2 + 4) / 4, and (1 + 2 + 4) / 3.
    assert found["mean"].root_values.tolist() == [4.25]
    assert found["released"].root_values.tolist() == pytest.approx([7 / 3])
    assert torch.equal(found["mean"].visit_counts, found["released"].visit_counts)
