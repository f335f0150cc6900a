"""`xtra-bench status`: where jobs stand."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.options import OnlyOption, ResultsOption, SeedsOption, SetOption, load_plan_if_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console

    from xtra.execute.status import JobStatus

SHOWN = 20
"""Jobs of one state that are listed by name."""


def status(
    suite: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A suite file; without one, every job of the store is counted.")
    ] = None,
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until nothing is left to do.")] = False,
    results: ResultsOption = Path("results"),
) -> None:
    """Show how many jobs of each stage are done, running, failed and to come, from the files of the store alone."""
    import time

    from rich.console import Console

    from xtra.execute.status import job_label, job_or_none, job_statuses, plan_labels
    from xtra.store.store import Store

    store, console = Store(results / "store"), Console(markup=False, emoji=False, highlight=False)
    plan = load_plan_if_named(suite, overrides, seeds, only)
    labels = {} if plan is None else plan_labels(plan)
    keys = list(store.keys() if plan is None else plan.jobs)
    if not keys:
        typer.echo(f"{store.root}: no jobs yet; `xtra-bench run suites/quick.yaml` makes some")
        return

    known = cache(lambda key: job_or_none(store, key) if plan is None else plan.jobs[key])

    def label(key: str) -> str:
        job = known(key)
        return labels.get(key) or (job_label(job) if job else "")

    def inputs(key: str) -> Iterable[str]:
        job = known(key)
        return job.input_keys if job else ()

    while True:
        statuses = job_statuses(store, keys)
        if watch:
            console.clear()
        _print(console, statuses, label)
        queued = _print_queue(results, keys)
        if not watch or not (queued or _left_to_do(statuses, inputs)):
            return
        time.sleep(2)


def _left_to_do(statuses: Sequence[JobStatus], inputs: Callable[[str], Iterable[str]]) -> bool:
    """Whether some job is neither over, nor failed, nor blocked behind one that has failed or diverged."""
    from xtra.store.store import State

    hopeless = {job_status.key for job_status in statuses if job_status.state in (State.FAILED, State.DIVERGED)}
    left = {job_status.key for job_status in statuses if not job_status.state.final} - hopeless
    while blocked := {key for key in left if not hopeless.isdisjoint(inputs(key))}:
        hopeless |= blocked
        left -= blocked
    return bool(left)


def _print(console: Console, statuses: Sequence[JobStatus], label: Callable[[str], str]) -> None:
    from rich.table import Table

    from xtra.execute.status import by_stage
    from xtra.store.store import State

    counts = by_stage(statuses)
    states = [state for state in State if any(count[state] for count in counts.values())]
    table = Table("stage", "jobs", *states)
    for stage, count in counts.items():
        table.add_row(stage, str(count.total()), *(str(count[state] or "") for state in states))
    console.print(table)
    for state in (State.RUNNING, State.FAILED, State.DAMAGED, State.DIVERGED):
        chosen = [job_status for job_status in statuses if job_status.state is state]
        for job_status in chosen[:SHOWN]:
            detail = job_status.reason or ("" if job_status.progress is None else str(job_status.progress))
            console.print(f"{state}: {label(job_status.key)} [{job_status.key}]  {detail}".rstrip(), soft_wrap=True)
        if len(chosen) > SHOWN:
            console.print(f"... and {len(chosen) - SHOWN} more {state}")


def _print_queue(results: Path, keys: Sequence[str]) -> bool:
    """What SLURM says of these jobs, where any were ever submitted; returns whether it has any.

    Silence of the controller is no news of the jobs.
    """
    from collections import Counter

    from xtra.execute.slurm.queue import SlurmError, Submissions

    try:
        own_keys = set(keys)
        states = Counter(entry.state.lower() for key, entry in Submissions(results / "slurm").queued().items() if key in own_keys)
    except SlurmError as error:
        typer.echo(f"{error}. The table is what the jobs' own files say.")
        return False
    if states:
        typer.echo("SLURM: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    return bool(states)
