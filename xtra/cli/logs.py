"""`xtra-bench logs`: the last lines that a job printed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.messages import counted, readable_keys, refusal
from xtra.cli.options import ResultsOption
from xtra.suite.diagnostics.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xtra.execute.status import JobStatus
    from xtra.store.store import Store

SHOWN = 10
"""Jobs whose logs are shown at once."""

FOLLOW_SECONDS = 1.0
"""Seconds between two looks of `--follow`."""


def logs(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="JOBS",
            help="Jobs by key, its beginning, or a glob such as 'train-*'; or by method/game/seed, such as 'EfficientZero/Pong'.",
        ),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Lines of each log.")] = 30,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Print what is added until these jobs end; without JOBS, of those running."),
    ] = False,
    results: ResultsOption = Path("results"),
) -> None:
    """Show the last lines of the jobs that failed or diverged, or of those that JOBS names.

    For example: xtra-bench logs; xtra-bench logs 'XTRA/*/0' --follow
    """
    from xtra.execute.status import job_statuses
    from xtra.store.store import State, Store

    store = Store(results / "store")
    keys = readable_keys(store)
    if not keys:
        typer.echo(f"{store.root}: no jobs yet; `xtra-bench run quick` makes some")
        return
    if pattern is None:
        statuses, states = job_statuses(store, keys), (State.RUNNING,) if follow else (State.FAILED, State.DIVERGED)
        selected = [job_status for state in states for job_status in statuses if job_status.state is state]
    else:
        selected = job_statuses(store, _matching(results, keys, pattern))
    if not selected:
        typer.echo(f"{counted(len(keys), 'job')}: none {'runs' if follow else 'has failed or diverged'}")
        typer.echo("name one to see its log (`xtra-bench status` lists those that run)")
    for job_status in selected[:SHOWN]:
        _show(store, results, job_status, lines)
    if len(selected) > SHOWN:
        typer.echo(f"... and {len(selected) - SHOWN} more")
    if follow:
        _follow(store, [job_status.key for job_status in selected[:SHOWN]])


def _matching(results: Path, keys: Sequence[str], pattern: str) -> list[str]:
    """Returns the jobs that a pattern means: by key, else of the cells of every run here. Refuses a pattern that means none, with
    an example."""
    from fnmatch import fnmatchcase

    from xtra.execute.suite_run import recorded_cells
    from xtra.store.rows import select_cells
    from xtra.suite.diagnostics.errors import nearest

    matching = [key for key in keys if key.startswith(pattern) or fnmatchcase(key, pattern)]
    if matching:
        return matching
    cells = list(recorded_cells(results))
    keys_of_cells = dict.fromkeys(key for cell in select_cells(cells, pattern) for key in cell.keys)
    if not keys_of_cells:
        names = [cell.name for cell in cells]
        example = nearest(pattern, names) or next(iter(names), keys[0])
        raise refusal(f"{pattern!r} is neither a job nor method/game/seed of a run in {results}; try {example!r}")
    return list(keys_of_cells)


def _show(store: Store, results: Path, job_status: JobStatus, lines: int) -> None:
    from xtra.execute.slurm.queue import Submissions
    from xtra.execute.status import job_label, job_or_none, last_words

    key, job = job_status.key, job_or_none(store, job_status.key)
    typer.echo(f"==> {key}{'' if job is None else f' ({job_label(job)})'}: {job_status.state}{_took(store, job_status)}")
    typer.echo(f"--> {store.log_file(key)}")
    typer.echo(printable(last_words(store, key, lines)) + "\n")
    for log in Submissions(results / "slurm").logs(key)[-1:]:
        typer.echo(f"--> {log}")
        printed = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        typer.echo(printable("\n".join(printed)) + "\n")


def _follow(store: Store, keys: Sequence[str]) -> None:
    """Prints the lines that are added to these jobs' logs, until all of the jobs have ended."""
    import time

    from xtra.execute.status import job_statuses
    from xtra.store.store import State

    tails = {key: Tail(store.log_file(key)) for key in keys}
    ended = {State.FAILED, *(state for state in State if state.final)}
    while True:
        over = all(job_status.state in ended for job_status in job_statuses(store, keys))
        for key, tail in tails.items():
            for line in tail.new_lines():
                typer.echo(printable(line if len(tails) == 1 else f"{key}: {line}"))
        if over:
            return
        time.sleep(FOLLOW_SECONDS)


class Tail:
    """Reads the lines that are appended to a file from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def new_lines(self) -> list[str]:
        """Returns the complete lines since the last call; from the beginning of a file that has become shorter."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._position:
                    self._position = 0
                file.seek(self._position)
                complete = file.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        if not complete:
            return []
        self._position += len(complete) + 1
        return complete.decode("utf-8", errors="replace").split("\n")


def _took(store: Store, job_status: JobStatus) -> str:
    """Describes how long a finished job took, or how far a running one is."""
    from xtra.suite.summary import duration

    manifest = store.manifest(job_status.key) if job_status.state.final else None
    if manifest is not None:
        return f" after {duration(manifest.seconds)}"
    return "" if job_status.progress is None else f", {job_status.progress}"
