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
from xtra.perf.on_cuda import measure_on_cuda
from xtra.perf.rounds import Samples, Worker, measure, take_turns
from xtra.perf.searcher import Cell
from xtra.perf.split import split_network, split_tree_only
from xtra.search import _native
from xtra.search.cuda import cuda_is_built

PEERS_WITHOUT_LONG = {"mctx_muzero", "mctx_gumbel"}
"""Left out of cells of 800 simulations, of which one search takes them most of a minute."""

THREAD_CELLS = [Cell(64, 18, 50), Cell(256, 18, 50), Cell(1536, 18, 50)]
CUDA_CELL = Cell(1536, 18, 50)
PACKAGES = ("xtra-bench", "torch", "numpy", "mctx", "jax", "LightZero")


Tell = Callable[[str], None]
"""Where progress goes."""


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    engines: list[str]
    presets: list[str]
    tree_cells: list[Cell]
    network_cells: list[Cell]
    num_rounds: int
    most_seconds: float
    """A search with a network that would take longer is left out."""


def report(plan: Plan, tell: Tell) -> dict[str, Any]:
    """Everything, as plain data."""
    torch.set_num_threads(1)
    result: dict[str, Any] = {"machine": machine()}
    result["tree_only"] = [_compared(cell, plan, tell) for cell in plan.tree_cells]
    tell("where the time goes")
    result["split"] = [cell._asdict() | split_tree_only(cell, plan.num_rounds) for cell in plan.tree_cells]
    scaled = [cell for cell in THREAD_CELLS if len(os.sched_getaffinity(0)) > 1]
    result["two_threads"] = [_told(cell, "two threads", tell) | thread_scaling(cell, plan.num_rounds) for cell in scaled]
    result["network"] = [
        _told(cell, preset, tell) | {"preset": preset} | split_network(preset, cell, 1, plan.most_seconds)
        for preset, cell in product(plan.presets, plan.network_cells)
    ]
    if torch.cuda.is_available() and cuda_is_built():
        result["cuda"] = [
            _told(CUDA_CELL, f"CUDA, {preset}", tell) | {"preset": preset} | measure_on_cuda(preset, CUDA_CELL, plan.num_rounds)
            for preset in plan.presets
        ]
    return result


def _told(cell: Cell, what: str, tell: Tell) -> dict[str, Any]:
    threads = f", {cell.num_threads} threads" if cell.num_threads > 1 else ""
    tell(f"{what}: {cell.batch} roots x {cell.num_actions} actions x {cell.num_simulations} simulations{threads}")
    return cell._asdict()


def _compared(cell: Cell, plan: Plan, tell: Tell) -> dict[str, Any]:
    """Every engine on one cell: simulations per second, and how many times faster than each peer we are."""
    names = [name for name in plan.engines if name.startswith("xtra") or cell.num_threads == 1]
    if cell.num_simulations >= 800:
        names = [name for name in names if name not in PEERS_WITHOUT_LONG]
    sizes = _told(cell, "tree only", tell)
    samples = measure(cell, names, plan.num_rounds, sorted(os.sched_getaffinity(0))[-cell.num_threads :])
    return sizes | {
        "engines": {name: _describe(cell, found) for name, found in samples.items()},
        "times_faster": _times_faster(samples),
        "times_less_processor": _times_less_processor(samples),
    }


def _describe(cell: Cell, samples: Samples) -> dict[str, Any]:
    if samples.absent is not None:
        return {"absent": samples.absent}
    return {
        "simulations_per_second": round(cell.batch * cell.num_simulations / median(samples.seconds)),
        "ms": {"best": min(samples.seconds) * 1e3, "median": median(samples.seconds) * 1e3, "max": max(samples.seconds) * 1e3},
        "cpu_ms": median(samples.cpu_seconds) * 1e3,
        "first_call_s": samples.first_call_s,
        "noisy_rounds": sum(cores > 0.15 for cores in samples.elsewhere),
    }


def _times_faster(samples: dict[str, Samples]) -> dict[str, float]:
    """Median over rounds, by "ours/peer"; our Gumbel search is held against the peers' Gumbel searches alone."""
    ratios = {}
    for ours, peer in product(samples, samples):
        if peer.startswith("xtra") or samples[peer].absent is not None:
            continue
        if ours == "xtra" or (ours == "xtra_gumbel" and "gumbel" in peer):
            rounds = zip(samples[peer].seconds, samples[ours].seconds, strict=True)
            ratios[f"{ours}/{peer}"] = median(theirs / our for theirs, our in rounds)
    return ratios


def _times_less_processor(samples: dict[str, Samples]) -> dict[str, float]:
    """The same by processor time, which other processes disturb less."""
    return _times_faster({name: replace(found, seconds=found.cpu_seconds) for name, found in samples.items()})


def thread_scaling(cell: Cell, num_rounds: int) -> dict[str, float]:
    """How many times faster two threads are than one, turn by turn, for the whole call; and for the tree alone."""
    cores = sorted(os.sched_getaffinity(0))
    each = {count: cell._replace(num_threads=count) for count in (1, 2)}
    found = take_turns({str(count): Worker("xtra", sized, cores) for count, sized in each.items()}, num_rounds)
    whole = [one / two for one, two in zip(found["1"].seconds, found["2"].seconds, strict=True)]
    trees = [split_tree_only(sized, num_rounds)["tree_us"] for sized in each.values()]
    return {"whole": median(whole), "whole_best": max(whole), "tree": trees[0] / trees[1]}


def machine() -> dict[str, Any]:
    """What the numbers belong to."""
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
