"""mctx on the hash model: `pip install mctx`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from xtra.perf.hash_model import MULTIPLIER, NUM_ROWS, root_latents, tables
from xtra.perf.searcher import Absent, Cell, Found
from xtra.search import SearchConfig

DISCOUNT = SearchConfig().discount


class MctxSearcher:
    """mctx's policy under jit, on the CPU, as one compiled call. It has no value prefixes: its edge rewards are the tables'."""

    def __init__(self, cell: Cell, policy: str) -> None:
        if find_spec("mctx") is None:
            raise Absent("mctx is not installed: pip install mctx")
        jax, mctx = import_module("jax"), import_module("mctx")
        given, numpy = tables(cell.num_actions), jax.numpy
        logits, values, rewards = (numpy.asarray(table) for table in (given.logits, given.values, given.rewards))
        run = mctx.muzero_policy if policy == "muzero" else mctx.gumbel_muzero_policy

        def mixed(latent: Any) -> Any:
            return (latent ^ (latent >> 15)) * numpy.uint32(MULTIPLIER)

        def recurrent(_params: Any, _key: Any, action: Any, latent: Any) -> tuple[Any, Any]:
            after = mixed(mixed(latent) + action.astype(numpy.uint32) + numpy.uint32(1))
            row = after % NUM_ROWS
            discount = numpy.full(latent.shape, DISCOUNT, dtype=numpy.float32)
            return mctx.RecurrentFnOutput(
                reward=rewards[row], discount=discount, prior_logits=logits[row], value=values[row]
            ), after

        def whole(key: Any, latent: Any) -> tuple[Any, Any]:
            row = latent % NUM_ROWS
            root = mctx.RootFnOutput(prior_logits=logits[row], value=values[row], embedding=latent)
            summary = run(None, key, root, recurrent, cell.num_simulations).search_tree.summary()
            return summary.visit_counts, summary.value

        self._key, self._jax = jax.random.PRNGKey, jax
        self._run = jax.jit(whole)
        self._roots = numpy.asarray(root_latents(cell.batch))

    def __call__(self, index: int) -> Found:
        visits, values = self._jax.block_until_ready(self._run(self._key(index), self._roots))
        return Found(np.asarray(visits), np.asarray(values))
