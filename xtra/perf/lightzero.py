"""LightZero 0.2.0 on the hash model: `pip install --no-deps LightZero==0.2.0`.

Its dependencies pin versions years old, and importing the package pulls in DI-engine; its compiled trees and the file with its
search need none of that, so they are loaded one by one.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.perf.hash_model import NUM_ROWS, root_latents, successors, tables
from xtra.perf.searcher import Absent, Cell, Found
from xtra.search import SearchConfig

LSTM_HORIZON = SearchConfig().lstm_horizon
DISCOUNT = SearchConfig().discount


def load(name: str, pattern: str) -> Any:
    """The file of the installed package that matches, as a module of that name."""
    package = PathFinder.find_spec("lzero")
    folders = [] if package is None else list(package.submodule_search_locations or [])
    for path in (path for folder in folders for path in Path(folder).glob(pattern)):
        spec = spec_from_file_location(name, path)
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise Absent("LightZero is not installed: pip install --no-deps LightZero==0.2.0 (Python 3.8 to 3.11)")


def load_tree() -> Any:
    """LightZero's EfficientZero tree."""
    return load("ez_tree", "mcts/ctree/ctree_efficientzero/ez_tree.*.so")


class Problem:
    """The roots of a cell as LightZero wants them."""

    def __init__(self, cell: Cell, tree: Any) -> None:
        self.tree = tree
        self.latents: NDArray[np.int32] = root_latents(cell.batch)[:, None].view(np.int32)
        self._logits = tables(cell.num_actions).logits[root_latents(cell.batch) % NUM_ROWS]
        self._legal = [list(range(cell.num_actions)) for _ in range(cell.batch)]
        self._noise = np.random.default_rng(0).dirichlet(np.full(cell.num_actions, 0.3), size=cell.batch).tolist()

    def roots(self) -> tuple[Any, list[int]]:
        """New roots, prepared, and whose turn it is: nobody's."""
        batch = len(self.latents)
        to_play = [-1] * batch
        roots = self.tree.Roots(batch, self._legal)
        roots.prepare(0.25, self._noise, [0.0] * batch, self._logits.tolist(), to_play)
        return roots, to_play

    def states(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The LSTM's cell and hidden states, `[1, B, 1]`."""
        shape = (1, len(self.latents), 1)
        return np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)


class Network:
    """The hash model in NumPy, in and out as LightZero's networks have it, without bins to decode."""

    def __init__(self, cell: Cell) -> None:
        given = tables(cell.num_actions)
        self._logits, self._rewards, self._values = given.logits, given.rewards, given.values

    def eval(self) -> None:
        """It has no other mode."""

    def infer(self, latent: Tensor, cell: Tensor, hidden: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        """Latent, cell and hidden state, value prefix, value, logits."""
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
        """The same for LightZero's own search."""
        latent, cell, hidden, prefix, value, logits = self.infer(latent, *states, actions)
        return SimpleNamespace(
            latent_state=latent,
            reward_hidden_state=(cell, hidden),
            value_prefix=_scaled(prefix),
            value=_scaled(value),
            policy_logits=logits,
        )


def _scaled(value: Tensor) -> Tensor:
    """MuZero's h, which LightZero's search undoes."""
    return value.sign() * ((value.abs() + 1).sqrt() - 1) + 0.001 * value


class LightZeroLoop:
    """The loop of LightZero's `EfficientZeroMCTSCtree.search`, conversion by conversion: latents and both LSTM states
    gathered root by root, everything to torch and back."""

    def __init__(self, cell: Cell) -> None:
        self._cell, self._problem, self._network = cell, Problem(cell, load_tree()), Network(cell)

    def __call__(self, index: int) -> Found:
        batch, tree = self._cell.batch, self._problem.tree
        roots, to_play = self._problem.roots()
        latents = [self._problem.latents]
        cells, hiddens = ([state] for state in self._problem.states())
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
        return Found(np.asarray(roots.get_distributions()), np.asarray(roots.get_values()))


class LightZeroSearch:
    """LightZero's `EfficientZeroMCTSCtree.search` itself, from its file; what that imports from elsewhere is stood in for."""

    def __init__(self, cell: Cell) -> None:
        tree = load_tree()
        transforms = load("lzero_transforms", "policy/scaling_transform.py")
        for name, module in _stand_ins(tree, transforms.InverseScalarTransform).items():
            sys.modules.setdefault(name, module)
        own = load("lzero_search", "mcts/tree_search/mcts_ctree.py")
        model = Settings(support_scale=300, categorical_distribution=False)
        settings = Settings(
            model=model,
            device="cpu",
            discount_factor=DISCOUNT,
            num_simulations=cell.num_simulations,
            lstm_horizon_len=LSTM_HORIZON,
            env_type="not_board_games",
        )
        self._own = own.EfficientZeroMCTSCtree(settings)
        self._problem, self._network = Problem(cell, tree), Network(cell)

    def __call__(self, index: int) -> Found:
        roots, to_play = self._problem.roots()
        self._own.search(roots, self._network, self._problem.latents, self._problem.states(), to_play)
        return Found(np.asarray(roots.get_distributions()), np.asarray(roots.get_values()))


class Settings(dict[str, Any]):
    """A dictionary whose entries are attributes too: EasyDict."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def _stand_ins(tree: Any, inverse: Any) -> dict[str, Any]:
    """The modules that the file with the search imports, by name, holding what its EfficientZero search uses of them."""

    def module(**attributes: Any) -> Any:
        made = ModuleType("stand-in")
        made.__dict__.update(attributes)
        return made

    trees = {"efficientzero": module(ez_tree=tree), "gumbel_muzero": module(gmz_tree=None), "muzero": module(mz_tree=None)}
    return {
        "easydict": module(EasyDict=Settings),
        "lzero": module(),
        "lzero.mcts": module(),
        "lzero.mcts.ctree": module(),
        "lzero.policy": module(InverseScalarTransform=inverse, to_detach_cpu_numpy=lambda given: given.detach().cpu().numpy()),
    } | {f"lzero.mcts.ctree.ctree_{name}": found for name, found in trees.items()}
