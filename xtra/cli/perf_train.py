"""`xtra-bench perf train`: how fast a run trains here, and where its time goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xtra.cli.suite_options import SetOption

if TYPE_CHECKING:
    from xtra.stages.config import TrainConfig
    from xtra.suite.plan import Plan

GAMES = {"tiny": ("catch", "Catch")}
"""Protocol and game of a preset's measurement where it is not Atari 100k's Pong."""


def measure_training(
    what: Annotated[
        str, typer.Argument(metavar="SUITE-OR-PRESET", help="A suite file, or a preset such as small or efficientzero.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")] = False,
    updates: Annotated[int, typer.Option(min=1, help="Updates of each of the three stretches that are measured.")] = 30,
    warm_up: Annotated[int, typer.Option(min=1, help="Updates before them.")] = 5,
    peak_tflops: Annotated[
        float | None, typer.Option(min=0.001, help="What the device can do at best; by default a large matrix product is timed.")
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Train EfficientZero for a short while and tell its steady speed, by part; of a suite, its first run from scratch."""
    from xtra.perf.train import report

    measured = report(_config(what, overrides or []), updates, warm_up, peak_tflops)
    typer.echo(json.dumps(measured, indent=2) if as_json else render(measured))


def _config(what: str, overrides: list[str]) -> TrainConfig:
    from xtra.stages.config import TrainConfig
    from xtra.suite.errors import suggest
    from xtra.suite.presets import PRESETS

    if what not in PRESETS and not Path(what).exists():
        raise typer.BadParameter(f"{what!r} is neither a file nor a preset; {suggest(what, list(PRESETS), 'presets')}")
    for job in (_preset_plan(what, overrides) if what in PRESETS else _suite_plan(what, overrides)).jobs.values():
        config = job.config
        if job.stage == "train" and config["agent"]["name"] == "efficientzero" and config["finetuning"] is None:
            return TrainConfig.model_validate_json(json.dumps(config))
    raise typer.BadParameter(f"{what!r} trains no EfficientZero from scratch")


def _suite_plan(path: str, overrides: list[str]) -> Plan:
    from xtra.cli.suite_options import load_plan

    return load_plan(Path(path), overrides)


def _preset_plan(preset: str, overrides: list[str]) -> Plan:
    import tempfile

    from xtra.cli.suite_options import load_plan

    protocol, game = GAMES.get(preset, ("atari100k", "Pong"))
    suite = {"suite": "perf", "version": 1, "question": "How fast?", "protocol": protocol, "preset": preset, "seeds": [0]}
    methods = {"targets": [game], "methods": [{"name": "EfficientZero"}]}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{preset}.yaml"
        path.write_text(json.dumps(suite | methods))  # JSON is YAML
        return load_plan(path, overrides)


def render(measured: dict[str, Any]) -> str:
    """The report as text."""
    updates = measured["updates"]
    lines = [
        f"{measured['game']} on {measured['device']}, {measured['num_threads']} thread(s), {measured['precision']}, "
        f"steady state of {updates} updates",
        f"{measured['updates_per_second']:.2f} updates/s and {measured['env_steps_per_second']:.2f} env steps/s, in lock step",
    ]
    lines += [
        f"  {name:<12} {seconds / updates * 1e3:9.2f} ms per update  {100 * measured['fractions'][name]:5.1f} %"
        for name, seconds in measured["seconds"].items()
    ]
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
