"""`xtra-bench logs`: what a job said last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.suite_options import ResultsOption

if TYPE_CHECKING:
    from xtra.store.store import Store


def logs(
    pattern: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="A job's key, its first digits, or a pattern such as 'train-*'.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Lines of each log.")] = 30,
    results: ResultsOption = Path("results"),
) -> None:
    """Show the last lines of the jobs that failed, or of those whose key matches."""
    from xtra.execute.labels import job_label
    from xtra.execute.slurm_queue import Submissions
    from xtra.execute.status import job_or_none, last_words
    from xtra.store.store import Store

    store = Store(results / "store")
    keys = _failed(store) if pattern is None else _matching(store, pattern)
    if not keys:
        typer.echo(f"{store.root}: no job has failed; name a job to see its log (`xtra-bench status` lists those that run)")
    for key in keys:
        job = job_or_none(store, key)
        typer.echo(f"==> {key}{'' if job is None else f' ({job_label(job)})'}: {store.work(key) / 'log.txt'}")
        typer.echo(last_words(store, key, lines) + "\n")
        for log in Submissions(results / "slurm").logs(key)[-1:]:
            typer.echo(f"--> {log}")
            typer.echo("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) + "\n")


def _failed(store: Store) -> list[str]:
    from xtra.execute.status import survey
    from xtra.store.store import State

    return [standing.key for standing in survey(store, store.keys()) if standing.state is State.FAILED]


def _matching(store: Store, pattern: str) -> list[str]:
    """The keys that start with or match `pattern`. Says the nearest one, and exits with 2, when none does."""
    from fnmatch import fnmatchcase

    from xtra.suite.errors import suggest

    keys = list(store.keys())
    found = [key for key in keys if key.startswith(pattern) or fnmatchcase(key, pattern)]
    if not found:
        typer.echo(f"error: no job {pattern!r} in {store.root}; {suggest(pattern, keys, 'keys')}", err=True)
        raise typer.Exit(2)
    return found
