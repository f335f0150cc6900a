"""`xtra-bench logs`: what a job said last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.suite_options import ResultsOption
from xtra.cli.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xtra.execute.status import Standing
    from xtra.store.store import Store

SHOWN = 10
"""Jobs whose logs are shown at once."""


def logs(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="[JOBS]",
            help="Jobs by key, its beginning, or a glob such as 'train-*'; or by method/game/seed, such as 'EfficientZero/Pong'.",
        ),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Lines of each log.")] = 30,
    results: ResultsOption = Path("results"),
) -> None:
    """Show the last lines of the jobs that failed or diverged, or of those that JOBS names."""
    from xtra.execute.status import survey
    from xtra.store.store import State, Store

    store = Store(results / "store")
    known = list(store.keys())
    if not known:
        typer.echo(f"{store.root}: no jobs yet; `xtra-bench run suites/quick.yaml` makes some")
        return
    if pattern is None:
        standings = survey(store, known)
        found = [standing for state in (State.FAILED, State.DIVERGED) for standing in standings if standing.state is state]
    else:
        found = survey(store, _matching(results, known, pattern))
    if not found:
        typer.echo(f"{counted(len(known), 'job')}: none has failed or diverged")
        typer.echo("name one to see its log (`xtra-bench status` lists those that run)")
    for standing in found[:SHOWN]:
        _show(store, results, standing, lines)
    if len(found) > SHOWN:
        typer.echo(f"... and {len(found) - SHOWN} more")


def _matching(results: Path, known: Sequence[str], pattern: str) -> list[str]:
    """The jobs meant: by key, else of the cells of every run here. Says an example, and exits with 2, when there are none."""
    from fnmatch import fnmatchcase

    from xtra.execute.suite_run import recorded_cells
    from xtra.suite.errors import nearest

    found = [key for key in known if key.startswith(pattern) or fnmatchcase(key, pattern)]
    if found:
        return found
    cells = list(recorded_cells(results))
    keys = dict.fromkeys(key for cell in cells if cell.matches(pattern) for key in cell.keys)
    if not keys:
        names = [cell.name for cell in cells]
        example = nearest(pattern, names) or next(iter(names), known[0])
        typer.echo(f"error: {pattern!r} is neither a job nor method/game/seed of a run in {results}; try {example!r}", err=True)
        raise typer.Exit(2)
    return list(keys)


def _show(store: Store, results: Path, standing: Standing, lines: int) -> None:
    from xtra.execute.labels import job_label
    from xtra.execute.slurm_queue import Submissions
    from xtra.execute.status import job_or_none, last_words

    key, job = standing.key, job_or_none(store, standing.key)
    typer.echo(f"==> {key}{'' if job is None else f' ({job_label(job)})'}: {standing.state}{_took(store, standing)}")
    typer.echo(f"--> {store.log_file(key)}")
    typer.echo(last_words(store, key, lines) + "\n")
    for log in Submissions(results / "slurm").logs(key)[-1:]:
        typer.echo(f"--> {log}")
        typer.echo("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) + "\n")


def _took(store: Store, standing: Standing) -> str:
    """How long a finished job took, how far a running one is."""
    from xtra.suite.estimate import duration

    manifest = store.manifest(standing.key) if standing.state.final else None
    if manifest is not None:
        return f" after {duration(manifest.seconds)}"
    return "" if standing.progress is None else f", {standing.progress}"
