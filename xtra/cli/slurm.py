"""SLURM on the command line: `run --executor slurm` submits jobs, `cancel` takes them out of the queue."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from xtra.cli.messages import counted, refusal
from xtra.cli.options import (
    OnlyOption,
    OptionalSuiteArgument,
    PluginOption,
    ResultsOption,
    SeedsOption,
    SetOption,
    load_plan_if_named,
)
from xtra.execute.slurm import queue as slurm_queue
from xtra.execute.slurm.launch import LaunchResult, PlannedArray, SlurmLauncher
from xtra.execute.slurm.profile import ProfileError, load_profile, sbatch_script
from xtra.execute.slurm.queue import NoSlurmError, SlurmError, Submissions
from xtra.execute.status import job_statuses
from xtra.execute.suite_run import begin_run
from xtra.results.describe import RunDescription
from xtra.results.finish import write_request
from xtra.store.store import Store
from xtra.suite.plan import Plan

PROFILE_VARIABLE = "XTRA_SLURM_PROFILE"
"""The environment variable that names the profile of a command that is given none."""

INTERNAL_OPTIONS = frozenset({"--error", "--job-name", "--open-mode", "--output", "--signal", "--wckey"})
"""Options of sbatch that do not depend on the site; `--print-sbatch` shows them too."""

WAIT_SECONDS = 2.0
"""Seconds between two looks at the queue while waiting."""


def launch(plan: Plan, description: RunDescription, results: Path, profile: Path | None, wait: bool, console: Console) -> bool:
    """Submits the jobs of the plan that are not complete. Returns whether none of them is on its way any more, so that results
    can be collected.

    Without `wait`, a last SLURM job collects and reports.
    """
    with _slurm_errors_refused():
        launcher = _launcher(results, profile)
        launcher.check()
        directory = begin_run(results, plan)  # before the first job is queued: from then on `gc` must leave their inputs alone
        submitted = launcher.submit(plan.jobs)
        if not wait and _lacks_report(plan, launcher, submitted):
            _submit_conclusion(plan, description, directory, launcher, submitted)
    print_submitted(submitted, console, "submitted")
    if not (submitted.new or submitted.queued or submitted.held):
        return True
    if wait:
        _wait(plan, launcher, console)
        return True
    if submitted.new or submitted.queued:
        console.print(f"the report will be {directory / 'report.html'}", soft_wrap=True)
    console.print("`xtra-bench status` shows where jobs stand; the same command submits again what has failed", soft_wrap=True)
    return False


def dry_run(plan: Plan, results: Path, profile: Path | None) -> LaunchResult:
    """Returns what `launch` would submit, after everything that it would check."""
    with _slurm_errors_refused():
        return _launcher(results, profile).dry_run(plan.jobs)


def print_arrays(planned: LaunchResult, console: Console) -> None:
    """Prints a line for each array: its number, which stands for its SLURM id, what it runs, and the options that sbatch gets."""
    for number, array in enumerate(planned.arrays):
        jobs = f" ({counted(array.num_jobs, 'job')})" if array.num_jobs != array.elements else ""
        options = " ".join(line for line in _options(array) if line.partition("=")[0] not in INTERNAL_OPTIONS)
        console.print(f"new{number}: {counted(array.elements, 'element')} of {array.stage}{jobs}: {options}", soft_wrap=True)


def print_scripts(planned: LaunchResult, results: Path) -> None:
    """Prints the scripts that sbatch would get. `newN` stands for what is known once the N-th is submitted."""
    for number, array in enumerate(planned.arrays):
        typer.echo(f"# new{number}: {counted(array.elements, 'element')} of {array.stage}")
        folder = results.resolve() / "slurm" / f"new{number}"
        typer.echo(sbatch_script(array.request, array.elements, folder, f"{slurm_queue.NAME_PREFIX}new{number}"))
    if not planned.arrays:
        typer.echo("# nothing is left to submit")


def _options(array: PlannedArray) -> list[str]:
    script = sbatch_script(array.request, array.elements, Path(), "")
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")]


def _launcher(results: Path, profile: Path | None) -> SlurmLauncher:
    named = profile or os.environ.get(PROFILE_VARIABLE)
    try:
        loaded = load_profile(Path(named) if named else None)
    except ProfileError as error:
        raise refusal(f"{PROFILE_VARIABLE if profile is None else '--profile'}: {error.render()}") from None
    return SlurmLauncher(Store(results / "store"), results / "slurm", loaded)


@contextmanager
def _slurm_errors_refused() -> Iterator[None]:
    try:
        yield
    except SlurmError as error:
        remedy = "; run this on a login node, or leave out --executor slurm" if isinstance(error, NoSlurmError) else ""
        raise refusal(f"{error}{remedy}") from None


def _lacks_report(plan: Plan, launcher: SlurmLauncher, submitted: LaunchResult) -> bool:
    """Tells whether jobs are on their way that no job in the queue will report on."""
    return bool(submitted.new) or (bool(submitted.queued) and plan.id not in launcher.submissions.reports())


def _submit_conclusion(
    plan: Plan, description: RunDescription, directory: Path, launcher: SlurmLauncher, submitted: LaunchResult
) -> None:
    request = launcher.directory / f"{plan.id}.json"
    write_request(request, launcher.store, plan.cells, description, directory)
    waited_for = [*submitted.new.values(), *(entry.slurm_id for entry in submitted.queued.values())]
    launcher.submit_conclusion(request, waited_for)


def print_submitted(submitted: LaunchResult, console: Console, verb: str) -> None:
    """Prints how many jobs are complete, submitted (`verb` says whether already), blocked, and held back."""
    console.print(
        f"{counted(len(submitted.finished), 'job')} complete, {len(submitted.queued)} queued before, "
        f"{len(submitted.new)} {verb} in {counted(submitted.calls, 'call')} of sbatch"
    )
    if submitted.blocked:
        console.print(f"{len(submitted.blocked)} cannot be run: an input has diverged")
    if submitted.held:
        console.print(f"{len(submitted.held)} held back: computed by another process, waiting for one, or above the submit limit")


def _wait(plan: Plan, launcher: SlurmLauncher, console: Console) -> None:
    printed = ""
    while True:
        try:
            queued = launcher.submissions.queued()
            unknown = ""
        except SlurmError as error:
            unknown = f"; {error}"
        counts = Counter(job_status.state for job_status in job_statuses(launcher.store, plan.jobs))
        line = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) + unknown
        if line != printed:
            console.print(line, soft_wrap=True)
        printed = line
        if not unknown and not any(key in queued for key in plan.jobs):
            return
        time.sleep(WAIT_SECONDS)


def cancel(
    suite: OptionalSuiteArgument = None,
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    plugin: PluginOption = None,
) -> None:
    """Cancel queued and running SLURM jobs. What they checkpointed stays; `run` goes on from there."""
    plan = load_plan_if_named(suite, overrides, seeds, only)
    try:
        entries = Submissions(results.resolve() / "slurm").entries()  # a job that was queued twice is there twice
        queued = [(key, entry) for key, entry in entries if key]
        chosen = {entry.slurm_id for key, entry in queued if plan is None or key in plan.jobs}
        ended = [entry for _, entry in queued if entry.slurm_id in chosen]
        slurm_queue.cancel(ended)
    except SlurmError as error:
        raise refusal(str(error)) from None
    sharers = 0 if plan is None else sum(entry.slurm_id in chosen and key not in plan.jobs for key, entry in queued)
    shared = f", {sharers} of them because they share a GPU with the others" if sharers else ""
    summary = f"cancelled {len(ended)} of {counted(len(queued), 'queued job')}{shared}"
    typer.echo(summary if queued else "SLURM has no job of this directory")
