"""The engines that are timed, by their names in the report: ours, and published ones on the same hash model.

Those are LightZero 0.2.0 (`pip install --no-deps LightZero==0.2.0`) and mctx (`pip install mctx`); making one that is not
installed raises `NotInstalled`. LightZero's dependencies pin versions years old, and importing the package pulls in DI-engine;
its compiled trees and the file with its search need none of that, so they are loaded one by one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.perf.problem import (
    MULTIPLIER,
    NUM_ROWS,
    NativeHashModel,
    NotInstalled,
    Searcher,
    SearchOutput,
    SearchSize,
    root_latents,
    successors,
    tables,
)
from xtra.search import SearchConfig, dirichlet_noise, gumbel_noise, search


class XtraSearcher:
    """Our search as its users call it. Its hash model is C++; mctx compiles its own, LightZero's is NumPy."""

    def __init__(self, size: SearchSize, policy: str) -> None:
        self._size = size
        self._config = SearchConfig(num_simulations=size.num_simulations, policy="gumbel" if policy == "gumbel" else "puct")
        self._model = NativeHashModel(size.batch, size.num_actions)
        self._roots = root_latents(size.batch)
        self._valid = torch.ones(size.batch, size.num_actions, dtype=torch.bool)
        self._seeds = torch.arange(size.batch)
        rng = np.random.default_rng(0)
        gumbel = policy == "gumbel"
        self._noise = gumbel_noise(rng, self._valid) if gumbel else dirichlet_noise(rng, self._valid, 0.3)

    def __call__(self, index: int) -> SearchOutput:
        result = search(
            self._model,
            self._roots,
            self._config,
            valid_actions=self._valid,
            seeds=self._seeds + index,
            noise=self._noise,
            num_threads=self._size.num_threads,
        )
        return SearchOutput(result.visit_counts.numpy(), result.root_values.numpy())


LSTM_HORIZON = SearchConfig().lstm_horizon
DISCOUNT = SearchConfig().discount


def load_file(name: str, pattern: str) -> Any:
    """Loads the file of the installed package that matches, as a module of that name."""
    package = PathFinder.find_spec("lzero")
    folders = [] if package is None else list(package.submodule_search_locations or [])
    for path in (path for folder in folders for path in Path(folder).glob(pattern)):
        spec = spec_from_file_location(name, path)
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise NotInstalled("LightZero is not installed: pip install --no-deps LightZero==0.2.0 (Python 3.8 to 3.11)")


def load_tree() -> Any:
    """Loads LightZero's EfficientZero tree."""
    return load_file("ez_tree", "mcts/ctree/ctree_efficientzero/ez_tree.*.so")


class LightZeroRoots:
    """The roots of a problem size in LightZero's types."""

    def __init__(self, size: SearchSize, tree: Any) -> None:
        self.tree = tree
        self.latents: NDArray[np.int32] = root_latents(size.batch)[:, None].view(np.int32)
        self._logits = tables(size.num_actions).logits[root_latents(size.batch) % NUM_ROWS]
        self._legal = [list(range(size.num_actions)) for _ in range(size.batch)]
        self._noise = np.random.default_rng(0).dirichlet(np.full(size.num_actions, 0.3), size=size.batch).tolist()

    def roots(self) -> tuple[Any, list[int]]:
        """Makes new roots with their priors and noise, and for each -1: no player is to move."""
        batch = len(self.latents)
        to_play = [-1] * batch
        roots = self.tree.Roots(batch, self._legal)
        roots.prepare(0.25, self._noise, [0.0] * batch, self._logits.tolist(), to_play)
        return roots, to_play

    def states(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the LSTM's cell and hidden states, `[1, B, 1]`."""
        shape = (1, len(self.latents), 1)
        return np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)


class LightZeroNetwork:
    """The hash model in NumPy. Inputs and outputs are those of LightZero's networks, but scalars rather than bins."""

    def __init__(self, size: SearchSize) -> None:
        given = tables(size.num_actions)
        self._logits, self._rewards, self._values = given.logits, given.rewards, given.values

    def eval(self) -> None:
        """Does nothing: it has no other mode."""

    def infer(self, latent: Tensor, cell: Tensor, hidden: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        """Returns latent `[B, 1]`, cell and hidden state `[1, B, 1]`, value prefix and value, and logits `[B, A]`."""
        after = successors(latent.numpy().view(np.uint32)[:, 0], actions.numpy().astype(np.uint32))
        rows = after % NUM_ROWS
        total = cell.numpy() + self._rewards[rows][None, :, None]
        outputs = (
            after.view(np.int32)[:, None],
            total,
            hidden.numpy() + 1,
            total[0],
            self._values[rows],
            self._logits[rows],
        )
        return tuple(torch.from_numpy(output) for output in outputs)

    def recurrent_inference(self, latent: Tensor, states: tuple[Tensor, Tensor], actions: Tensor) -> SimpleNamespace:
        """Infers for LightZero's own search from latents `[B, 1]`, both LSTM states `[1, B, 1]` and actions `[B]`."""
        latent, cell, hidden, prefix, value, logits = self.infer(latent, *states, actions)
        return SimpleNamespace(
            latent_state=latent,
            reward_hidden_state=(cell, hidden),
            value_prefix=_scaled(prefix),
            value=_scaled(value),
            policy_logits=logits,
        )


def _scaled(value: Tensor) -> Tensor:
    """Computes MuZero's h, which LightZero's search inverts."""
    return value.sign() * ((value.abs() + 1).sqrt() - 1) + 0.001 * value


class LightZeroLoop:
    """The loop of LightZero's `EfficientZeroMCTSCtree.search`, conversion by conversion: latents and both LSTM states are
    gathered root by root, and everything is converted to torch and back."""

    def __init__(self, size: SearchSize) -> None:
        self._size, self._problem, self._network = size, LightZeroRoots(size, load_tree()), LightZeroNetwork(size)

    def __call__(self, index: int) -> SearchOutput:
        batch, tree = self._size.batch, self._problem.tree
        roots, to_play = self._problem.roots()
        latents = [self._problem.latents]
        cells, hiddens = ([state] for state in self._problem.states())
        min_max = tree.MinMaxStatsList(batch)
        min_max.set_delta(0.01)
        for simulation in range(self._size.num_simulations):
            results = tree.ResultsWrapper(num=batch)
            slots, places, actions, virtual = tree.batch_traverse(roots, 19652, 1.25, DISCOUNT, min_max, results, to_play)
            leaves = list(zip(slots, places, strict=True))
            latent_in = torch.from_numpy(np.asarray([latents[slot][place] for slot, place in leaves]))
            cell_state = torch.from_numpy(np.asarray([cells[slot][0][place] for slot, place in leaves])).unsqueeze(0)
            hidden = torch.from_numpy(np.asarray([hiddens[slot][0][place] for slot, place in leaves])).unsqueeze(0)
            chosen = torch.from_numpy(np.asarray(actions)).long()
            latent, cell_state, hidden, prefix, value, policy = self._network.infer(latent_in, cell_state, hidden, chosen)
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
        return SearchOutput(np.asarray(roots.get_distributions()), np.asarray(roots.get_values()))


class LightZeroSearch:
    """LightZero's `EfficientZeroMCTSCtree.search` itself, from its file; what it imports from elsewhere is replaced by
    stand-ins."""

    def __init__(self, size: SearchSize) -> None:
        tree = load_tree()
        transforms = load_file("lzero_transforms", "policy/scaling_transform.py")
        for name, module in _stand_ins(tree, transforms.InverseScalarTransform).items():
            sys.modules.setdefault(name, module)
        own = load_file("lzero_search", "mcts/tree_search/mcts_ctree.py")
        model = AttributeDict(support_scale=300, categorical_distribution=False)
        settings = AttributeDict(
            model=model,
            device="cpu",
            discount_factor=DISCOUNT,
            num_simulations=size.num_simulations,
            lstm_horizon_len=LSTM_HORIZON,
            env_type="not_board_games",
        )
        self._own = own.EfficientZeroMCTSCtree(settings)
        self._problem, self._network = LightZeroRoots(size, tree), LightZeroNetwork(size)

    def __call__(self, index: int) -> SearchOutput:
        roots, to_play = self._problem.roots()
        self._own.search(roots, self._network, self._problem.latents, self._problem.states(), to_play)
        return SearchOutput(np.asarray(roots.get_distributions()), np.asarray(roots.get_values()))


class AttributeDict(dict[str, Any]):
    """A dictionary whose entries are attributes too: EasyDict."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def _stand_ins(tree: Any, inverse: Any) -> dict[str, Any]:
    """Returns stand-ins for the modules that the file with the search imports, by name, with what its EfficientZero search uses
    of them."""

    def module(**attributes: Any) -> Any:
        stand_in = ModuleType("stand-in")
        stand_in.__dict__.update(attributes)
        return stand_in

    trees = {"efficientzero": module(ez_tree=tree), "gumbel_muzero": module(gmz_tree=None), "muzero": module(mz_tree=None)}
    return {
        "easydict": module(EasyDict=AttributeDict),
        "lzero": module(),
        "lzero.mcts": module(),
        "lzero.mcts.ctree": module(),
        "lzero.policy": module(InverseScalarTransform=inverse, to_detach_cpu_numpy=lambda given: given.detach().cpu().numpy()),
    } | {f"lzero.mcts.ctree.ctree_{name}": tree_module for name, tree_module in trees.items()}


class MctxSearcher:
    """mctx's policy under jit, on the CPU, as one compiled call. It has no value prefixes: its edge rewards are the tables'."""

    def __init__(self, size: SearchSize, policy: str) -> None:
        if find_spec("mctx") is None:
            raise NotInstalled("mctx is not installed: pip install mctx")
        jax, mctx = import_module("jax"), import_module("mctx")
        given, numpy = tables(size.num_actions), jax.numpy
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
            summary = run(None, key, root, recurrent, size.num_simulations).search_tree.summary()
            return summary.visit_counts, summary.value

        self._key, self._jax = jax.random.PRNGKey, jax
        self._run = jax.jit(whole)
        self._roots = numpy.asarray(root_latents(size.batch))

    def __call__(self, index: int) -> SearchOutput:
        visits, values = self._jax.block_until_ready(self._run(self._key(index), self._roots))
        return SearchOutput(np.asarray(visits), np.asarray(values))


ENGINES: dict[str, Callable[[SearchSize], Searcher]] = {
    "xtra": lambda size: XtraSearcher(size, "puct"),
    "xtra_gumbel": lambda size: XtraSearcher(size, "gumbel"),
    "lightzero": LightZeroLoop,
    "lightzero_search": LightZeroSearch,
    "mctx_muzero": lambda size: MctxSearcher(size, "muzero"),
    "mctx_gumbel": lambda size: MctxSearcher(size, "gumbel"),
}
"""`lightzero` is a replica of its EfficientZero search loop around its own C++ tree, `lightzero_search` that loop itself."""
