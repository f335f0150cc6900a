"""A preset's search on a CUDA device, captured as a graph, as training runs it: speed, share of the network, kernels, waits."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from xtra.agents.device import prepare_torch
from xtra.perf.problem import SearchSize
from xtra.perf.split import preset_network
from xtra.search import GraphedSearch, SearchConfig, SearchModel

HOST_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")


def measure_on_cuda(preset: str, size: SearchSize, num_searches: int) -> dict[str, Any]:
    """Medians over `num_searches` replays; `outside_network_fraction` compares with a graph of the inferences alone."""
    model, observations, precision = preset_network(preset, size.batch, prepare_torch(1))
    valid = torch.ones(size.batch, size.num_actions, dtype=torch.bool, device="cuda")
    searched = GraphedSearch(model, SearchConfig(num_simulations=size.num_simulations))

    def search_once() -> Any:
        return searched(observations, valid_actions=valid, seeds=torch.arange(size.batch, device="cuda"))

    search_once()
    whole = median(_seconds(search_once) for _ in range(num_searches))
    inferences = _inferences(model, observations, size)
    alone = median(_seconds(inferences.replay) for _ in range(num_searches))
    return {
        "precision": precision,
        "simulations_per_second": size.batch * size.num_simulations / whole,
        "outside_network_fraction": 1 - alone / whole,
    } | _profile(search_once, size.num_simulations)


@torch.no_grad()
def _inferences(model: SearchModel, observations: Tensor, size: SearchSize) -> torch.cuda.CUDAGraph:
    """The network of a search without the search."""
    root = model.initial_inference(observations)
    actions = torch.zeros(size.batch, dtype=torch.int64, device="cuda")
    model.recurrent_inference(root.latent, root.value_prefix_state, actions)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        root = model.initial_inference(observations)
        for _ in range(size.num_simulations):
            model.recurrent_inference(root.latent, root.value_prefix_state, actions)
    return graph


def _seconds(call: Callable[[], Any]) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def _profile(call: Callable[[], Any], num_simulations: int) -> dict[str, float | None]:
    """Kernels of one call and how much of its span they fill; None where the profiler saw no kernel, as without CUPTI."""
    # PyTorch 2.11 warns of what a profiler with several cycles would lose; this one has a single cycle.
    with warnings.catch_warnings(action="ignore"), profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
        call()
        torch.cuda.synchronize()
    events = trace.events() or []
    kernels = [event for event in events if event.device_type.name == "CUDA"]
    if not kernels:
        return dict.fromkeys(("kernels_per_simulation", "host_waits_per_search", "gpu_busy_fraction"))
    busy = sum(event.time_range.elapsed_us() for event in kernels)
    span = max(event.time_range.end for event in kernels) - min(event.time_range.start for event in kernels)
    return {
        "kernels_per_simulation": len(kernels) / num_simulations,
        "host_waits_per_search": float(sum(event.name in HOST_WAITS for event in events)),
        "gpu_busy_fraction": busy / span if span else None,
    }
