"""`xtra-bench profile`: whether a site's SLURM profile is in order, and what it comes to for each stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.suite.diagnostics.errors import printable

if TYPE_CHECKING:
    from xtra.execute.slurm.profile import SlurmProfile

app = typer.Typer(name="profile", help="Check a SLURM profile.", no_args_is_help=True, add_completion=False)


@app.callback()
def profile() -> None:
    """Check a SLURM profile."""


@app.command("check")
def check(
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
    """The stages that get the same options of sbatch, by these."""
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
