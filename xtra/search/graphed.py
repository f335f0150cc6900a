"""A whole search, networks included, captured once as a CUDA graph and replayed at every call: all that the host does is copy the
inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from xtra.cuda_graphs import WARM_UP_CALLS, CaptureStream, report_refusal
from xtra.search.checks import check_arguments
from xtra.search.config import SearchConfig
from xtra.search.cuda import CudaEngine
from xtra.search.engine import Roots
from xtra.search.model import ModelOutput, SearchModel, SearchResult
from xtra.search.simulate import conclude, prepare, search, simulate
from xtra.search.tree import Tree


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
        self, observations: Tensor, *, valid_actions: Tensor, seeds: Tensor | None = None, noise: Tensor | None = None
    ) -> SearchResult:
        """Searches as `search` does. The tree is a view of this search until the next call; the other results are the
        caller's."""
        inputs = {"observations": observations, "valid_actions": valid_actions, "seeds": seeds, "noise": noise}
        if self._graph is None and not self._refused:
            self._capture(inputs)
        if self._graph is None:
            return search(self._model, observations, self._config, valid_actions=valid_actions, seeds=seeds, noise=noise)
        self._refill(inputs)
        self._graph.replay()
        return self._read()

    def _capture(self, inputs: dict[str, Tensor | None]) -> None:
        self._inputs = {name: None if tensor is None else tensor.clone() for name, tensor in inputs.items()}
        observations = self._inputs["observations"]
        assert observations is not None
        if observations.device.type != "cuda":
            raise ValueError(
                f"observations are on {observations.device}; GraphedSearch needs a CUDA device, `search` runs anywhere"
            )
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

    def _read(self) -> SearchResult:
        self._engine.raise_errors()
        output = ModelOutput(*(tensor.clone() for tensor in self._output))
        return conclude(self._config, self._roots, output, self._engine.memory.statistics(), Tree(self._engine.read_nodes))


def _presence(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else "given"
