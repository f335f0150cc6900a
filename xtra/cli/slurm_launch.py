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


def launch(plan: Plan, store: Store, results: Path, profile: Path | None, wait: bool, console: Console) -> bool:
    """Submits what is missing. Returns whether nothing of the plan is on its way any more, so that results can be collected."""
    from xtra.execute.slurm import SlurmLauncher
    from xtra.execute.slurm_profile import ProfileError, load_profile
    from xtra.execute.slurm_queue import SlurmError

    try:
        launcher = SlurmLauncher(store, results / "slurm", load_profile(profile))
        submitted = launcher.submit(plan.jobs)
    except (ProfileError, SlurmError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    _tell(submitted, console)
    if not (submitted.new or submitted.queued or submitted.held):
        return True
    if wait:
        _wait(plan, store, launcher, console)
        return True
    console.print(
        "they run without this process: `xtra-bench status` shows where they stand, the same command goes on and reports"
    )
    return False


def _tell(submitted: Submitted, console: Console) -> None:
    console.print(
        f"{len(submitted.finished)} jobs complete, {len(submitted.queued)} queued before, "
        f"{len(submitted.new)} submitted in {submitted.calls} calls of sbatch"
    )
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
            unknown = f" ({error})"
        counts = Counter(standing.state for standing in survey(store, plan.jobs))
        line = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) + unknown
        if line != said:
            console.print(line, soft_wrap=True)
        said = line
        if not unknown and not any(key in queued for key in plan.jobs):
            return
        time.sleep(WAIT_SECONDS)
