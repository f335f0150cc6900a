"""`run --executor slurm`: submits, says what was submitted, and waits only if asked to."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from xtra.execute.slurm import SlurmLauncher, Submitted
    from xtra.store.store import Store
    from xtra.suite.plan import Plan

WAIT_SECONDS = 2.0
"""Between two looks at the queue while waiting."""


def launch(plan: Plan, suite: Path, results: Path, profile: Path | None, wait: bool, console: Console) -> bool:
    """Submits what is missing. Returns whether nothing of the plan is on its way any more, so that results can be collected.

    Unless somebody waits, a last SLURM job collects and reports.
    """
    from xtra.execute.slurm import SlurmLauncher
    from xtra.execute.slurm_profile import ProfileError, load_profile
    from xtra.execute.slurm_queue import SlurmError
    from xtra.execute.suite_run import run_directory
    from xtra.store.store import Store

    store = Store(results / "store")
    try:
        launcher = SlurmLauncher(store, results / "slurm", load_profile(profile))
        submitted = launcher.submit(plan.jobs)
        if submitted.new and not wait:
            _submit_conclusion(plan, suite, results, launcher, submitted)
    except (ProfileError, SlurmError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    _tell(submitted, console)
    if not (submitted.new or submitted.queued or submitted.held):
        return True
    if wait:
        _wait(plan, store, launcher, console)
        return True
    console.print(f"the report will be {run_directory(results, plan) / 'report.html'}", soft_wrap=True)
    console.print("`xtra-bench status` shows where jobs stand; the same command submits again what has failed", soft_wrap=True)
    return False


def _submit_conclusion(plan: Plan, suite: Path, results: Path, launcher: SlurmLauncher, submitted: Submitted) -> None:
    from xtra.execute.conclude import write_request
    from xtra.execute.suite_run import describe, run_directory

    request = launcher.directory / f"{plan.id}.json"
    about, directory = describe(plan, suite.read_text(encoding="utf-8")), run_directory(results, plan)
    directory.mkdir(parents=True, exist_ok=True)  # so that it keeps the name told now, which holds the time
    write_request(request, launcher.store, plan.cells, about, directory)
    waited_for = [*submitted.new.values(), *(entry.slurm_id for entry in submitted.queued.values())]
    launcher.submit_conclusion(request, waited_for)


def _tell(submitted: Submitted, console: Console) -> None:
    console.print(
        f"{len(submitted.finished)} jobs complete, {len(submitted.queued)} queued before, "
        f"{len(submitted.new)} submitted in {submitted.calls} calls of sbatch"
    )
    if submitted.blocked:
        console.print(f"{len(submitted.blocked)} cannot be run: a job they read has diverged")
    if submitted.held:
        console.print(f"{len(submitted.held)} held back: computed by another process, waiting for one, or above the submit limit")


def _wait(plan: Plan, store: Store, launcher: SlurmLauncher, console: Console) -> None:
    from xtra.execute.slurm_queue import SlurmError
    from xtra.execute.status import survey

    said = ""
    while True:
        try:
            queued = launcher.submissions.queued()
            unknown = ""
        except SlurmError as error:
            unknown = f"; {error}"
        counts = Counter(standing.state for standing in survey(store, plan.jobs))
        line = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) + unknown
        if line != said:
            console.print(line, soft_wrap=True)
        said = line
        if not unknown and not any(key in queued for key in plan.jobs):
            return
        time.sleep(WAIT_SECONDS)
