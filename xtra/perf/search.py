"""`xtra-bench perf search`: the search against its peers in one run, and where its own time goes."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from statistics import median
from typing import Any

import torch

from xtra.perf.engines import ENGINES, Cell
from xtra.perf.on_cuda import measure_on_cuda
from xtra.perf.rounds import Samples, measure
from xtra.perf.split import split_network, split_tree_only
from xtra.search import _native
from xtra.search.cuda import cuda_is_built

STANDARD_CELLS = [
    Cell(1, 18, 50),
    Cell(8, 18, 50),
    Cell(64, 18, 50),
    Cell(256, 18, 50),
    Cell(64, 6, 50),
    Cell(64, 18, 16),
    Cell(64, 18, 200),
]
LONG_CELLS = [Cell(1536, 18, 50), Cell(64, 18, 800)]
PEERS_WITHOUT_LONG = {"mctx_muzero", "mctx_gumbel"}
"""Left out of cells of 800 simulations, of which one search takes them most of a minute."""

PACKAGES = ("xtra-bench", "torch", "numpy", "mctx", "jax", "LightZero")


def tree_only(cells: list[Cell], names: list[str], num_rounds: int) -> list[dict[str, Any]]:
    """Every engine on every cell: simulations per second, and how many times faster than each peer we are."""
    cores = sorted(os.sched_getaffinity(0))
    report = []
    for cell in cells:
        taking_part = [name for name in names if cell.num_simulations < 800 or name not in PEERS_WITHOUT_LONG]
        samples = measure(cell, taking_part, num_rounds, cores[-cell.num_threads :])
        report.append(cell._asdict() | {"engines": {name: _describe(cell, found) for name, found in samples.items()}})
        report[-1]["times_faster"] = _times_faster(samples)
        report[-1]["times_less_processor"] = _times_less_processor(samples)
    return report


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
    """How many times faster two threads are than one, for the whole call and for the tree alone."""
    one, two = cell._replace(num_threads=1), cell._replace(num_threads=2)
    whole = [measure(each, ["xtra"], num_rounds, sorted(os.sched_getaffinity(0)))["xtra"].seconds for each in (one, two)]
    trees = [split_tree_only(each, num_rounds)["tree_us"] for each in (one, two)]
    return {"whole": median(whole[0]) / median(whole[1]), "tree": trees[0] / trees[1]}


def report(*, names: list[str], num_rounds: int, long: bool, presets: list[str], network_batch: int) -> dict[str, Any]:
    """Everything, as plain data. presets: networks to search with, at `network_batch` roots."""
    torch.set_num_threads(1)
    cells = STANDARD_CELLS + (LONG_CELLS if long else [])
    result: dict[str, Any] = {"machine": machine(), "tree_only": tree_only(cells, names, num_rounds)}
    result["split"] = [cell._asdict() | split_tree_only(cell, num_rounds) for cell in cells]
    if len(os.sched_getaffinity(0)) > 1:
        result["two_threads"] = [
            cell._asdict() | thread_scaling(cell, num_rounds) for cell in (Cell(64, 18, 50), Cell(256, 18, 50))
        ]
    network_cell = Cell(network_batch, 18, 50)
    result["network"] = [
        {"preset": preset} | network_cell._asdict() | split_network(preset, network_cell, num_searches=1) for preset in presets
    ]
    if torch.cuda.is_available() and cuda_is_built():
        cuda_cell = Cell(1536, 18, 50)
        result["cuda"] = [
            {"preset": each} | cuda_cell._asdict() | measure_on_cuda(each, cuda_cell, num_rounds) for each in presets
        ]
    return result


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
