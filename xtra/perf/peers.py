"""The published searches that can be installed from PyPI, on the same hash model: `pip install mctx`, and `pip install --no-deps
LightZero==0.2.0` (its dependencies pin versions years old; its compiled trees need none of them)."""

from __future__ import annotations

from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xtra.perf.hash_model import MULTIPLIER, NUM_ROWS, root_latents, successors, tables
from xtra.perf.searcher import Absent, Cell, Found
from xtra.search import SearchConfig

LSTM_HORIZON = SearchConfig().lstm_horizon
DISCOUNT = SearchConfig().discount


def load_lightzero_tree() -> Any:
    """LightZero's EfficientZero tree, loaded by file: importing the package itself pulls in DI-engine."""
    package = PathFinder.find_spec("lzero")
    folders = [] if package is None else list(package.submodule_search_locations or [])
    found = [path for folder in folders for path in Path(folder).glob("mcts/ctree/ctree_efficientzero/ez_tree.*.so")]
    for path in found:
        spec = spec_from_file_location("ez_tree", path)
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise Absent("LightZero is not installed: pip install --no-deps LightZero==0.2.0 (Python 3.8 to 3.11)")


class LightZeroSearcher:
    """The loop of LightZero's `EfficientZeroMCTSCtree.search`, conversion by conversion: latents and both LSTM states
    gathered root by root, everything to torch and back. The network is the hash model in NumPy, without bins to decode."""

    def __init__(self, cell: Cell) -> None:
        self._tree = load_lightzero_tree()
        self._cell = cell
        self._tables = tables(cell.num_actions)
        self._roots = root_latents(cell.batch)[:, None]
        self._legal = [list(range(cell.num_actions)) for _ in range(cell.batch)]
        rng = np.random.default_rng(0)
        self._noise = rng.dirichlet(np.full(cell.num_actions, 0.3), size=cell.batch).tolist()

    def __call__(self, index: int) -> Found:
        batch, tree = self._cell.batch, self._tree
        to_play = [-1] * batch
        roots = tree.Roots(batch, self._legal)
        logits = self._tables.logits[self._roots[:, 0] % NUM_ROWS]
        roots.prepare(0.25, self._noise, [0.0] * batch, logits.tolist(), to_play)
        latents = [self._roots.view(np.int32)]
        cells, hiddens = [np.zeros((1, batch, 1), dtype=np.float32)], [np.zeros((1, batch, 1), dtype=np.float32)]
        min_max = tree.MinMaxStatsList(batch)
        min_max.set_delta(0.01)
        for simulation in range(self._cell.num_simulations):
            results = tree.ResultsWrapper(num=batch)
            slots, places, actions, virtual = tree.batch_traverse(roots, 19652, 1.25, DISCOUNT, min_max, results, to_play)
            leaves = list(zip(slots, places, strict=True))
            latent_in = torch.from_numpy(np.asarray([latents[slot][place] for slot, place in leaves]))
            cell_state = torch.from_numpy(np.asarray([cells[slot][0][place] for slot, place in leaves])).unsqueeze(0)
            hidden = torch.from_numpy(np.asarray([hiddens[slot][0][place] for slot, place in leaves])).unsqueeze(0)
            chosen = torch.from_numpy(np.asarray(actions)).long()
            latent, cell_state, hidden, prefix, value, policy = self._infer(latent_in, cell_state, hidden, chosen)
            latents.append(latent.detach().cpu().numpy())
            prefixes = prefix.detach().cpu().numpy().reshape(-1).tolist()
            values = value.detach().cpu().numpy().reshape(-1).tolist()
            resets = np.asarray(results.get_search_len()) % LSTM_HORIZON == 0
            for states, state in ((cells, cell_state), (hiddens, hidden)):
                states.append(state.detach().cpu().numpy())
                states[-1][:, resets, :] = 0
            is_reset = resets.astype(np.int32).tolist()
            tree.batch_backpropagate(
                simulation + 1, DISCOUNT, prefixes, values, policy.cpu().numpy().tolist(), min_max, results, is_reset, virtual
            )
        return Found(np.asarray(roots.get_distributions()), np.asarray(roots.get_values()))

    def _infer(self, latent: Tensor, cell: Tensor, hidden: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        after = successors(latent.numpy().view(np.uint32)[:, 0], actions.numpy().astype(np.uint32))
        rows = after % NUM_ROWS
        total = cell.numpy() + self._tables.rewards[rows][None, :, None]
        outputs = (
            after.view(np.int32)[:, None],
            total,
            hidden.numpy() + 1,
            total[0],
            self._tables.values[rows],
            self._tables.logits[rows],
        )
        return tuple(torch.from_numpy(output) for output in outputs)


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
