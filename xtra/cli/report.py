"""`xtra-bench report`: makes the report of finished (or half-finished) runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories, such as results/runs/quick-<time>-<id>.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="The directory of report.html and its tables and figures; made if need be. Default: the first run.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Make one self-contained report.html of one or more runs of the same protocol."""
    from xtra.results.finish import report as make_report

    try:
        page = make_report(runs, out, seed)
    except OSError as error:
        message = f"{error.filename or out or runs[0]}: {error.strerror or error}"
    except ValueError as error:
        message = str(error)
    else:
        typer.echo(page)
        return
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)
