"""The graphed search on a CUDA device with a preset's network in bfloat16: speed, share outside it, kernels, host waits."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from xtra.perf.networks import network_of
from xtra.perf.searcher import Cell
from xtra.search import GraphedSearch, ModelOutput, SearchConfig, SearchModel

HOST_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")


class Bfloat16:
    """A model under autocast, with latents and states kept in bfloat16."""

    def __init__(self, model: SearchModel) -> None:
        self._model = model

    def initial_inference(self, observations: Tensor, /) -> ModelOutput:
        """See `SearchModel`."""
        with torch.autocast("cuda", torch.bfloat16):
            return self._kept(self._model.initial_inference(observations))

    def recurrent_inference(self, latent: Tensor, value_prefix_state: Tensor, actions: Tensor, /) -> ModelOutput:
        """See `SearchModel`."""
        with torch.autocast("cuda", torch.bfloat16):
            return self._kept(self._model.recurrent_inference(latent, value_prefix_state, actions))

    def _kept(self, output: ModelOutput) -> ModelOutput:
        latent, state, *scalars = output
        return ModelOutput(latent.bfloat16(), state.bfloat16(), *(tensor.float() for tensor in scalars))


def measure_on_cuda(preset: str, cell: Cell, num_searches: int) -> dict[str, float]:
    """Medians over `num_searches` replays; `outside_network_fraction` compares with a graph of the inferences alone."""
    network, observations = network_of(preset, cell.batch)
    model, observations = Bfloat16(network.cuda()), observations.cuda()
    valid = torch.ones(cell.batch, cell.num_actions, dtype=torch.bool, device="cuda")
    searched = GraphedSearch(model, SearchConfig(num_simulations=cell.num_simulations))

    def search_once() -> Any:
        return searched(observations, valid_actions=valid, seeds=torch.arange(cell.batch, device="cuda"))

    search_once()
    whole = median(_seconds(search_once) for _ in range(num_searches))
    inferences = _inferences(model, observations, cell)
    alone = median(_seconds(inferences.replay) for _ in range(num_searches))
    return {
        "simulations_per_second": cell.batch * cell.num_simulations / whole,
        "outside_network_fraction": 1 - alone / whole,
    } | _profile(search_once, cell.num_simulations)


@torch.no_grad()
def _inferences(model: Bfloat16, observations: Tensor, cell: Cell) -> torch.cuda.CUDAGraph:
    """The network of a search without the search."""
    root = model.initial_inference(observations)
    actions = torch.zeros(cell.batch, dtype=torch.int64, device="cuda")
    model.recurrent_inference(root.latent, root.value_prefix_state, actions)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        root = model.initial_inference(observations)
        for _ in range(cell.num_simulations):
            model.recurrent_inference(root.latent, root.value_prefix_state, actions)
    return graph


def _seconds(call: Callable[[], Any]) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def _profile(call: Callable[[], Any], num_simulations: int) -> dict[str, float]:
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
        call()
        torch.cuda.synchronize()
    events = trace.events() or []
    kernels = [event for event in events if event.device_type.name == "CUDA"]
    busy = sum(event.time_range.elapsed_us() for event in kernels)
    span = max(event.time_range.end for event in kernels) - min(event.time_range.start for event in kernels)
    waits = sum(event.name in HOST_WAITS for event in events)
    return {
        "kernels_per_simulation": len(kernels) / num_simulations,
        "host_waits_per_search": float(waits),
        "gpu_busy_fraction": busy / span,
    }
