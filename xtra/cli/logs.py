"""`xtra-bench logs`: the last lines that a job printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.messages import counted
from xtra.cli.options import ResultsOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xtra.execute.status import JobStatus
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
    from xtra.execute.status import job_statuses
    from xtra.store.store import State, Store

    store = Store(results / "store")
    known = list(store.keys())
    if not known:
        typer.echo(f"{store.root}: no jobs yet; `xtra-bench run suites/quick.yaml` makes some")
        return
    if pattern is None:
        statuses = job_statuses(store, known)
        chosen = [job_status for state in (State.FAILED, State.DIVERGED) for job_status in statuses if job_status.state is state]
    else:
        chosen = job_statuses(store, _matching(results, known, pattern))
    if not chosen:
        typer.echo(f"{counted(len(known), 'job')}: none has failed or diverged")
        typer.echo("name one to see its log (`xtra-bench status` lists those that run)")
    for job_status in chosen[:SHOWN]:
        _show(store, results, job_status, lines)
    if len(chosen) > SHOWN:
        typer.echo(f"... and {len(chosen) - SHOWN} more")


def _matching(results: Path, known: Sequence[str], pattern: str) -> list[str]:
    """The jobs meant: by key, else of the cells of every run here. Says an example, and exits with 2, when there are none."""
    from fnmatch import fnmatchcase

    from xtra.execute.suite_run import recorded_cells
    from xtra.suite.diagnostics.errors import nearest

    matching = [key for key in known if key.startswith(pattern) or fnmatchcase(key, pattern)]
    if matching:
        return matching
    cells = list(recorded_cells(results))
    keys = dict.fromkeys(key for cell in cells if cell.matches(pattern) for key in cell.keys)
    if not keys:
        names = [cell.name for cell in cells]
        example = nearest(pattern, names) or next(iter(names), known[0])
        typer.echo(f"error: {pattern!r} is neither a job nor method/game/seed of a run in {results}; try {example!r}", err=True)
        raise typer.Exit(2)
    return list(keys)


def _show(store: Store, results: Path, job_status: JobStatus, lines: int) -> None:
    from xtra.execute.slurm.queue import Submissions
    from xtra.execute.status import job_label, job_or_none, last_words

    key, job = job_status.key, job_or_none(store, job_status.key)
    typer.echo(f"==> {key}{'' if job is None else f' ({job_label(job)})'}: {job_status.state}{_took(store, job_status)}")
    typer.echo(f"--> {store.log_file(key)}")
    typer.echo(last_words(store, key, lines) + "\n")
    for log in Submissions(results / "slurm").logs(key)[-1:]:
        typer.echo(f"--> {log}")
        typer.echo("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) + "\n")


def _took(store: Store, job_status: JobStatus) -> str:
    """How long a finished job took, how far a running one is."""
    from xtra.suite.summary import duration

    manifest = store.manifest(job_status.key) if job_status.state.final else None
    if manifest is not None:
        return f" after {duration(manifest.seconds)}"
    return "" if job_status.progress is None else f", {job_status.progress}"
