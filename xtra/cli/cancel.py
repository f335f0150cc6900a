"""`xtra-bench cancel`: takes a suite's jobs out of the SLURM queue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xtra.cli.suite_options import OnlyOption, ResultsOption, SeedsOption, SetOption, load_plan_if_named
from xtra.cli.wording import counted


def cancel(
    suite: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A suite file; without one, every job submitted from this directory.")
    ] = None,
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Cancel queued and running SLURM jobs. What they checkpointed stays; `run` goes on from there."""
    from xtra.execute.slurm.queue import SlurmError, Submissions, cancel

    plan = load_plan_if_named(suite, overrides, seeds, only)
    try:
        queued = Submissions(results.resolve() / "slurm").queued()
        chosen = {entry.slurm_id for key, entry in queued.items() if plan is None or key in plan.jobs}
        ended = [entry for entry in queued.values() if entry.slurm_id in chosen]
        cancel(ended)
    except SlurmError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    sharers = 0 if plan is None else sum(entry.slurm_id in chosen and key not in plan.jobs for key, entry in queued.items())
    shared = f", {sharers} of them because they share a GPU with the others" if sharers else ""
    told = f"cancelled {len(ended)} of {counted(len(queued), 'queued job')}{shared}"
    typer.echo(told if queued else "SLURM has no job of this directory")
