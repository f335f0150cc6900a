"""`xtra-bench perf train`: how fast a run trains here, and where its time goes."""

from __future__ import annotations

import json
from enum import StrEnum
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xtra.cli.options import SetOption

if TYPE_CHECKING:
    from xtra.stages.config import TrainConfig
    from xtra.suite.plan import Plan

GAMES = {"tiny": ("catch", "Catch", ("CatchInverted", "CatchWide", "CatchRising"))}
"""Protocol, target and sources of a preset's measurement where they are not Atari 100k's."""
ATARI = "atari100k", "Pong", ("Breakout", "Boxing", "Carnival", "Phoenix", "Assault", "Centipede", "DemonAttack", "Alien")


class Agent(StrEnum):
    """Agents that learn online."""

    efficientzero = "efficientzero"
    curl = "curl"


def measure_training(
    what: Annotated[
        str, typer.Argument(metavar="SUITE-OR-PRESET", help="A suite file, or a preset such as small or efficientzero.")
    ],
    agent: Annotated[Agent, typer.Option(help="The agent that trains.")] = Agent.efficientzero,
    crossed: Annotated[
        int, typer.Option("--cross-tasks", metavar="N", min=0, help="Finetune with N offline tasks in every update.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")] = False,
    updates: Annotated[int, typer.Option(min=1, help="Updates of each stretch that is measured.")] = 30,
    warm_up: Annotated[int, typer.Option(min=1, help="Updates before them.")] = 5,
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

    if crossed and agent is not Agent.efficientzero:
        raise typer.BadParameter(f"cross-tasks need agent efficientzero, not {agent}")
    measured = report(_config(what, agent, crossed, overrides or []), updates, warm_up, peak_tflops)
    typer.echo(json.dumps(measured, indent=2) if as_json else render(measured))


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
    method: dict[str, Any] = {"name": "Measured", "agent": agent}
    methods: dict[str, Any] = {"targets": [game], "methods": [method]}
    if crossed:
        method["set"] = {"transfer.cross_tasks.enabled": True}
        methods |= {"sources": sources, "source_method": "Source", "methods": [{"name": "Source"}, method]}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{preset}.yaml"
        path.write_text(json.dumps(suite | methods))  # JSON is YAML
        return load_plan(path, overrides)


def render(measured: dict[str, Any]) -> str:
    """The report as text."""
    updates = measured["updates"]
    lines = [
        f"{measured['agent']} learns {measured['game']} on {measured['device']}, {measured['num_threads']} thread(s), "
        f"{measured['precision']}, steady state of {updates} updates",
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
