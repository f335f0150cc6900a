"""`run --executor slurm`: submits, says what was submitted, and waits only if asked to."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from xtra.cli.wording import counted
from xtra.execute.slurm.launch import LaunchResult, SlurmLauncher
from xtra.execute.slurm.profile import ProfileError, load_profile
from xtra.execute.slurm.queue import NoSlurmError, SlurmError
from xtra.execute.status import job_statuses
from xtra.execute.suite_run import begin_run
from xtra.results.describe import RunDescription
from xtra.results.finish import write_request
from xtra.store.store import Store
from xtra.suite.plan import Plan

PROFILE_VARIABLE = "XTRA_SLURM_PROFILE"
"""Names the profile of a command that is given none."""

WAIT_SECONDS = 2.0
"""Between two looks at the queue while waiting."""


def launch(plan: Plan, description: RunDescription, results: Path, profile: Path | None, wait: bool, console: Console) -> bool:
    """Submits what is missing. Returns whether nothing of the plan is on its way any more, so that results can be collected.

    Unless somebody waits, a last SLURM job collects and reports.
    """
    with _errors_told():
        launcher = _launcher(results, profile)
        submitted = launcher.submit(plan.jobs)
        directory = begin_run(results, plan)
        if submitted.new and not wait:
            _submit_conclusion(plan, description, directory, launcher, submitted)
    tell(submitted, console, "submitted")
    if not (submitted.new or submitted.queued or submitted.held):
        return True
    if wait:
        _wait(plan, launcher, console)
        return True
    console.print(f"the report will be {directory / 'report.html'}", soft_wrap=True)
    console.print("`xtra-bench status` shows where jobs stand; the same command submits again what has failed", soft_wrap=True)
    return False


def dry_run(plan: Plan, results: Path, profile: Path | None) -> LaunchResult:
    """What `launch` would submit, after everything that it would check."""
    with _errors_told():
        return _launcher(results, profile).dry_run(plan.jobs)


def _launcher(results: Path, profile: Path | None) -> SlurmLauncher:
    named = profile or os.environ.get(PROFILE_VARIABLE)
    try:
        loaded = load_profile(Path(named) if named else None)
    except ProfileError as error:
        raise ProfileError(f"{PROFILE_VARIABLE if profile is None else '--profile'}: {error}") from None
    return SlurmLauncher(Store(results / "store"), results / "slurm", loaded)


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except (ProfileError, SlurmError) as error:
        remedy = "; run this on a login node, or leave out --executor slurm" if isinstance(error, NoSlurmError) else ""
        typer.echo(f"error: {error}{remedy}", err=True)
        raise typer.Exit(2) from None


def _submit_conclusion(
    plan: Plan, description: RunDescription, directory: Path, launcher: SlurmLauncher, submitted: LaunchResult
) -> None:
    request = launcher.directory / f"{plan.id}.json"
    write_request(request, launcher.store, plan.cells, description, directory)
    waited_for = [*submitted.new.values(), *(entry.slurm_id for entry in submitted.queued.values())]
    launcher.submit_conclusion(request, waited_for)


def tell(submitted: LaunchResult, console: Console, verb: str) -> None:
    """Says what has been, or is to be, submitted, and what has not to or cannot be."""
    console.print(
        f"{counted(len(submitted.finished), 'job')} complete, {len(submitted.queued)} queued before, "
        f"{len(submitted.new)} {verb} in {counted(submitted.calls, 'call')} of sbatch"
    )
    if submitted.blocked:
        console.print(f"{len(submitted.blocked)} cannot be run: an input has diverged")
    if submitted.held:
        console.print(f"{len(submitted.held)} held back: computed by another process, waiting for one, or above the submit limit")


def _wait(plan: Plan, launcher: SlurmLauncher, console: Console) -> None:
    said = ""
    while True:
        try:
            queued = launcher.submissions.queued()
            unknown = ""
        except SlurmError as error:
            unknown = f"; {error}"
        counts = Counter(job_status.state for job_status in job_statuses(launcher.store, plan.jobs))
        line = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) + unknown
        if line != said:
            console.print(line, soft_wrap=True)
        said = line
        if not unknown and not any(key in queued for key in plan.jobs):
            return
        time.sleep(WAIT_SECONDS)
