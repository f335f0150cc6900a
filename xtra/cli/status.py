"""`xtra-bench status`: the state of each job, how far all of them are, and how long the rest will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xtra.cli.messages import counted, readable_keys
from xtra.cli.options import (
    OnlyOption,
    OptionalSuiteArgument,
    PluginOption,
    ResultsOption,
    SeedsOption,
    SetOption,
    load_plan_if_named,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rich.console import Console

    from xtra.execute.slurm.queue import QueueEntry
    from xtra.execute.status import Forecast, JobStatus
    from xtra.suite.plan import Plan

SHOWN = 20
"""Jobs of one state that are listed by name."""

WATCH_SECONDS = 2.0
"""Seconds between two looks of `--watch`."""


def status(
    suite: OptionalSuiteArgument = None,
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until nothing is left to do.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, with percent and seconds left.")] = False,
    results: ResultsOption = Path("results"),
    plugin: PluginOption = None,
) -> None:
    """Show how many jobs of each stage are done, running, failed and to come, from the files of the store alone.

    For example: xtra-bench status; xtra-bench status catch_transfer --only 'XTRA/*/0' --json
    """
    import json
    import time

    from rich.console import Console

    from xtra.execute.status import cell_labels, forecast, job_or_none, job_statuses, plan_labels
    from xtra.execute.suite_run import recorded_cells
    from xtra.store.store import Store
    from xtra.suite.summary import finished_costs

    store, console = Store(results / "store"), Console(markup=False, emoji=False, highlight=False)
    plan = load_plan_if_named(suite, overrides, seeds, only)
    keys = readable_keys(store) if plan is None else list(plan.jobs)
    if not keys and not as_json:
        typer.echo(f"{store.root}: no jobs yet; `xtra-bench run quick` makes some")
        return
    jobs = {key: job for key in keys if (job := job_or_none(store, key) if plan is None else plan.jobs[key]) is not None}
    labels = cell_labels(jobs, recorded_cells(results)) if plan is None else plan_labels(plan)
    labels = dict.fromkeys(keys, "job.json cannot be read") | labels
    while True:
        statuses = job_statuses(store, keys)
        prospect = forecast(statuses, jobs, finished_costs(store))
        if as_json:
            typer.echo(json.dumps(_record(statuses, prospect, labels), indent=2))
            return
        if watch:
            console.clear()
        _print(console, statuses, prospect, labels)
        _print_other_runs(plan, statuses, results)
        queued = _print_queue(results, keys)
        if not watch or not (queued or prospect.unfinished):
            return
        time.sleep(WATCH_SECONDS)


def _record(statuses: Sequence[JobStatus], prospect: Forecast, labels: Mapping[str, str]) -> dict[str, Any]:
    """Returns the statuses as JSON data, with every job that is running, interrupted or in trouble by name."""
    from collections import Counter

    from xtra.store.store import State

    return {
        "jobs": len(statuses),
        "states": dict(Counter(str(one.state) for one in statuses)),
        "percent": round(prospect.percent, 1),
        "seconds_left": prospect.seconds_left,
        "blocked": sorted(prospect.blocked),
        "listed": [
            {
                "key": one.key,
                "label": labels.get(one.key, ""),
                "state": str(one.state),
                "reason": one.reason,
                "done": None if one.progress is None else one.progress.done,
                "total": None if one.progress is None else one.progress.total,
                "unit": None if one.progress is None else one.progress.unit,
            }
            for one in statuses
            if one.state not in (State.COMPLETE, State.WAITING)
        ],
    }


def _print(console: Console, statuses: Sequence[JobStatus], prospect: Forecast, labels: Mapping[str, str]) -> None:
    from rich.table import Table

    from xtra.execute.status import by_stage
    from xtra.store.store import State
    from xtra.suite.diagnostics.errors import printable
    from xtra.suite.summary import duration

    counts = by_stage(statuses)
    states = [state for state in State if any(count[state] for count in counts.values())]
    table = Table("stage", "jobs", *states)
    for stage, count in counts.items():
        table.add_row(stage, str(count.total()), *(str(count[state] or "") for state in states))
    console.print(table)
    for state in (State.RUNNING, State.INTERRUPTED, State.FAILED, State.DAMAGED, State.UNREADABLE, State.DIVERGED):
        chosen = [one for one in statuses if one.state is state]
        for one in chosen[:SHOWN]:
            detail = one.reason or ("" if one.progress is None else str(one.progress))
            line = f"{state}: {labels.get(one.key, '')} [{one.key}]  {detail}".rstrip()
            console.print(printable(line), soft_wrap=True)
        if len(chosen) > SHOWN:
            console.print(f"... and {len(chosen) - SHOWN} more {state}")
    if prospect.blocked:
        console.print(f"blocked: {counted(len(prospect.blocked), 'job')}, behind one that has failed or diverged")
    left = "" if not prospect.seconds_left else f", about {duration(prospect.seconds_left)} left"
    console.print(f"{prospect.percent:.0f} % done{left}")


def _print_other_runs(plan: Plan | None, statuses: Sequence[JobStatus], results: Path) -> None:
    """Where nothing of a suite's plan has begun, tells of runs of that suite: theirs were other settings or seeds."""
    from xtra.execute.suite_run import recorded_cells
    from xtra.store.store import State

    if plan is None or any(one.state is not State.WAITING for one in statuses):
        return
    if any(cell.suite == plan.suite for cell in recorded_cells(results)):
        typer.echo(f"runs of {plan.suite} here have other settings: a run's --set and --seeds are part of its jobs")


def _print_queue(results: Path, keys: Collection[str]) -> bool:
    """Prints how many of these jobs SLURM has in each state, and why those wait that do. Returns whether it has any.

    When SLURM does not answer, it prints so and returns False.
    """
    from collections import Counter

    from xtra.execute.slurm.queue import SlurmError, Submissions

    own_keys = set(keys)
    try:
        queued = Submissions(results / "slurm").queued()
    except SlurmError as error:
        typer.echo(f"{error}. The table is what the jobs' own files say.")
        return False
    words = Counter(_state_and_reason(entry) for key, entry in queued.items() if key in own_keys)
    if words:
        typer.echo("SLURM: " + ", ".join(f"{count} {state}" for state, count in sorted(words.items())))
    return bool(words)


def _state_and_reason(entry: QueueEntry) -> str:
    """Returns "running", or "pending (AssocGrpGRES)" where SLURM says what the job waits for."""
    state = entry.state.lower()
    return f"{state} ({entry.reason})" if state == "pending" and entry.reason not in ("", "None") else state
