"""`xtra-bench perf search`: the search against its peers in one run, and where its own time goes."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from statistics import median
from typing import Any

import torch

from xtra.perf.engines import ENGINES
from xtra.perf.problem import SearchSize
from xtra.perf.split import measure_on_cuda, split_network, split_tree_only
from xtra.perf.turns import EngineProcess, Samples, measure, take_turns
from xtra.search import _native
from xtra.search.cuda import cuda_is_usable

PEERS_WITHOUT_LONG = {"mctx_muzero", "mctx_gumbel"}
"""Peers that are left out of sizes of 800 simulations, since one search takes them most of a minute."""

THREAD_SIZES = [SearchSize(64, 18, 50), SearchSize(256, 18, 50), SearchSize(1536, 18, 50)]
CUDA_SIZE = SearchSize(1536, 18, 50)
PACKAGES = ("xtra-bench", "torch", "numpy", "mctx", "jax", "LightZero")


Progress = Callable[[str], None]
"""Where progress goes."""


@dataclass(frozen=True)
class SearchBenchmark:
    """A measurement: its engines, presets and sizes."""

    engines: list[str]
    presets: list[str]
    tree_sizes: list[SearchSize]
    network_sizes: list[SearchSize]
    num_rounds: int
    most_seconds: float
    """A search with a network that would take longer is left out."""
    on_cpu: bool = True
    """False: presets are timed on CUDA alone."""


def report(benchmark: SearchBenchmark, progress: Progress) -> dict[str, Any]:
    """Makes all measurements, and returns them as plain data."""
    torch.set_num_threads(1)
    result: dict[str, Any] = {"machine": machine(), "tree_only": [], "split": [], "two_threads": [], "network": []}
    if benchmark.on_cpu:
        result |= _on_cpu(benchmark, progress)
    if torch.cuda.is_available() and cuda_is_usable():
        result["cuda"] = [_on_cuda(preset, benchmark, progress) for preset in benchmark.presets]
    return result


def _on_cpu(benchmark: SearchBenchmark, progress: Progress) -> dict[str, Any]:
    result: dict[str, Any] = {"tree_only": [_compared(size, benchmark, progress) for size in benchmark.tree_sizes]}
    progress("where the time goes")
    result["split"] = [size._asdict() | split_tree_only(size, benchmark.num_rounds) for size in benchmark.tree_sizes]
    threaded = [size for size in THREAD_SIZES if len(os.sched_getaffinity(0)) > 1]
    result["two_threads"] = [
        _announced(size, "two threads", progress) | thread_scaling(size, benchmark.num_rounds) for size in threaded
    ]
    result["network"] = [
        _announced(size, preset, progress) | {"preset": preset} | split_network(preset, size, 1, benchmark.most_seconds)
        for preset, size in product(benchmark.presets, benchmark.network_sizes)
    ]
    return result


def _on_cuda(preset: str, benchmark: SearchBenchmark, progress: Progress) -> dict[str, Any]:
    dimensions = _announced(CUDA_SIZE, f"CUDA, {preset}", progress)
    return dimensions | {"preset": preset} | measure_on_cuda(preset, CUDA_SIZE, benchmark.num_rounds)


def _announced(size: SearchSize, what: str, progress: Progress) -> dict[str, Any]:
    threads = f", {size.num_threads} threads" if size.num_threads > 1 else ""
    progress(f"{what}: {size.batch} roots x {size.num_actions} actions x {size.num_simulations} simulations{threads}")
    return size._asdict()


def _compared(size: SearchSize, benchmark: SearchBenchmark, progress: Progress) -> dict[str, Any]:
    """Times every engine on one size: simulations per second, and how many times faster than each peer ours is."""
    names = [name for name in benchmark.engines if name.startswith("xtra") or size.num_threads == 1]
    if size.num_simulations >= 800:
        names = [name for name in names if name not in PEERS_WITHOUT_LONG]
    dimensions = _announced(size, "tree only", progress)
    samples = measure(size, names, benchmark.num_rounds, sorted(os.sched_getaffinity(0))[-size.num_threads :])
    return dimensions | {
        "engines": {name: _describe(size, own) for name, own in samples.items()},
        "times_faster": _times_faster(samples),
        "times_less_processor": _times_less_processor(samples),
    }


def _describe(size: SearchSize, samples: Samples) -> dict[str, Any]:
    if samples.absent is not None:
        return {"absent": samples.absent}
    return {
        "simulations_per_second": round(size.batch * size.num_simulations / median(samples.seconds)),
        "ms": {"best": min(samples.seconds) * 1e3, "median": median(samples.seconds) * 1e3, "max": max(samples.seconds) * 1e3},
        "cpu_ms": median(samples.cpu_seconds) * 1e3,
        "first_call_s": samples.first_call_s,
        "noisy_rounds": sum(cores > 0.15 for cores in samples.elsewhere),
    }


def _times_faster(samples: dict[str, Samples]) -> dict[str, float]:
    """Returns, by "ours/peer", the median over rounds of how many times faster ours is; our Gumbel search is compared with the
    peers' Gumbel searches alone."""
    ratios = {}
    for ours, peer in product(samples, samples):
        if peer.startswith("xtra") or samples[peer].absent is not None:
            continue
        if ours == "xtra" or (ours == "xtra_gumbel" and "gumbel" in peer):
            rounds = zip(samples[peer].seconds, samples[ours].seconds, strict=True)
            ratios[f"{ours}/{peer}"] = median(peer_seconds / our_seconds for peer_seconds, our_seconds in rounds)
    return ratios


def _times_less_processor(samples: dict[str, Samples]) -> dict[str, float]:
    """Returns the same ratios by processor time, which other processes disturb less."""
    return _times_faster({name: replace(own, seconds=own.cpu_seconds) for name, own in samples.items()})


def thread_scaling(size: SearchSize, num_rounds: int) -> dict[str, float]:
    """Measures how many times faster two threads are than one, turn by turn, for the whole call; and for the tree alone."""
    cores = sorted(os.sched_getaffinity(0))
    each = {count: size._replace(num_threads=count) for count in (1, 2)}
    samples = take_turns(
        {str(count): EngineProcess("xtra", with_threads, cores) for count, with_threads in each.items()}, num_rounds
    )
    whole = [one / two for one, two in zip(samples["1"].seconds, samples["2"].seconds, strict=True)]
    trees = [split_tree_only(with_threads, num_rounds)["tree_us"] for with_threads in each.values()]
    return {"whole": median(whole), "whole_best": max(whole), "tree": trees[0] / trees[1]}


def machine() -> dict[str, Any]:
    """Describes the machine and the software that the numbers belong to."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "instruction_sets": _native.instruction_sets(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "absent: nothing on CUDA was measured",
        "python": platform.python_version(),
        "versions": versions,
        "engines": list(ENGINES),
    }
