"""The search as its user sees it: select, infer, expand and back up, for a batch of roots at once."""

from __future__ import annotations

import torch
from torch import Tensor

from xtra.search.checks import require, require_dense_rows, require_output
from xtra.search.config import SearchConfig
from xtra.search.engine import BadOutput, Engine, EngineName
from xtra.search.gumbel import improved_policy
from xtra.search.native import NativeEngine
from xtra.search.reference_engine import ReferenceEngine
from xtra.search.tree import Tree
from xtra.search.types import ModelOutput, SearchModel, SearchResult

MAX_ACTIONS = 128


@torch.no_grad()
def search(
    model: SearchModel,
    observations: Tensor,
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
    _check(output, valid_actions, seeds, noise, num_threads)
    masked = None if bool(valid_actions.all()) else ~valid_actions
    trees = _make_engine(engine, config, output, seeds is not None, num_threads)
    priors = _priors(output, masked)
    root_bias = None
    if config.policy == "gumbel":
        root_bias = output.policy_logits if noise is None else output.policy_logits + noise
    elif noise is not None:
        fraction = config.root_exploration_fraction
        priors = priors * (1 - fraction) + noise * fraction
    _run(model, trees, config, priors, output, masked, valid_actions, root_bias, seeds)
    return _result(trees, config, output, valid_actions, root_bias)


def _make_engine(name: EngineName, config: SearchConfig, output: ModelOutput, seeded: bool, num_threads: int) -> Engine:
    if name == "reference":
        return ReferenceEngine(config, output)
    return NativeEngine(config, output, seeded, num_threads)


def _run(
    model: SearchModel,
    engine: Engine,
    config: SearchConfig,
    priors: Tensor,
    output: ModelOutput,
    masked: Tensor | None,
    valid: Tensor,
    root_bias: Tensor | None,
    seeds: Tensor | None,
) -> None:
    batch, num_actions = priors.shape
    source = "initial_inference"
    try:
        engine.begin(priors, output, valid, root_bias, seeds)
        source = "recurrent_inference"
        for simulation in range(config.num_simulations):
            output = model.recurrent_inference(engine.latent, engine.value_prefix_state, engine.actions)
            require_output(source, output, batch, num_actions, priors.device)
            engine.step(simulation, _priors(output, masked), output)
    except BadOutput as error:
        raise ValueError(f"{source}: {error.field} of root {error.root} is not finite; expected finite numbers") from None


def _priors(output: ModelOutput, masked: Tensor | None) -> Tensor:
    logits = output.policy_logits
    return (logits if masked is None else logits.masked_fill(masked, -torch.inf)).softmax(-1)


def _check(output: ModelOutput, valid: Tensor, seeds: Tensor | None, noise: Tensor | None, num_threads: int) -> None:
    if not isinstance(output, ModelOutput):
        raise ValueError(f"initial_inference returned {type(output).__name__}; expected a ModelOutput")
    shape = output.policy_logits.shape
    if len(shape) != 2 or not 1 <= shape[1] <= MAX_ACTIONS or shape[0] < 1:
        raise ValueError(f"initial_inference: policy_logits has shape {list(shape)}; expected [B, A], A from 1 to {MAX_ACTIONS}")
    batch, num_actions = shape
    device = output.policy_logits.device
    require_output("initial_inference", output, batch, num_actions, device)
    require_dense_rows("initial_inference: latent", output.latent, batch, device)
    require_dense_rows("initial_inference: value_prefix_state", output.value_prefix_state, batch, device)
    require("valid_actions", valid, (batch, num_actions), (torch.bool,), device)
    some = valid.any(1)
    if not bool(some.all()):
        raise ValueError(f"valid_actions of root {int((~some).nonzero()[0])} has no valid action; expected at least one")
    if seeds is not None:
        require("seeds", seeds, (batch,), (torch.int64, torch.uint64), device)
    if noise is not None:
        require("noise", noise, (batch, num_actions), (torch.float32,), device)
        if not bool(noise.isfinite().all()):
            raise ValueError("noise has entries that are not finite; expected finite numbers")
    if num_threads < 1:
        raise ValueError(f"num_threads is {num_threads}; expected at least 1")


def _result(engine: Engine, config: SearchConfig, output: ModelOutput, valid: Tensor, root_bias: Tensor | None) -> SearchResult:
    visits, q, values = engine.root_rows()
    if root_bias is None:
        weights = visits / visits.sum(1, keepdim=True)
        actions = visits.argmax(1)
    else:
        weights, actions = improved_policy(config, output, valid, root_bias, visits, q)
    return SearchResult(visits, values, weights, actions, output, Tree(engine.read_nodes))
