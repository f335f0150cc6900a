"""`xtra-bench perf`: how fast this installation is, here; and whether a killed run resumes exactly."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xtra.cli.options import SetOption

if TYPE_CHECKING:
    from xtra.perf.plan import Duration, PlanningTimes
    from xtra.stages.config import TrainConfig
    from xtra.suite.plan import Plan

app = typer.Typer(name="perf", help="Measure speed on this machine.", no_args_is_help=True, add_completion=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")]
Sizes = list[int] | None
GAMES = {"tiny": ("catch", "Catch", ("CatchInverted", "CatchWide", "CatchRising"))}
"""Protocol, target and sources of a preset's measurement where they are not Atari 100k's."""
ATARI = "atari100k", "Pong", ("Breakout", "Boxing", "Carnival", "Phoenix", "Assault", "Centipede", "DemonAttack", "Alien")


@app.callback()
def perf() -> None:
    """Measure speed on this machine."""


@app.command("plan")
def measure_planning(
    as_json: AsJson = False,
    jobs: Annotated[int, typer.Option(min=1, help="Jobs of the simulated suite, at least.")] = 10_000,
    max_array_size: Annotated[int, typer.Option(min=1, help="The simulated cluster's MaxArraySize.")] = 1001,
    max_queued: Annotated[int | None, typer.Option(min=1, help="Its limit of jobs in the queue; none if not given.")] = None,
) -> None:
    """Time the planning of a simulated suite, and its status when all of it is complete; count the calls of sbatch."""
    from xtra.perf.plan import measure

    measured = measure(jobs, max_array_size, max_queued)
    typer.echo(measured.to_json() if as_json else render_planning(measured))


@app.command("resume")
def measure_resuming(
    kills: Annotated[int, typer.Option(min=1, help="Attempts to kill or stop, each at a random moment.")] = 100,
    kills_per_run: Annotated[
        int | None, typer.Option(min=1, help="Most of them that one run gets; any number if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random moments.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Kill (kill -9) or stop (SIGTERM) small training runs at random moments, start them again, and compare their outputs bit for
    bit. Half of the runs write checkpoints only by time and when stopped."""
    from xtra.perf.resume import report

    measured = report(kills, seed, kills_per_run)
    if as_json:
        typer.echo(json.dumps(measured, indent=2))
    else:
        alike = f"{measured['identical_runs']} of {measured['runs']} runs ended bit for bit as the undisturbed one"
        typer.echo(f"{measured['kills']} kills, {measured['stops']} stops: {alike}")
        for names in measured["different"]:
            typer.echo(f"  different: {', '.join(names)}")
    if measured["different"]:
        raise typer.Exit(1)


def render_planning(measured: PlanningTimes) -> str:
    """Writes the measurement as text."""
    num_left = measured.num_jobs - measured.submitted
    arrays = f"{measured.sbatch_calls} calls of sbatch, at most {measured.max_array_size:,} elements each"
    return "\n".join(
        (
            f"{measured.num_jobs:,} jobs, {measured.num_cells:,} cells",
            f"plan    {_duration(measured.plan)}",
            f"submit  {_duration(measured.submit)}: {arrays}"
            + (f"; {num_left:,} jobs left to later launches" if num_left else ""),
            f"status  {_duration(measured.status)}: {measured.complete:,} jobs complete",
        )
    )


def _duration(duration: Duration) -> str:
    return f"{duration.seconds:6.2f} s ({duration.cpu_seconds:.2f} s of CPU)"


@app.command("search")
def measure_search(
    as_json: AsJson = False,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that every engine gets at every size.")] = 9,
    engine: Annotated[list[str] | None, typer.Option(help="Engines to take part; all by default. Repeat for several.")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="Presets whose network to search with; none by default.")] = None,
    batch: Annotated[Sizes, typer.Option(min=1, help="Roots. Repeat these for several: all combinations are measured.")] = None,
    actions: Annotated[Sizes, typer.Option(min=1, max=128, help="Actions; networks have 18.")] = None,
    simulations: Annotated[Sizes, typer.Option(min=1, max=10_000, help="Simulations.")] = None,
    threads: Annotated[Sizes, typer.Option(min=1, help="Threads of ours; peers run on one.")] = None,
    grid: Annotated[bool, typer.Option("--grid", help="All sizes of the grid where none are given: an hour and more.")] = False,
    most_seconds: Annotated[float, typer.Option(min=0, help="Leave out searches with a network that take longer.")] = 30.0,
    cuda_only: Annotated[bool, typer.Option("--cuda-only", help="Time presets on CUDA, and nothing on the CPU.")] = False,
) -> None:
    """Time the tree search, side by side with the published ones that are installed (mctx, LightZero 0.2.0)."""
    from xtra.perf import problem
    from xtra.perf.engines import ENGINES
    from xtra.perf.search import SearchBenchmark, report
    from xtra.suite.presets import PRESETS

    if cuda_only:
        require_cuda_and_presets(preset)
    _require_known("--engine", engine, list(ENGINES))
    _require_known("--preset", preset, list(PRESETS))
    _require_cores(threads)
    dimensions = [batch, actions, simulations, threads]
    if grid:
        everything = [problem.BATCHES, problem.ACTIONS, problem.SIMULATIONS, [1]]
        dimensions = [values or whole for values, whole in zip(dimensions, everything, strict=True)]
    trees, networks = problem.STANDARD, problem.STANDARD_NETWORK
    if any(dimensions):
        trees = problem.combinations(*(values or [] for values in dimensions))
        networks = problem.combinations(batch or [], [18], simulations or [], threads or [])
    benchmark = SearchBenchmark(engine or list(ENGINES), preset or [], trees, networks, rounds, most_seconds, not cuda_only)
    measured = report(benchmark, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(measured, indent=2) if as_json else render_search(measured))


def require_cuda_and_presets(presets: list[str] | None) -> None:
    """Raises BadParameter where nothing would be measured on CUDA."""
    import torch

    from xtra.search.cuda import cuda_is_usable

    if not torch.cuda.is_available() or not cuda_is_usable():
        raise typer.BadParameter("no CUDA device can search here; `xtra-bench doctor` says why", param_hint="--cuda-only")
    if not presets:
        raise typer.BadParameter("needs the network of a --preset", param_hint="--cuda-only")


def _require_known(option: str, names: list[str] | None, valid_names: list[str]) -> None:
    for name in names or []:
        if name not in valid_names:
            raise typer.BadParameter(f"{name!r} is unknown; valid are {', '.join(valid_names)}", param_hint=option)


def _require_cores(threads: Sizes) -> None:
    cores = len(os.sched_getaffinity(0))
    if max(threads or [1]) > cores:
        raise typer.BadParameter(f"{max(threads or [1])} threads on {cores} cores measure nothing", param_hint="--threads")


def render_search(measured: dict[str, Any]) -> str:
    """Writes the report as text."""
    lines = ["tree only, simulations/s"] if measured["tree_only"] else []
    for row in measured["tree_only"]:
        lines.append(f"  {_size(row)}")
        for name, engine in row["engines"].items():
            lines.append(f"    {name:<12} " + (engine.get("absent") or f"{engine['simulations_per_second']:>12,}"))
        lines.extend(f"    {pair}: {ratio:.1f} times faster" for pair, ratio in row["times_faster"].items())
    if measured["split"]:
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


class LearningAgent(StrEnum):
    """Agents that learn online."""

    efficientzero = "efficientzero"
    curl = "curl"


@app.command("train")
def measure_training(
    what: Annotated[
        str, typer.Argument(metavar="SUITE-OR-PRESET", help="A suite file, or a preset such as small or efficientzero.")
    ],
    agent: Annotated[LearningAgent, typer.Option(help="The agent that trains.")] = LearningAgent.efficientzero,
    crossed: Annotated[
        int, typer.Option("--cross-tasks", metavar="N", min=0, help="Finetune with N offline tasks in every update.")
    ] = 0,
    as_json: AsJson = False,
    updates: Annotated[int, typer.Option(min=1, help="Updates of each stretch that is measured.")] = 30,
    warm_up: Annotated[int, typer.Option(min=1, help="Updates made before the measurement.")] = 5,
    transitions: Annotated[
        int, typer.Option(min=1, max=90_000, help="In the replay before the first update, of random play.")
    ] = 2_000,
    peak_tflops: Annotated[
        float | None, typer.Option(min=0.001, help="What the device can do at best; by default a large matrix product is timed.")
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Train an agent for a short while and tell its steady speed, by part; of a suite, the agent's first run.

    It is a run from scratch or, with --cross-tasks, a finetuning whose every
    update sees offline tasks. Their data are made on the spot: random play of
    the first N source games (from the first again where they are fewer), with
    uniform labels; the network starts from random weights. Then it also tells
    how long updates wait for these data beyond what was decoded ahead, and
    what measuring the tasks' gradients costs.
    """
    from xtra.perf.train import report

    if crossed and agent is not LearningAgent.efficientzero:
        raise typer.BadParameter(f"cross-tasks need agent efficientzero, not {agent}")
    measured = report(_config(what, agent, crossed, overrides or []), updates, warm_up, transitions, peak_tflops)
    typer.echo(json.dumps(measured, indent=2) if as_json else render_training(measured))


def _config(what: str, agent: str, crossed: int, overrides: list[str]) -> TrainConfig:
    from xtra.stages.config import TrainConfig
    from xtra.suite.diagnostics.errors import suggest
    from xtra.suite.presets import PRESETS

    if what not in PRESETS and not Path(what).exists():
        raise typer.BadParameter(f"{what!r} is neither a file nor a preset; {suggest(what, list(PRESETS), 'presets')}")
    plan = _preset_plan(what, agent, crossed > 0, overrides) if what in PRESETS else _suite_plan(what, overrides)
    for job in plan.jobs.values():
        if job.stage != "train" or job.config["agent"]["name"] != agent:
            continue
        config = TrainConfig.model_validate_json(json.dumps(job.config))
        if not crossed and config.finetuning is None:
            return config
        if crossed and config.finetuning is not None and config.finetuning.cross_tasks is not None:
            sources = tuple(islice(cycle(config.finetuning.sources), crossed))
            return config.model_copy(update={"finetuning": config.finetuning.model_copy(update={"sources": sources})})
    raise typer.BadParameter(f"{what!r} trains no {agent} {'with cross-tasks' if crossed else 'from scratch'}")


def _suite_plan(path: str, overrides: list[str]) -> Plan:
    from xtra.cli.options import load_plan

    return load_plan(Path(path), overrides)


def _preset_plan(preset: str, agent: str, crossed: bool, overrides: list[str]) -> Plan:
    import tempfile

    from xtra.cli.options import load_plan

    protocol, game, sources = GAMES.get(preset, ATARI)
    suite = {"suite": "perf", "version": 1, "question": "How fast?", "protocol": protocol, "preset": preset, "seeds": [0]}
    method: dict[str, Any] = {"name": "PlanningTimes", "agent": agent}
    methods: dict[str, Any] = {"targets": [game], "methods": [method]}
    if crossed:
        method["set"] = {"transfer.cross_tasks.enabled": True}
        methods |= {"sources": sources, "source_method": "Source", "methods": [{"name": "Source"}, method]}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{preset}.yaml"
        path.write_text(json.dumps(suite | methods))  # JSON is YAML
        return load_plan(path, overrides)


def render_training(measured: dict[str, Any]) -> str:
    """Writes the report as text."""
    updates = measured["updates"]
    lines = [
        f"{measured['agent']} learns {measured['game']} on {measured['device']}, {measured['num_threads']} thread(s), "
        f"{measured['precision']}, steady state of {updates} updates, "
        f"{measured['transitions']:,} transitions in the replay at first",
        f"{measured['updates_per_second']:.2f} updates/s and {measured['env_steps_per_second']:.2f} env steps/s, in lock step",
    ]
    lines += [
        f"  {name:<12} {seconds / updates * 1e3:9.2f} ms per update  {100 * measured['fractions'][name]:5.1f} %"
        for name, seconds in measured["seconds"].items()
    ]
    if measured["cross_tasks"] is not None:
        lines += _cross_tasks(measured["cross_tasks"])
    memory = ", ".join(f"{gigabytes:.2f} GB on the {where}" for where, gigabytes in measured["peak_memory_gb"].items())
    lines += [
        f"waiting for data: {100 * measured['data_wait_fraction']:.1f} %; inside torch's operators, on the host: "
        f"{100 * measured['torch_kernel_fraction']:.1f} %; peak memory: {memory}",
        f"{measured['flops']['per_env_step'] / 1e9:.3f} GFLOP per env step, "
        f"{measured['flops']['per_update'] / 1e9:.3f} per update: "
        f"{100 * measured['model_flop_utilisation']:.1f} % of {measured['peak_tflops']:.3f} TFLOP/s",
        f"a game of 100,000 env steps: {measured['projected_hours']:.2f} h, without curve and evaluation",
    ]
    return "\n".join(lines)


def _cross_tasks(measured: dict[str, Any]) -> list[str]:
    return [
        f"offline tasks: {', '.join(measured['games'])}; an update waits for their data for "
        f"{100 * measured['data_wait_fraction']:.1f} % of its time",
        f"measuring their gradients: +{100 * measured['measurement_cost']:.0f} % of an update inside a window, "
        f"+{100 * measured['mean_measurement_cost']:.1f} % averaged over an interval",
    ]
