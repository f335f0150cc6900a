"""Commands that check and change nothing: `validate` a suite (`schema`: for editors), `check-environment`, `profile`,
`doctor`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.messages import counted, print_warnings, refusal
from xtra.cli.options import PluginOption, SeedsOption, SetOption, SuiteArgument, TrustOption, load_plan
from xtra.suite.diagnostics.errors import printable

if TYPE_CHECKING:
    from xtra.execute.slurm.profile import SlurmProfile
    from xtra.perf.doctor import Finding


def validate(
    suite: SuiteArgument,
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    plugin: PluginOption = None,
    trust_plugins: TrustOption = False,
) -> None:
    """Check a suite file: exit status 0 if it can be run, 2 with every mistake, its place and its remedy if not."""
    from xtra.execute.suite_run import require_extras

    plan = load_plan(suite, overrides, seeds, trust_plugins=trust_plugins)
    require_extras(plan)
    print_warnings(plan)
    spec = plan.spec
    factors = {"method": spec.methods, "game": spec.targets, "seed": spec.seeds}
    product = " x ".join(counted(len(values), noun) for noun, values in factors.items())
    sums = f"{counted(len(plan.cells), 'cell')}, {counted(len(plan.jobs), 'job')}"
    typer.echo(f"ok: {spec.suite} version {spec.version}: {product} = {sums}")


def schema() -> None:
    """Print the JSON Schema of suite files, by which YAML editors complete and check them."""
    from xtra.suite.settings import suite_schema

    typer.echo(json.dumps(suite_schema(), indent=2))


SIZES = (10, 48, 96)
"""Frame sizes that are tried in turn where none is asked for."""


def check_environment(
    game: Annotated[str, typer.Argument(metavar="GAME", help="A game's name, as in a suite.")],
    frame_size: Annotated[
        int | None, typer.Option(min=8, max=210, metavar="PIXELS", help="Of 10, 48, 96 the first that fits.")
    ] = None,
    plugin: PluginOption = None,
) -> None:
    """Try what every game promises: shapes, exact repetition and resume, independent copies. Exits with 1 for a broken promise.

    For example: xtra-bench check-environment Catch
    """
    from pydantic import ValidationError

    from xtra.envs.config import EnvironmentConfig
    from xtra.envs.contract import check_contract
    from xtra.protocol.families import FAMILIES, UnknownGame
    from xtra.protocol.games import GAMES, find_game
    from xtra.suite.diagnostics.errors import printable, suggest

    try:
        problem_of = FAMILIES[find_game(game).family].frame_problem
    except UnknownGame as error:
        raise refusal(f"{error}; {error.remedy or suggest(game, GAMES, 'games')}") from None
    size = frame_size or next((size for size in SIZES if problem_of(game, size) is None), SIZES[-1])
    try:
        config = EnvironmentConfig(game=game, frame_size=size)
    except ValidationError as error:
        raise refusal(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
    broken = 0
    for outcome in check_contract(config):
        broken += bool(outcome.fault)
        typer.echo(printable(f"broken: {outcome.promise}: {outcome.fault}" if outcome.fault else f"kept: {outcome.promise}"))
    if broken:
        raise typer.Exit(1)


profile_app = typer.Typer(name="profile", help="Check a SLURM profile.", no_args_is_help=True, add_completion=False)


@profile_app.callback()
def profile() -> None:
    """Check a SLURM profile."""


@profile_app.command("check")
def check_profile(
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="A profile, as `run --profile` takes it.")],
) -> None:
    """Check a profile: exit status 0 and what it comes to if it can be used, 2 with every mistake, its place and remedy if not.

    For example: xtra-bench profile check site.yaml
    """
    from xtra.execute.slurm.profile import load_profile

    loaded = load_profile(file)
    typer.echo(f"ok: {file}")
    for settings, stages in _by_settings(loaded).items():
        typer.echo(printable(f"{', '.join(stages)}: {settings or 'nothing but what suites say'}"))
    limits = {"max_array_size": loaded.max_array_size, "max_queued": loaded.max_queued}
    for name, limit in limits.items():
        if limit is not None:
            typer.echo(f"{name}: {limit}")


def _by_settings(loaded: SlurmProfile) -> dict[str, list[str]]:
    """Groups the stages by the options of sbatch that they get."""
    from xtra.execute.slurm.profile import REPORT
    from xtra.stages.registry import STAGES
    from xtra.store.job import Resources

    stages: dict[str, list[str]] = {}
    for stage in (*STAGES, REPORT):
        values = loaded.of(stage, Resources()).model_dump(exclude_defaults=True)
        options = values.pop("sbatch", {})
        setup = values.pop("setup", ())
        parts = [f"{name} {value}" for name, value in {**values, **options}.items()]
        parts += [f"before the job `{line}`" for line in setup]
        stages.setdefault(", ".join(parts), []).append(stage)
    return stages


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Tell what this machine has, what of it is used (torch, GPU, engines, threads, SLURM, extras), and what is slow and why."""
    from xtra.perf.doctor import examine

    findings = examine()
    typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2) if as_json else render_findings(findings))


def render_findings(findings: Sequence[Finding]) -> str:
    """A line for each finding, its advice below it."""
    width = max(len(finding.topic) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.topic:<{width}}  {finding.state}")
        if finding.advice:
            lines.append(f"{'':<{width}}  -> {finding.advice}")
    return "\n".join(lines)
