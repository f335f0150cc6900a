"""`xtra-bench perf search`: how fast the tree search is here, beside its peers."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

Sizes = list[int] | None


def measure_search(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that every engine gets at every size.")] = 9,
    engine: Annotated[list[str] | None, typer.Option(help="Engines to take part; all by default. Repeat for several.")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="Presets whose network to search with; none by default.")] = None,
    batch: Annotated[Sizes, typer.Option(min=1, help="Roots. Repeat these for several: all combinations are measured.")] = None,
    actions: Annotated[Sizes, typer.Option(min=1, max=128, help="Actions; networks have 18.")] = None,
    simulations: Annotated[Sizes, typer.Option(min=1, max=10_000, help="Simulations.")] = None,
    threads: Annotated[Sizes, typer.Option(min=1, help="Threads of ours; peers run on one.")] = None,
    grid: Annotated[bool, typer.Option("--grid", help="All sizes of the grid where none are given: an hour and more.")] = False,
    most_seconds: Annotated[float, typer.Option(min=0, help="Leave out searches with a network that take longer.")] = 30.0,
) -> None:
    """Time the tree search, side by side with the published ones that are installed (mctx, LightZero 0.2.0)."""
    from xtra.perf import problem
    from xtra.perf.engines import ENGINES
    from xtra.perf.search import Plan, report
    from xtra.suite.presets import PRESETS

    _require_known("--engine", engine, list(ENGINES))
    _require_known("--preset", preset, list(PRESETS))
    _require_cores(threads)
    chosen = [batch, actions, simulations, threads]
    if grid:
        everything = [problem.BATCHES, problem.ACTIONS, problem.SIMULATIONS, [1]]
        chosen = [given or whole for given, whole in zip(chosen, everything, strict=True)]
    trees, networks = problem.STANDARD, problem.STANDARD_NETWORK
    if any(chosen):
        trees = problem.combinations(*(given or [] for given in chosen))
        networks = problem.combinations(batch or [], [18], simulations or [], threads or [])
    plan = Plan(engine or list(ENGINES), preset or [], trees, networks, rounds, most_seconds)
    measured = report(plan, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(measured, indent=2) if as_json else render(measured))


def _require_known(option: str, given: list[str] | None, known: list[str]) -> None:
    for name in given or []:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is unknown; valid are {', '.join(known)}", param_hint=option)


def _require_cores(threads: Sizes) -> None:
    cores = len(os.sched_getaffinity(0))
    if max(threads or [1]) > cores:
        raise typer.BadParameter(f"{max(threads or [1])} threads on {cores} cores measure nothing", param_hint="--threads")


def render(measured: dict[str, Any]) -> str:
    """The report as text."""
    lines = ["tree only, simulations/s"]
    for row in measured["tree_only"]:
        lines.append(f"  {_size(row)}")
        for name, engine in row["engines"].items():
            lines.append(f"    {name:<12} " + (engine.get("absent") or f"{engine['simulations_per_second']:>12,}"))
        lines.extend(f"    {pair}: {ratio:.1f} times faster" for pair, ratio in row["times_faster"].items())
    lines.append("where a step's time goes, us: tree / glue / network; bytes per node and per root")
    lines.extend(
        f"  {_size(row)}: {row['tree_us']:.1f} / {row['glue_us']:.1f} / {row['network_us']:.1f}; "
        f"{row['bytes_per_node']:.0f}, {row['bytes_per_root']:,}"
        for row in measured["split"]
    )
    lines.extend(
        f"two threads at {row['batch']} roots: {row['whole']:.2f}x, at best {row['whole_best']:.2f}x (trees {row['tree']:.2f}x)"
        for row in measured["two_threads"]
    )
    lines.extend(f"preset {row['preset']}, {_size(row)}: {_network(row)}" for row in measured["network"])
    lines.extend(f"CUDA, preset {row['preset']}, {row['batch']} roots: {_cuda(row)}" for row in measured.get("cuda", []))
    lines.append(f"CUDA: {measured['machine']['cuda']}")
    return "\n".join(lines)


def _size(row: dict[str, Any]) -> str:
    threads = f", {row['num_threads']} threads" if row["num_threads"] > 1 else ""
    return f"{row['batch']} roots x {row['num_actions']} actions x {row['num_simulations']} simulations{threads}"


def _cuda(row: dict[str, Any]) -> str:
    speed = f"{row['simulations_per_second']:,.0f} simulations/s in {row['precision']}"
    outside = f"{100 * row['outside_network_fraction']:.1f} % outside the network"
    if row["kernels_per_simulation"] is None:
        return f"{speed}, {outside}; the profiler saw no kernel"
    return (
        f"{speed}, {outside}, {row['kernels_per_simulation']:.0f} kernels each, "
        f"{row['host_waits_per_search']:.0f} host waits a search, GPU busy {100 * (row['gpu_busy_fraction'] or 0):.0f} %"
    )


def _network(row: dict[str, Any]) -> str:
    if "skipped" in row:
        return str(row["skipped"])
    split = " / ".join(f"{row[part]:.1f}" for part in ("tree_us", "glue_us", "network_us"))
    outside = f"{100 * row['outside_network_fraction']:.1f} % outside the network"
    return f"{row['simulations_per_second']:,.0f} simulations/s; {split} us; {outside}"
