"""`xtra-bench perf resume`: kills runs and compares how they end."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def measure_resuming(
    kills: Annotated[int, typer.Option(min=1, help="Attempts to kill, each at a random moment.")] = 100,
    kills_per_run: Annotated[
        int | None, typer.Option(min=1, help="The most that one run has to bear; as many as chance wants if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the moments.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Kill small training runs (kill -9) at random moments, start them again, and compare their outputs bit for bit."""
    from xtra.perf.resume import report

    found = report(kills, seed, kills_per_run)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        alike = f"{found['identical_runs']} of {found['runs']} runs ended bit for bit as the undisturbed one"
        typer.echo(f"{found['kills']} kills: {alike}")
        for names in found["different"]:
            typer.echo(f"  different: {', '.join(names)}")
    if found["different"]:
        raise typer.Exit(1)
