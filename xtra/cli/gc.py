"""`xtra-bench gc`: frees the room that no run needs any more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xtra.cli.suite_options import ResultsOption


def gc(
    days: Annotated[float, typer.Option(min=0.0, help="Only jobs that nothing has touched for so many days.")] = 30.0,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them. Without it they are only listed.")] = False,
    results: ResultsOption = Path("results"),
) -> None:
    """List, and with --yes remove, the jobs in the store that no run under results/runs names."""
    from xtra.execute.garbage import find_garbage, planned_keys, remove
    from xtra.store.store import Store

    store = Store(results / "store")
    try:
        found = list(find_garbage(store, planned_keys(results), days))
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    for garbage in found:
        typer.echo(f"{garbage.size / 2**20:10.1f} MB  {garbage.key}")
    total = f"{sum(garbage.size for garbage in found) / 2**20:.1f} MB"
    if yes:
        removed = sum(remove(store, garbage.key) for garbage in found)
        typer.echo(f"removed {removed} jobs, {total}")
    else:
        typer.echo(
            f"{len(found)} jobs, {total}, could go: named by no run, untouched for {days:g} days (--days); --yes removes them"
        )
