"""What flight.py measures beyond `xtra-bench perf`: one measurement a call, printed as one JSON document."""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from xtra.agents.interface import prepare_torch
from xtra.perf.split import preset_network
from xtra.search import GraphedSearch, ModelOutput, SearchConfig, cuda, search

HERE = Path(__file__).resolve().parent
BENCH = os.environ.get("FLIGHT_BENCH", "").split() or [sys.executable, "-c", "from xtra.cli.main import main; main()"]
MOST_KERNELS = 30
SECONDS_TO_SAVE = 30
"""A run that is asked to end saves first."""


def milliseconds(call: Callable[[], Any], repeats: int = 10) -> float:
    """Mean of `repeats` calls after one more, by the device's clock."""
    call()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(repeats):
        call()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) / repeats


def device(options: argparse.Namespace) -> dict[str, Any]:
    """The card, and what it does at best: matrix products, copies, nodes of a graph, a convolution of the paper's network."""
    about = torch.cuda.get_device_properties(0)
    square = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    numbers = torch.randn(2**28, device="cuda")
    other = torch.empty_like(numbers)
    return {
        "card": about.name,
        "memory_gb": round(about.total_memory / 2**30),
        "multiprocessors": about.multi_processor_count,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cuda_engine": cuda.cuda_kernels().origin,
        "bfloat16_tflops": 2 * 8192**3 / milliseconds(lambda: square @ square) / 1e9,
        "copy_tb_per_s": 2 * 4 * numbers.numel() / milliseconds(lambda: other.copy_(numbers)) / 1e9,
        "us_per_graph_node": node_microseconds(),
        "convolution_us": {str(channels): convolution_microseconds(channels) for channels in (64, 65, 72)},
    }


def node_microseconds(num_nodes: int = 1000) -> float:
    """Of a graph of additions to 1,536 numbers each, per node: what a kernel costs however little it does."""
    numbers, graph, stream = torch.zeros(1536, device="cuda"), torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.cuda.graph(graph, stream=stream):
        for _ in range(num_nodes):
            numbers.add_(1)
    return milliseconds(graph.replay) * 1e3 / num_nodes


def convolution_microseconds(channels: int) -> float:
    """3x3 to 64 channels, 1,536 images of 6x6, bfloat16, channels last; 65 is the dynamics network with its action plane."""
    like: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16}
    weights = torch.randn(64, channels, 3, 3, **like).contiguous(memory_format=torch.channels_last)
    images = torch.randn(1536, channels, 6, 6, **like).contiguous(memory_format=torch.channels_last)
    return milliseconds(lambda: torch.conv2d(images, weights, padding=1)) * 1e3


class EvenModel:
    """Values and rewards looked up; all actions alike. With 2^n valid actions every prior is a power of two on every device, so
    that trees can be compared bit for bit although devices differ in the last bit of an exponential."""

    def __init__(self, num_actions: int, on: str) -> None:
        generator = torch.Generator().manual_seed(num_actions)
        self._table = torch.randn(256, 2, generator=generator).to(on)
        self._num_actions = num_actions

    def _infer(self, latent: Tensor, state: Tensor) -> ModelOutput:
        reward, value = self._table[latent[:, 0]].unbind(1)
        prefix = state[:, 0] + 0.1 * reward
        logits = torch.zeros(len(latent), self._num_actions, device=latent.device)
        return ModelOutput(latent, torch.stack([prefix, prefix], 1), prefix, value.contiguous(), logits)

    def initial_inference(self, observations: Tensor, /) -> ModelOutput:
        """See `SearchModel`; observations: int64 `[B]`."""
        return self._infer(observations[:, None].repeat(1, 3), torch.zeros(len(observations), 2, device=observations.device))

    def recurrent_inference(self, latent: Tensor, value_prefix_state: Tensor, actions: Tensor, /) -> ModelOutput:
        """See `SearchModel`."""
        return self._infer((latent * 31 + actions[:, None] * 7 + 1) % 256, value_prefix_state)


def exact(options: argparse.Namespace) -> dict[str, Any]:
    """The CUDA engine against the CPU engine, every node of every tree, bit for bit: every row width, root policy and span."""
    if options.nvrtc:
        cuda.cuda_is_built = lambda: False
    cases = list(itertools.product((1, 6, 18, 33, 64, 128), ("puct", "gumbel"), ("exact", "released", "per_node"), (1, 37)))
    different = []
    for case in cases:
        on_cpu, on_cuda = (tree_of(on, *case) for on in ("cpu", "cuda"))
        if not all(bool((on_cpu[name] == on_cuda[name]).all()) for name in on_cpu.dtype.names or ()):
            different.append(case)
    if different:
        print(f"{len(different)} of {len(cases)} cases differ: {different[:5]}", file=sys.stderr)
    return {"engine": cuda.cuda_kernels().origin, "cases": len(cases), "different": len(different)}


def tree_of(on: str, num_actions: int, policy: Any, min_max: Any, batch: int) -> Any:
    """All nodes of a search of 50 simulations with noise and seeded ties."""
    generator = torch.Generator().manual_seed(batch)
    order = torch.rand(batch, num_actions, generator=generator).argsort(1)
    valid = order < 2 ** (num_actions.bit_length() - 1)
    noise = torch.rand(batch, num_actions, generator=generator) / num_actions
    roots = torch.arange(batch)
    return search(
        EvenModel(num_actions, on),
        roots.to(on),
        SearchConfig(num_simulations=50, policy=policy, min_max=min_max),
        valid_actions=valid.to(on),
        seeds=roots.to(on),
        noise=noise.to(on),
    ).tree.nodes


def make_search(preset: str, batch: int, on: torch.device) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The captured search of 50 simulations of a preset's network, as a reanalysis calls it; and the roots' inference alone."""
    network, observations, _ = preset_network(preset, batch, on)
    given = {
        "valid_actions": torch.ones(batch, 18, dtype=torch.bool, device=on),
        "seeds": torch.arange(batch, device=on),
        "noise": torch.full((batch, 18), 1 / 18, device=on),
    }
    searched = GraphedSearch(network, SearchConfig(num_simulations=50))
    return lambda: searched(observations, **given), torch.no_grad()(lambda: network.initial_inference(observations))


def profile_searches(options: argparse.Namespace) -> list[dict[str, Any]]:
    """By the number of roots: milliseconds of a search and of the roots' inference, and the kernels by their share."""
    rows = []
    for batch in map(int, options.roots.split(",")):
        searched, root = make_search(options.preset, batch, prepare_torch(1))
        rows.append({"roots": batch, "ms": milliseconds(searched, 5), "root_inference_ms": milliseconds(root, 5)})
        rows[-1]["kernels"] = kernels_of(searched)
        print(json.dumps(rows), flush=True)  # a larger one that takes too long does not lose this one
        torch.cuda.empty_cache()
    return rows


def kernels_of(call: Callable[[], Any]) -> list[dict[str, Any]]:
    """The kernels that take longest in one call: name, how often, microseconds in all."""
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        call()
        torch.cuda.synchronize()
    microseconds: collections.Counter[str] = collections.Counter()
    calls: collections.Counter[str] = collections.Counter()
    for event in trace.events() or []:
        microseconds[event.name] += event.time_range.elapsed_us()
        calls[event.name] += 1
    return [{"kernel": name, "calls": calls[name], "us": us} for name, us in microseconds.most_common(MOST_KERNELS)]


def deterministic(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of a search with the deterministic kernels that every run demands, and without the demand."""
    on = prepare_torch(1)
    demanded = milliseconds(make_search(options.preset, 1536, on)[0], 5)
    torch.use_deterministic_algorithms(False)
    free = milliseconds(make_search(options.preset, 1536, on)[0], 5)
    return {"deterministic_ms": demanded, "free_ms": free, "cost": demanded / free - 1}


def side_by_side(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Updates per second in all, of 1, 2 and 4 runs that share the card."""
    lengths = {"--updates": options.updates, "--warm-up": options.warm_up, "--transitions": options.transitions}
    settings = ["--json", *(str(part) for option in lengths.items() for part in option)]
    settings += [part for setting in options.set for part in ("--set", setting)]
    rows = []
    for games in (1, 2, 4):
        command = [*BENCH, "perf", "train", options.preset, *settings]
        runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(games)]
        reports = [json.loads(run.communicate()[0]) for run in runs]
        each = [report["updates_per_second"] for report in reports]
        rows.append({"games": games, "updates_per_second": sum(each), "each": each})
        print(json.dumps(rows), flush=True)  # a later one that takes too long does not lose this one
    return rows


def atari(options: argparse.Namespace) -> dict[str, Any]:
    """A real run of Breakout for as long as there is time, then asked to end: it leaves a checkpoint, and its curve so far.

    The time counts from this process's start: what it imports first is part of it.
    """
    deadline = psutil.Process().create_time() + options.seconds
    results = Path(os.environ.get("FLIGHT_RESULTS", "flight-results")).resolve()
    suite = results / "flight.yaml"
    results.mkdir(parents=True, exist_ok=True)
    suite.write_text(json.dumps(suite_of(options.preset)), encoding="utf-8")  # JSON is YAML
    run = subprocess.Popen([*BENCH, "run", str(suite), "--no-report", "--results", str(results)], stdout=sys.stderr)
    try:
        run.wait(max(1, deadline - time.time() - SECONDS_TO_SAVE))
    except subprocess.TimeoutExpired:
        print(json.dumps(curve_of(results)), flush=True)  # a run that takes too long to end does not lose its curve
        run.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(SECONDS_TO_SAVE)
    return curve_of(results)


def curve_of(results: Path) -> dict[str, Any]:
    """How far the run in this folder has come, and the returns of its episodes so far."""
    rows = [
        json.loads(line)
        for path in results.glob("store/train/*/work/metrics.jsonl")
        for line in path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()  # the last may be half written
    ]
    returns = [[row["env_steps"], row["episode_return"]] for row in rows if "episode_return" in row]
    last: dict[str, Any] = rows[-1] if rows else {}
    return {"env_steps": last.get("env_steps", 0), "updates": last.get("updates", 0), "episode_returns": returns}


def suite_of(preset: str) -> dict[str, Any]:
    """One method, one game, one seed."""
    protocol, game = ("catch", "Catch") if preset == "tiny" else ("atari100k", "Breakout")
    method = {"name": "EfficientZero", "set": {"agent.precision": "bfloat16"}}
    question = {"suite": "flight", "version": 1, "question": "Does it learn on this card?"}
    return question | {"protocol": protocol, "preset": preset, "seeds": [0], "targets": [game], "methods": [method]}


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "device": device,
    "exact": exact,
    "profile": profile_searches,
    "deterministic": deterministic,
    "side-by-side": side_by_side,
    "atari": atari,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measurement", choices=list(MEASUREMENTS))
    parser.add_argument("--preset", default="efficientzero")
    parser.add_argument("--roots", default="4,1536,6144")
    parser.add_argument("--nvrtc", action="store_true", help="exact: with the kernels that NVRTC compiles at first use")
    parser.add_argument("--uncompared", action="store_true", help="exact: trees may differ, on a device that computes nothing")
    parser.add_argument("--updates", type=int, default=30)
    parser.add_argument("--warm-up", type=int, default=6)
    parser.add_argument("--transitions", type=int, default=2000)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    began = time.monotonic()
    result = MEASUREMENTS[options.measurement](options)
    print(f"{options.measurement}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    print(json.dumps(result))
    if options.measurement == "exact" and result["different"] and not options.uncompared:
        sys.exit(1)


if __name__ == "__main__":
    main()
