"""The search as its user sees it: select, infer, expand and back up, for a batch of roots at once.

`search` runs anywhere. On CUDA a `GraphedSearch` is a whole search, networks included, captured once as a graph and replayed at
every call: all that the host does is copy the inputs.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from xtra.cuda_graphs import WARM_UP_CALLS, CaptureStream, report_refusal
from xtra.device_copies import to_host
from xtra.search.checks import OutputGuard, check_arguments
from xtra.search.config import SearchConfig
from xtra.search.cuda import CudaEngine, cuda_is_usable, raise_errors
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
    if device.type != "cpu" and name not in ("auto", "offload"):
        raise ValueError(
            f"engine {name!r} searches on the CPU, and the model's outputs are on {device}; expected 'auto' or 'offload'"
        )
    if name == "reference":
        return ReferenceEngine(config, output)
    if name == "auto" and device.type == "cuda" and cuda_is_usable():
        return CudaEngine(config, output, seeded)
    if name == "offload" or device.type != "cpu":
        return OffloadEngine(config, output, seeded, num_threads)
    return NativeEngine(config, output, seeded, num_threads, "" if name == "auto" else name)


class GraphedSearch:
    """`search` for one model and one batch shape on a CUDA device; same arguments, same numbers, one graph launch a call.

    The graph reads the model's parameters where they are: updates in place are seen; replacing them (`.to()`, another model,
    `train()` against `eval()`) needs a new GraphedSearch. The model must be capturable: no host synchronisation, no control flow
    that depends on data; one that cannot be captured is searched kernel by kernel. Arguments that are None at the first call stay
    None."""

    def __init__(self, model: SearchModel, config: SearchConfig) -> None:
        self._model, self._config = model, config
        self._graph: torch.cuda.CUDAGraph | None = None
        self._refused = False

    @torch.no_grad()
    def __call__(
        self,
        observations: Tensor,
        *,
        valid_actions: Tensor,
        seeds: Tensor | None = None,
        noise: Tensor | None = None,
        fetch: bool = False,
    ) -> SearchResult:
        """Searches as `search` does. The tree is a view of this search until the next call; the other results are the
        caller's.

        fetch: bring the results to the host, together with the verdict on the model's outputs, which the host waits for in any
        case; latents and states of the roots stay on the device.
        """
        inputs = {"observations": observations, "valid_actions": valid_actions, "seeds": seeds, "noise": noise}
        if self._graph is None and not self._refused:
            self._capture(inputs)
        if self._graph is None:
            result = search(self._model, observations, self._config, valid_actions=valid_actions, seeds=seeds, noise=noise)
            return fetched(result)[0] if fetch else result
        self._refill(inputs)
        self._graph.replay()
        return self._read(fetch)

    def _capture(self, inputs: dict[str, Tensor | None]) -> None:
        with torch.inference_mode(False):  # as `Memory`
            self._inputs = {name: None if tensor is None else tensor.clone() for name, tensor in inputs.items()}
        observations = self._inputs["observations"]
        assert observations is not None
        if observations.device.type != "cuda":
            raise ValueError(
                f"observations are on {observations.device}; GraphedSearch needs a CUDA device, `search` runs anywhere"
            )
        if not cuda_is_usable():
            self._refused = True
            return
        output = self._model.initial_inference(observations)
        valid, seeds, noise = (self._inputs[name] for name in ("valid_actions", "seeds", "noise"))
        assert valid is not None
        check_arguments(output, valid, seeds, noise, num_threads=1)
        self._engine = CudaEngine(self._config, output, seeds is not None)
        stream = CaptureStream(observations.device)
        for _ in range(WARM_UP_CALLS):
            stream.warm_up(self._search)
        try:
            self._graph, (self._roots, self._output) = stream.capture(self._search)
        except RuntimeError as error:
            report_refusal(error)
            self._refused = True
            del self._engine  # with its memory on the device

    def _search(self) -> tuple[Roots, ModelOutput]:
        """All that the graph contains; nothing in it waits for the device."""
        valid = self._inputs["valid_actions"]
        assert valid is not None
        output = self._model.initial_inference(self._inputs["observations"])
        roots = prepare(self._config, output, valid, self._inputs["seeds"], self._inputs["noise"])
        simulate(self._model, self._engine, self._config, roots, output)
        return roots, output

    def _refill(self, inputs: dict[str, Tensor | None]) -> None:
        for name, tensor in inputs.items():
            captured = self._inputs[name]
            if (captured is None) != (tensor is None):
                raise ValueError(f"{name} was {_presence(captured)} when this search was captured and is {_presence(tensor)} now")
            if captured is None or tensor is None:
                continue
            if captured.shape != tensor.shape or captured.dtype != tensor.dtype or captured.device != tensor.device:
                raise ValueError(
                    f"{name} is {tensor.dtype} {list(tensor.shape)} on {tensor.device}; "
                    f"this search was captured with {captured.dtype} {list(captured.shape)} on {captured.device}"
                )
            captured.copy_(tensor)

    def _read(self, fetch: bool) -> SearchResult:
        output = ModelOutput(*(tensor.clone() for tensor in self._output))
        memory = self._engine.memory
        result, errors = (
            conclude(self._config, self._roots, output, memory.statistics(), Tree(self._engine.read_nodes)),
            memory.errors(),
        )
        if fetch:
            result, errors = fetched(result, errors)
        raise_errors(errors)
        return result


def fetched(result: SearchResult, *others: Tensor) -> tuple[Any, ...]:
    """Returns a result whose tensors are on the host, but for the roots' latents and states, and `others` `[...]`, all in one
    copy."""
    output = result.root_output
    tensors = (torch.from_numpy(array) for array in to_host(*result[:4], *output[2:], *others))
    visits, values, weights, actions, prefix, value, logits, *moved = tensors
    output = ModelOutput(output.latent, output.value_prefix_state, prefix, value, logits)
    return SearchResult(visits, values, weights, actions, output, result.tree), *moved


def _presence(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else "given"
