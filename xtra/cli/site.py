"""`xtra-bench site`: a gallery of reports and a leaderboard, as files that any web server can show, or a browser alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xtra.cli.messages import refusal

HOMES = (Path("results/ours"), Path("results/runs"))
"""Where runs are looked for."""


def site(
    out: Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="The site's directory; made if need be.")],
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN...]",
            help="Runs, or directories of runs. Default: those of results/ours and results/runs that exist here.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Make a static site of any runs: their reports in a gallery, and a leaderboard with links to reports and rows.

    Example: xtra-bench site site results/ours
    """
    chosen = places or [home for home in HOMES if home.is_dir()]
    if not chosen:
        raise refusal("there is neither results/ours nor results/runs here; name runs, or directories of runs")
    from xtra_analysis.site import find_runs, write_site

    try:
        typer.echo(write_site(find_runs(chosen), out, seed))
    except OSError as error:
        raise refusal(f"{error.filename or out}: {error.strerror or error}") from None
    except ValueError as error:
        raise refusal(str(error)) from None
