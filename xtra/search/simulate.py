"""The search as its user sees it: select, infer, expand and back up, for a batch of roots at once."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from xtra.search.checks import OutputGuard, check_arguments
from xtra.search.config import SearchConfig
from xtra.search.cuda import CudaEngine, cuda_is_usable
from xtra.search.engine import Engine, EngineName, Roots, RootStatistics, borrow_engine, return_engine
from xtra.search.exploration import improved_policy
from xtra.search.model import ModelOutput, SearchModel, SearchResult
from xtra.search.native import NativeEngine, OffloadEngine
from xtra.search.reference_engine import ReferenceEngine
from xtra.search.tree import Tree


@torch.no_grad()
def search(
    model: SearchModel,
    observations: Any,
    config: SearchConfig | None = None,
    *,
    valid_actions: Tensor,
    seeds: Tensor | None = None,
    noise: Tensor | None = None,
    num_threads: int = 1,
    engine: EngineName = "auto",
) -> SearchResult:
    """Searches from every root of a batch; roots do not influence one another.

    observations: whatever `model.initial_inference` takes.
    valid_actions: bool `[B, A]`, on the outputs' device; only these are considered, at every node of the root's tree.
    seeds: int64 or uint64 `[B]`: ties are broken by a hash of the root's seed (training). None: to the lowest index (evaluation).
    noise: float32 `[B, A]`. pUCT: Dirichlet samples, mixed into the roots' priors by `root_exploration_fraction`; None adds none.
        Gumbel: standard Gumbel samples; None is greedy.
    num_threads: CPU threads over roots; results do not depend on it.
    engine: who computes the trees; all give the same numbers.

    Raises ValueError that names what came and what is expected, for arguments and for the model's outputs.
    """
    config = config or SearchConfig()
    output = model.initial_inference(observations)
    check_arguments(output, valid_actions, seeds, noise, num_threads)
    roots = prepare(config, output, valid_actions, seeds, noise)
    key = _key(engine, config, output, seeds is not None, num_threads)
    trees = borrow_engine(key, lambda: _make_engine(engine, config, output, seeds is not None, num_threads))
    simulate(model, trees, config, roots, output)
    statistics = trees.finish()
    tree = Tree(trees.read_nodes)
    weakref.finalize(tree, return_engine, key, trees).atexit = False  # once nobody can look into this tree any more
    return conclude(config, roots, output, statistics, tree)


def prepare(config: SearchConfig, output: ModelOutput, valid: Tensor, seeds: Tensor | None, noise: Tensor | None) -> Roots:
    """Prepares the roots: Gumbel noise `[B, A]` goes to their scores, Dirichlet noise to their priors."""
    if config.policy == "puct":
        return Roots(valid, noise, None, seeds)
    return Roots(valid, None, output.policy_logits if noise is None else output.policy_logits + noise, seeds)


def simulate(model: SearchModel, engine: Engine, config: SearchConfig, roots: Roots, output: ModelOutput) -> None:
    """Runs all simulations. Raises ValueError for outputs that cannot be searched with."""
    guard = OutputGuard(output)
    engine.begin(roots, output)
    for simulation in range(config.num_simulations):
        output = model.recurrent_inference(engine.latent, engine.value_prefix_state, engine.actions)
        guard.check(output)
        engine.step(simulation, output)


def conclude(config: SearchConfig, roots: Roots, output: ModelOutput, statistics: RootStatistics, tree: Tree) -> SearchResult:
    """Returns the policy target and the greedy choice, from the statistics of the search."""
    if roots.bias is None:
        weights, actions = statistics.visits / config.num_simulations, statistics.visits.argmax(1)
    else:
        weights, actions = improved_policy(config, output, roots.valid, roots.bias, statistics.visits, statistics.q)
    values = statistics.values
    if config.root_value == "released":
        # The root's own value is one of the terms of the mean that the engines give.
        values = (values * (config.num_simulations + 1) - output.value) / config.num_simulations
    return SearchResult(statistics.visits, values, weights, actions, output, tree)


def _key(name: EngineName, config: SearchConfig, output: ModelOutput, seeded: bool, num_threads: int) -> Hashable:
    """Returns the key of engines that can be used for this search: two searches of equal keys can use one engine, one after the
    other."""
    latent, state = output.latent, output.value_prefix_state
    memory = latent.dtype, latent.shape, latent.stride(), state.dtype, state.shape, state.stride(), latent.device
    return name, config, output.policy_logits.shape, seeded, num_threads, memory


def _make_engine(name: EngineName, config: SearchConfig, output: ModelOutput, seeded: bool, num_threads: int) -> Engine:
    device = output.policy_logits.device
    if name == "reference":
        return ReferenceEngine(config, output)
    if name == "auto" and device.type == "cuda" and cuda_is_usable():
        return CudaEngine(config, output, seeded)
    if name == "offload" or device.type != "cpu":
        return OffloadEngine(config, output, seeded, num_threads)
    return NativeEngine(config, output, seeded, num_threads, "" if name == "auto" else name)
