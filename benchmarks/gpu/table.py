"""`python benchmarks/gpu/table.py FLIGHT.json`: a flight's figures as the table of README, in Markdown."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUSTAINED_UPDATES = 30
"""A speed of fewer updates is not one of a steady state, and is marked."""

TRAINING = {
    "train": "EfficientZero as released, bfloat16",
    "train_cross_tasks": "XTRA with 2 offline tasks, bfloat16",
    "train_gumbel_16": "Gumbel search of 16 simulations, bfloat16",
    "train_without_graphs": "without CUDA graphs, bfloat16",
    "train_float32": "float32",
}
"""The steps that train, and what their rows are called."""


def table(flight: dict[str, Any]) -> str:
    """Figures under the card's name, then what was not measured and why."""
    results = {
        step["name"]: step["result"] for step in flight["steps"] if step["status"] == "done" and step["result"] is not None
    }
    card = (results.get("device") or {}).get("card", "unknown card")
    lines = ["**A rehearsal: these figures mean nothing.**", ""] if flight["rehearsal"] else []
    lines += [f"On one {card}, {flight['begun'][:10]}:", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {figure} |" for name, figure in rows(results)]
    lost = [f"{step['name']} ({step['status']})" for step in flight["steps"] if step["status"] != "done"]
    if lost:
        lines += ["", f"Not measured: {', '.join(lost)}."]
    return "\n".join(lines)


def rows(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and figures of whatever was measured."""
    if device := results.get("device"):
        yield "matrix product, bfloat16", f"{device['bfloat16_tflops']:.0f} TFLOP/s"
        yield "copy on the device", f"{device['copy_tb_per_s']:.2f} TB/s"
        yield "node of a graph", f"{device['us_per_graph_node']:.2f} us"
    if exact := results.get("exact"):
        yield "trees equal to the CPU's bit for bit", f"{exact['cases'] - exact['different']} of {exact['cases']} cases"
    for step, name in TRAINING.items():
        if step in results:
            yield f"training, {name}", training(results[step])
    for search in results.get("profile") or []:
        speed = search["roots"] * 50 / search["ms"] / 1e3
        yield f"search of {search['roots']:,} roots, 50 simulations", f"{search['ms']:.2f} ms, {speed:.2f} M simulations/s"
    if deterministic := results.get("deterministic"):
        yield "cost of deterministic kernels in a search", f"{100 * deterministic['cost']:.0f} %"
    for shared in results.get("side_by_side") or []:
        yield f"{shared['games']} runs on the card", f"{shared['updates_per_second']:.1f} updates/s in all"
    if resumed := results.get("resume"):
        yield "runs killed and resumed, equal bit for bit", f"{resumed['identical_runs']} of {resumed['runs']}"
    if (run := results.get("atari")) and run["episode_returns"]:
        yield "Breakout, real run", f"{run['env_steps']:,} env steps, {len(run['episode_returns'])} episodes"


def training(report: dict[str, Any]) -> str:
    """Speed, hours of a game and share of the peak; marked where too few updates were measured."""
    mark = "" if report["updates"] >= SUSTAINED_UPDATES else f" (of {report['updates']} updates only: not sustained)"
    hours = f"{report['projected_hours']:.2f} h for 100,000 env steps"
    return f"{report['updates_per_second']:.1f} updates/s, {hours}, {100 * report['model_flop_utilisation']:.0f} % of peak{mark}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
