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
        Path | None, typer.Option(help="Where to write report.html and its tables and figures. Default: the first run.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Make one self-contained report.html of one or more runs of the same protocol."""
    from xtra.stages.report import report as make_report

    try:
        page = make_report(runs, out, seed)
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(page)
