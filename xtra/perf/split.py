"""The parts of a search's time: on the CPU, in microseconds per step of a batch, tree (softmax included), network, and the glue
between.

On CUDA, where training captures a search as a graph: its speed, the share of the network, kernels, and waits of the host.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import NetworkConfig
from xtra.agents.efficientzero.copies import Precision, inference_copy
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.interface import prepare_torch
from xtra.envs.config import EnvironmentConfig
from xtra.perf.problem import NativeHashModel, SearchSize, root_latents
from xtra.search import GraphedSearch, ModelOutput, SearchConfig, SearchModel
from xtra.search.engine import Engine, Roots
from xtra.search.memory import Memory
from xtra.search.native import NativeEngine
from xtra.search.simulate import prepare, simulate
from xtra.suite.presets import PRESETS

NETWORK, FRAME_SIZE = "agent.network.", "environment.frame_size"


class Stopwatch:
    """Adds up the seconds of the functions that it times."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps `function` so that its time is added up."""

        def run(*arguments: Any) -> Any:
            begun = time.perf_counter()
            result = function(*arguments)
            self.seconds += time.perf_counter() - begun
            return result

        return run


class TimedModel:
    """A model whose recurrent inferences are timed."""

    def __init__(self, model: SearchModel, watch: Stopwatch) -> None:
        self.initial_inference = model.initial_inference
        self.recurrent_inference = watch.timed(model.recurrent_inference)


class TimedEngine:
    """An engine whose steps are timed; its latents `[B, ...]`, states `[B, ...]` and actions `[B]` are those of the engine
    inside."""

    def __init__(self, engine: Engine, watch: Stopwatch) -> None:
        self._engine = engine
        self.step = watch.timed(engine.step)
        self.begin, self.finish, self.read_nodes = engine.begin, engine.finish, engine.read_nodes

    @property
    def latent(self) -> Tensor:
        return self._engine.latent

    @property
    def value_prefix_state(self) -> Tensor:
        return self._engine.value_prefix_state

    @property
    def actions(self) -> Tensor:
        return self._engine.actions

    @property
    def nbytes(self) -> int:
        return self._engine.nbytes


@torch.no_grad()
def split(model: SearchModel, observations: Any, size: SearchSize, num_searches: int) -> dict[str, float]:
    """Measures median microseconds per step, the share of the search that is outside the network, and simulations per second.

    The roots' own inference is left out.
    """
    config = SearchConfig(num_simulations=size.num_simulations)
    output = model.initial_inference(observations)
    output = ModelOutput(*(tensor.clone() for tensor in output))
    valid = torch.ones(size.batch, size.num_actions, dtype=torch.bool)
    roots = prepare(config, output, valid, torch.arange(size.batch), None)
    engine = NativeEngine(config, output, True, size.num_threads)
    rows = [_one(model, engine, config, roots, output) for _ in range(num_searches + 1)][1:]
    tree, network, whole = (median(column) / size.num_simulations * 1e6 for column in zip(*rows, strict=True))
    return {
        "tree_us": tree,
        "glue_us": whole - tree - network,
        "network_us": network,
        "outside_network_fraction": (whole - network) / whole,
        "simulations_per_second": size.batch / whole * 1e6,
    }


def _one(
    model: SearchModel, engine: Engine, config: SearchConfig, roots: Roots, output: ModelOutput
) -> tuple[float, float, float]:
    tree, network = Stopwatch(), Stopwatch()
    begun = time.perf_counter()
    simulate(TimedModel(model, network), TimedEngine(engine, tree), config, roots, output)
    return tree.seconds, network.seconds, time.perf_counter() - begun


def split_tree_only(size: SearchSize, num_searches: int) -> dict[str, float]:
    """Measures the same with the hash model in the network's place, and the memory of the trees."""
    model = NativeHashModel(size.batch, size.num_actions)
    observations = root_latents(size.batch)
    memory = Memory(
        SearchConfig(num_simulations=size.num_simulations),
        model.initial_inference(observations),
        seeded=True,
        device=torch.device("cpu"),
    )
    measured = split(model, observations, size, num_searches)
    return measured | {"bytes_per_root": memory.trees.shape[1], "bytes_per_node": memory.trees.shape[1] / memory.slots}


def preset_network(preset: str, batch: int, device: torch.device) -> tuple[EfficientZeroNetwork, Tensor, Precision]:
    """Makes the network of a preset as self-play and reanalysis use it, random observations `[B, 3 * stack, H, W]` for it, and
    its precision: bfloat16 on CUDA. It is untrained: speed does not depend on what a network has learnt."""
    settings: dict[str, Any] = PRESETS[preset].settings_for("efficientzero")
    network_settings = {key.removeprefix(NETWORK): value for key, value in settings.items() if key.startswith(NETWORK)}
    config = NetworkConfig(**network_settings)
    frame_size = settings.get(FRAME_SIZE, EnvironmentConfig.model_fields["frame_size"].default)
    precision: Precision = "bfloat16" if device.type == "cuda" else "float32"
    network = inference_copy(make_network(config, frame_size, 0, device), precision)
    generator = torch.Generator().manual_seed(0)
    observations = torch.rand(batch, 3 * config.frame_stack, frame_size, frame_size, generator=generator)
    return network, observations.to(device, memory_format=torch.channels_last), precision


def split_network(preset: str, size: SearchSize, num_searches: int, most_seconds: float) -> dict[str, Any]:
    """Measures the same with the EfficientZero network of that preset, untrained, in evaluation mode; `skipped` says why, if too
    slow."""
    torch.set_num_threads(size.num_threads)
    network, observations, _ = preset_network(preset, size.batch, torch.device("cpu"))
    expected = _inference_seconds(network, observations) * size.num_simulations
    if expected > most_seconds:
        return {"skipped": f"one search would take {expected:.0f} s; the limit is {most_seconds:.0f} s"}
    return split(network, observations, size, num_searches)


@torch.no_grad()
def _inference_seconds(model: SearchModel, observations: Any) -> float:
    root = model.initial_inference(observations)
    actions = torch.zeros(len(root.value), dtype=torch.int64)
    begun = time.perf_counter()
    model.recurrent_inference(root.latent, root.value_prefix_state, actions)
    return time.perf_counter() - begun


HOST_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")


def measure_on_cuda(preset: str, size: SearchSize, num_searches: int) -> dict[str, Any]:
    """Measures a preset's search, captured as a graph: medians over `num_searches` replays.

    `outside_network_fraction` compares it with a graph of the inferences alone.
    """
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
    """Captures the network's part of a search, without the search."""
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
    """Counts the kernels of one call, and the share of its span that they fill; None where the profiler saw no kernel, as without
    CUPTI."""
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
