"""With the switches set as mctx has them, our trees are mctx's trees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xtra.perf.problem import MULTIPLIER, NUM_ROWS, NativeHashModel, root_latents, tables
from xtra.search import SearchConfig, search

BATCH, ACTIONS, SIMULATIONS = 32, 18, 50
DISCOUNT = 0.95


def test_the_switches_reproduce_mctx() -> None:
    """Value prefixes that reset at every ply are plain rewards. Near-ties may differ: 95 % of roots must be equal."""
    jax, mctx = pytest.importorskip("jax"), pytest.importorskip("mctx")
    arrays = jax.numpy
    given = tables(ACTIONS)
    logits, values, rewards = (arrays.asarray(table) for table in (given.logits, given.values, given.rewards))

    def recurrent(_params, _key, action, latent):
        def mixed(bits):
            return (bits ^ (bits >> 15)) * arrays.uint32(MULTIPLIER)

        after = mixed(mixed(latent) + action.astype(arrays.uint32) + arrays.uint32(1))
        row = after % NUM_ROWS
        discount = arrays.full(latent.shape, DISCOUNT, arrays.float32)
        return mctx.RecurrentFnOutput(reward=rewards[row], discount=discount, prior_logits=logits[row], value=values[row]), after

    latents = arrays.asarray(root_latents(BATCH))
    row = latents % NUM_ROWS
    root = mctx.RootFnOutput(prior_logits=logits[row], value=values[row], embedding=latents)
    theirs = mctx.muzero_policy(None, jax.random.PRNGKey(0), root, recurrent, SIMULATIONS, dirichlet_fraction=0.0)
    theirs = np.asarray(theirs.search_tree.summary().visit_counts)

    config = SearchConfig(
        num_simulations=SIMULATIONS,
        discount=DISCOUNT,
        min_max="per_node",
        exploration_visits="node",
        unvisited_q="min",
        value_delta_max=1e-8,
        lstm_horizon=1,
    )
    valid = torch.ones(BATCH, ACTIONS, dtype=torch.bool)
    ours = search(NativeHashModel(BATCH, ACTIONS), root_latents(BATCH), config, valid_actions=valid)
    assert (ours.visit_counts.numpy() == theirs).all(1).mean() >= 0.95
