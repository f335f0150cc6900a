"""`python benchmarks/gpu/table.py FLIGHT.json …`: a flight's figures as the table of README, in Markdown.

Of several, a later one's steps replace an earlier one's: a flight may be flown in parts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SUSTAINED_UPDATES = 30
"""A speed of fewer updates is not one of a steady state, and is marked."""

TRAINING = {
    "train": "EfficientZero as released, bfloat16",
    "train_cross_tasks": "XTRA with 2 offline tasks, bfloat16",
    "train_per_period": "a search per position and target network, 4 batches at once, bfloat16",
    "train_gumbel_16": "Gumbel search of 16 simulations, bfloat16",
    "train_without_graphs": "without CUDA graphs, bfloat16",
    "train_float32": "float32",
}
"""The steps that train, and what their rows are called."""


CHECKS = {"tests": "the tests marked `gpu`", "memcheck": "compute-sanitizer's memcheck of the search"}
"""The steps that only pass or fail."""


def table(flights: Sequence[dict[str, Any]]) -> str:
    """Figures under the card's name, then what was not measured and why. What a step printed before its time ran out counts."""
    steps = {step["name"]: step for flight in flights for step in flight["steps"] if step["status"] != "not begun"}
    results = {name: step["result"] for name, step in steps.items() if step["result"] is not None}
    card = (results.get("device") or {}).get("card", "unknown card")
    lines = ["**A rehearsal: these figures mean nothing.**", ""] if any(flight["rehearsal"] for flight in flights) else []
    lines += [f"On one {card}, {flights[0]['begun'][:10]}:", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {figure} |" for name, figure in rows(results)]
    lines += [
        f"| {CHECKS[name]} | {'passed' if steps[name]['status'] == 'done' else steps[name]['status']} |"
        for name in CHECKS
        if name in steps
    ]
    lost = {step["name"]: step["status"] for flight in flights for step in flight["steps"] if step["name"] not in CHECKS}
    lost |= {name: step["status"] for name, step in steps.items() if name not in CHECKS}
    if incomplete := [f"{name} ({status})" for name, status in lost.items() if status != "done"]:
        lines += ["", f"Not or not wholly measured: {', '.join(incomplete)}."]
    return "\n".join(lines)


def rows(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and figures of whatever was measured."""
    if device := results.get("device"):
        yield "matrix product, bfloat16", f"{device['bfloat16_tflops']:.0f} TFLOP/s"
        yield "copy on the device", f"{device['copy_tb_per_s']:.2f} TB/s"
        yield "node of a graph", f"{device['us_per_graph_node']:.2f} us"
    yield from searches(results)
    for step, name in TRAINING.items():
        if step in results:
            yield f"training, {name}", training(results[step])
    for shared in results.get("side_by_side") or []:
        yield f"{shared['games']} runs on the card", f"{shared['updates_per_second']:.1f} updates/s in all"
    if resumed := results.get("resume"):
        yield "runs killed and resumed, equal bit for bit", f"{resumed['identical_runs']} of {resumed['runs']}"
    if (run := results.get("atari")) and run["episode_returns"]:
        yield "Breakout, real run", f"{run['env_steps']:,} env steps, {len(run['episode_returns'])} episodes"


def searches(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The same of searches."""
    for step, trees in (("exact", "trees"), ("exact_nvrtc", "trees of kernels compiled at first use")):
        if exact := results.get(step):
            yield f"{trees} equal to the CPU's bit for bit", f"{exact['cases'] - exact['different']} of {exact['cases']} cases"
    for search in results.get("profile") or []:
        speed = search["roots"] * 50 / search["ms"] / 1e3
        yield f"search of {search['roots']:,} roots, 50 simulations", f"{search['ms']:.2f} ms, {speed:.2f} M simulations/s"
    for measured in (results.get("search") or {}).get("cuda", []):
        outside = f"{100 * measured['outside_network_fraction']:.0f} % of it outside the network"
        yield "search as `perf search` measures it", f"{measured['simulations_per_second'] / 1e6:.2f} M simulations/s, {outside}"
    if deterministic := results.get("deterministic"):
        yield "cost of deterministic kernels in a search", f"{100 * deterministic['cost']:.0f} %"


def training(report: dict[str, Any]) -> str:
    """Speed, hours of a game and share of the peak; marked where too few updates were measured."""
    mark = "" if report["updates"] >= SUSTAINED_UPDATES else f" (of {report['updates']} updates only: not sustained)"
    hours = f"{report['projected_hours']:.2f} h for 100,000 env steps"
    return f"{report['updates_per_second']:.1f} updates/s, {hours}, {100 * report['model_flop_utilisation']:.0f} % of peak{mark}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(table([json.loads(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:]]))
