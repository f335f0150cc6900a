"""`xtra-bench perf`: how fast this installation is, here."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from xtra.cli.perf_plan import measure_planning
from xtra.cli.perf_train import measure_training

app = typer.Typer(name="perf", help="Measure speed on this machine.", no_args_is_help=True, add_completion=False)


@app.callback()
def perf() -> None:
    """Measure speed on this machine."""


app.command("plan")(measure_planning)
app.command("train")(measure_training)


@app.command("search")
def perf_search(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that every engine gets in every cell.")] = 9,
    engine: Annotated[list[str] | None, typer.Option(help="Engines to take part; all by default. Repeat for several.")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="Presets whose network to search with; none by default.")] = None,
    network_batch: Annotated[int, typer.Option(min=1, help="Roots in a search with a network.")] = 64,
    long: Annotated[bool, typer.Option("--long", help="Also 1536 roots, and 800 simulations.")] = False,
) -> None:
    """Time the tree search, side by side with the published ones that are installed (mctx, LightZero 0.2.0)."""
    from xtra.perf.engines import ENGINES
    from xtra.perf.search import report
    from xtra.suite.presets import PRESETS

    _require_known("--engine", engine, list(ENGINES))
    _require_known("--preset", preset, list(PRESETS))
    names = engine or list(ENGINES)
    measured = report(names=names, num_rounds=rounds, long=long, presets=preset or [], network_batch=network_batch)
    typer.echo(json.dumps(measured, indent=2) if as_json else render(measured))


def _require_known(option: str, given: list[str] | None, known: list[str]) -> None:
    for name in given or []:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is unknown; valid are {', '.join(known)}", param_hint=option)


def render(measured: dict[str, Any]) -> str:
    """The report as text."""
    lines = ["tree only, simulations/s"]
    for cell in measured["tree_only"]:
        lines.append(f"  {cell['batch']} roots x {cell['num_actions']} actions x {cell['num_simulations']} simulations")
        for name, found in cell["engines"].items():
            lines.append(f"    {name:<12} " + (found.get("absent") or f"{found['simulations_per_second']:>12,}"))
        lines.extend(f"    {pair}: {ratio:.1f} times faster" for pair, ratio in cell["times_faster"].items())
    lines.append("where a step's time goes, us: tree / glue / network; bytes per node")
    lines.extend(
        f"  {row['batch']} x {row['num_actions']} x {row['num_simulations']}: {row['tree_us']:.1f} / {row['glue_us']:.1f} / "
        f"{row['network_us']:.1f}; {row['bytes_per_node']:.0f}"
        for row in measured["split"]
    )
    lines.extend(
        f"two threads at {row['batch']} roots: {row['whole']:.2f}x (trees alone {row['tree']:.2f}x)"
        for row in measured.get("two_threads", [])
    )
    for row in measured["network"]:
        outside = f"{100 * row['outside_network_fraction']:.1f} % outside the network"
        lines.append(f"preset {row['preset']}, {row['batch']} roots: {outside}, {row['network_us']:.0f} us per inference")
    lines.extend(
        f"CUDA, preset {row['preset']}, {row['batch']} roots: {row['simulations_per_second']:,.0f} simulations/s, "
        f"{100 * row['outside_network_fraction']:.1f} % outside the network, {row['kernels_per_simulation']:.0f} kernels each, "
        f"{row['host_waits_per_search']:.0f} host waits a search, GPU busy {100 * row['gpu_busy_fraction']:.0f} %"
        for row in measured.get("cuda", [])
    )
    lines.append(f"CUDA: {measured['machine']['cuda']}")
    return "\n".join(lines)
