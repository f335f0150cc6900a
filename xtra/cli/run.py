"""`xtra-bench run`: from a suite file to a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.messages import OutputError, print_warnings, refusal
from xtra.cli.options import (
    OnlyOption,
    PluginOption,
    ResultsOption,
    SeedsOption,
    SetOption,
    SuiteArgument,
    TrustOption,
    load_plan,
    refuse_unused_options,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rich.console import Console

    from xtra.execute.local import LocalQueue
    from xtra.execute.machine import Machine
    from xtra.results.describe import RunDescription
    from xtra.store.job import Job
    from xtra.store.store import Store
    from xtra.suite.plan import Plan

SHOWN_FAILURES = 10
"""Failing jobs that are listed; `xtra-bench logs` shows them all."""

SHOWN_RESUMPTIONS = 10
"""Jobs of an earlier run that are listed when they go on."""

PROSPECTS = {
    "missing": "the same command goes on",
    "failed": "the same command tries what failed once more",
    "diverged": "what diverged is not tried again, and `xtra-bench logs` shows its last words",
}
"""What becomes of cells without a score, by their status."""


class Executor(StrEnum):
    """Where jobs run."""

    LOCAL = "local"
    SLURM = "slurm"


ExecutorOption = Annotated[Executor, typer.Option(help="Where jobs run.")]
ProfileOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="This site's SLURM settings, as YAML; $XTRA_SLURM_PROFILE if not given."),
]
WaitOption = Annotated[bool, typer.Option("--wait", help="With slurm: stay until the jobs are over, then report.")]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Cores to use at once; all of this machine's if not given.")]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Wall-clock time, such as 6h, 90m or 1.5d: starts no job that would not end in it, judged by finished jobs of "
        "the same kind, and stops what runs longer. The same command goes on.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be run, and run nothing.")]
PrintSbatchOption = Annotated[
    bool, typer.Option("--print-sbatch", help="With slurm: print the scripts that sbatch would get, and submit nothing.")
]
RerunOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Run again, from their start, the jobs of cells that this matches, or jobs by key such as 'pretrain-*': also "
        "diverged ones, and whatever depends on them. Can be repeated.",
    ),
]
NoReportOption = Annotated[bool, typer.Option("--no-report", help="Collect the rows, but make no report.")]


def run(
    suite: SuiteArgument,
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    executor: ExecutorOption = Executor.LOCAL,
    profile: ProfileOption = None,
    wait: WaitOption = False,
    workers: WorkersOption = None,
    budget: BudgetOption = None,
    dry_run: DryRunOption = False,
    print_sbatch: PrintSbatchOption = False,
    rerun: RerunOption = None,
    results: ResultsOption = Path("results"),
    plugin: PluginOption = None,
    trust_plugins: TrustOption = False,
    no_report: NoReportOption = False,
) -> None:
    """Run what is missing of a suite, collect its results and write the report, whose path is the last line printed.

    For example: xtra-bench run quick; xtra-bench run catch --only 'EfficientZero/*/0'; xtra-bench run catch --rerun 'CURL/*/3'

    Interrupted, it goes on where it stopped when the same command is given again. Exit status: 0 when every cell is complete,
    1 when some are missing, 2 when the suite is not in order, 130 after Ctrl-C.
    """
    from rich.console import Console

    from xtra.execute.suite_run import begin_run, require_extras
    from xtra.results.describe import describe
    from xtra.store.store import Store
    from xtra.suite.summary import cached_keys

    console, store = Console(markup=False, emoji=False, highlight=False), Store(results / "store")
    if executor is Executor.SLURM:
        refuse_unused_options({"--workers": workers, "--budget": budget}, "--executor local")
    else:
        refuse_unused_options({"--profile": profile, "--print-sbatch": print_sbatch}, "--executor slurm")
    seconds = _seconds(budget)
    plan = load_plan(suite, overrides, seeds, only, trust_plugins)
    require_extras(plan)
    print_warnings(plan)
    again = plan.selected_with_dependents(rerun or (), "--rerun")
    if dry_run or print_sbatch:
        cached = cached_keys(plan, store) - again.keys()
        _show(plan, cached, executor, workers, results, profile, console, scripts=print_sbatch)
        return
    with _told_why_it_ends(results):
        description = describe(plan, suite.read_text(encoding="utf-8"))  # Now: the file may be edited while jobs run.
        _prepare(store, plan, again, console)
        if executor is Executor.LOCAL:
            begin_run(results, plan)
            _execute(plan, store, workers, seconds, console)
        elif not _launch(plan, description, results, profile, wait, console):
            return
        _conclude(plan, description, results, console, no_report)


@contextmanager
def _told_why_it_ends(results: Path) -> Iterator[None]:
    """Exits with 130 after Ctrl-C, and with 2 where a file cannot be written or read, in words instead of a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    except OutputError:
        raise
    except OSError as error:
        raise refusal(f"{error.filename or results}: {error.strerror}") from None


def _prepare(store: Store, plan: Plan, again: Collection[str], console: Console) -> None:
    """Imports networks' files, and declares jobs unfinished: those of `--rerun`, and those of which something needed was dropped.
    Exits with 2 when another process is at one of `--rerun`."""
    import time

    from xtra.cli.messages import counted
    from xtra.execute.garbage import reopen_stripped
    from xtra.execute.suite_run import import_networks
    from xtra.store.store import State

    now = time.time()
    busy = next((key for key in again if store.state(key, now) is State.RUNNING), None)
    for key in again if busy is None else ():
        if not store.reopen(key):  # begun by another process since: those after it stay as they are
            busy = key
            break
    if busy is not None:
        raise refusal(f"--rerun: {busy} is being computed by another process; stop that one first")
    if again:
        console.print(f"{counted(len(again), 'job')} of --rerun: from the start")
    import_networks(store, plan)
    for key in reopen_stripped(store, plan.jobs):
        console.print(f"{key} is run again: its replay was dropped, and a dataset needs it")


def _show(
    plan: Plan,
    cached: Collection[str],
    executor: Executor,
    workers: int | None,
    results: Path,
    profile: Path | None,
    console: Console,
    scripts: bool,
) -> None:
    """Prints what would be run, and where, or (`scripts`) nothing but sbatch's scripts; fails as the run itself would before its
    first job."""
    from xtra.cli.plan import print_plan

    if executor is Executor.SLURM:
        from xtra.cli.slurm import dry_run, print_arrays, print_scripts, print_submitted

        submitted = dry_run(plan, results, profile)
        if scripts:
            print_scripts(submitted, results)
            return
        print_plan(plan, cached)
        print_arrays(submitted, console)
        print_submitted(submitted, console, "to be submitted")
    else:
        from xtra.execute.machine import Machine

        print_plan(plan, cached)
        machine = Machine.this(workers)
        console.print(f"on this machine: {machine}")
        _print_shortages(machine, [job for key, job in plan.jobs.items() if key not in cached], console)


def _print_shortages(machine: Machine, jobs: Sequence[Job], console: Console) -> None:
    """Prints which jobs will run with less than they ask for on this machine, some of them many times slower."""
    from xtra.cli.messages import agreeing

    without_gpu = sum(machine.lacks_gpus(job.resources) for job in jobs)
    if without_gpu:
        asking = agreeing(without_gpu, "job", "ask")
        console.print(f"{asking} for a GPU and this machine has none: {_they(without_gpu)} will run on the CPU", soft_wrap=True)
    cramped = sum(machine.lacks_room(job.resources) for job in jobs)
    if cramped:
        asking = agreeing(cramped, "job", "ask")
        console.print(
            f"{asking} for more than this machine has ({machine}): {_they(cramped)} will get what is there", soft_wrap=True
        )


def _they(number: int) -> str:
    return "it" if number == 1 else "they"


def _launch(plan: Plan, description: RunDescription, results: Path, profile: Path | None, wait: bool, console: Console) -> bool:
    """Submits to SLURM. Returns whether there is nothing left to wait for."""
    from xtra.cli.slurm import launch

    try:
        return launch(plan, description, results, profile, wait, console)
    except KeyboardInterrupt:
        typer.echo("the jobs go on without this process; the same command goes on waiting", err=True)
        raise typer.Exit(130) from None


def _seconds(budget: str | None) -> float | None:
    from xtra.execute.local import parse_duration

    try:
        return None if budget is None else parse_duration(budget)
    except ValueError as error:
        raise refusal(f"--budget: {error}") from None


def _execute(plan: Plan, store: Store, workers: int | None, seconds: float | None, console: Console) -> None:
    """Runs the jobs on this machine, for `seconds` at most. Ctrl-C stops the workers, and from here on a signal to end does what
    Ctrl-C does."""
    import signal

    from xtra.cli.progress import LiveView, PlainView
    from xtra.execute.local import Budget, LocalQueue, QueueState
    from xtra.execute.machine import Machine
    from xtra.execute.status import last_words, plan_labels
    from xtra.suite.summary import finished_costs

    view = LiveView if console.is_terminal else PlainView
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, signal.default_int_handler)
    machine = Machine.this(workers)
    queue = LocalQueue(store, plan.jobs, machine, budget=None if seconds is None else Budget(seconds, finished_costs(store)))
    _print_shortages(machine, [plan.jobs[key] for key in queue.keys_in(QueueState.WAITING)], console)
    labels = plan_labels(plan)
    _print_resumptions(queue, labels, console)
    try:
        with view(console, labels) as shown:
            queue.run(shown.update)
    except KeyboardInterrupt:
        for key in queue.interrupted[:SHOWN_FAILURES]:
            console.print(f"{labels[key]}: {last_words(store, key, 1)}", soft_wrap=True)
        raise
    _print_outcome(queue, plan, console)


def _print_resumptions(queue: LocalQueue, labels: Mapping[str, str], console: Console) -> None:
    """Tells of jobs that an earlier run has begun, and nobody is at, from where they go on."""
    import time

    from xtra.execute.local import QueueState
    from xtra.execute.status import resumption
    from xtra.store.store import State

    now = time.time()
    begun = [key for key in queue.keys_in(QueueState.WAITING) if queue.store.state(key, now) is State.INTERRUPTED]
    for key in begun[:SHOWN_RESUMPTIONS]:
        console.print(f"{labels[key]}: {resumption(queue.store, key)}", soft_wrap=True)
    if len(begun) > SHOWN_RESUMPTIONS:
        console.print(f"... and {len(begun) - SHOWN_RESUMPTIONS} more that were begun")


def _print_outcome(queue: LocalQueue, plan: Plan, console: Console) -> None:
    from collections import Counter

    from xtra.cli.messages import counted
    from xtra.execute.local import QueueState
    from xtra.execute.status import job_statuses, plan_labels
    from xtra.suite.diagnostics.errors import printable

    counts = Counter(queue.states.values())
    console.print(f"{counted(len(plan.jobs), 'job')}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    labels, failed = plan_labels(plan), queue.keys_in(QueueState.FAILED)
    for job in job_statuses(queue.store, failed[:SHOWN_FAILURES]):
        reason = printable(queue.reasons.get(job.key, job.reason))
        console.print(f"failed: {labels[job.key]}: {reason}\n        xtra-bench logs {job.key}", soft_wrap=True)
    if len(failed) > SHOWN_FAILURES:
        console.print(f"... and {len(failed) - SHOWN_FAILURES} more: xtra-bench logs")
    _print_left(queue, plan, console)


def _print_left(queue: LocalQueue, plan: Plan, console: Console) -> None:
    """Prints which jobs the budget had no room for, and what they will cost."""
    from collections import Counter

    from xtra.cli.messages import counted
    from xtra.execute.local import QueueState
    from xtra.suite.summary import estimate, estimate_sentence, finished_costs

    left = queue.keys_in(QueueState.LEFT)
    if left:
        stages = Counter(plan.jobs[key].stage for key in left)
        listed = ", ".join(f"{count} {stage}" for stage, count in stages.items())
        cost = estimate(plan, plan.jobs.keys() - set(left), finished_costs(queue.store))
        console.print(f"{counted(len(left), 'job')} left for which --budget had no room ({listed})", soft_wrap=True)
        console.print(estimate_sentence(cost, len(left)), soft_wrap=True)


def _conclude(plan: Plan, description: RunDescription, results: Path, console: Console, no_report: bool) -> None:
    """Collects, reports, and exits with 1 unless every cell is complete."""
    from xtra.cli.messages import counted
    from xtra.execute.suite_run import run_directory
    from xtra.results.collect import collect
    from xtra.store.store import Store

    directory = run_directory(results, plan)
    statuses = collect(Store(results / "store"), plan.cells, description, directory)
    incomplete = [f"{status}: {cell.name}" for cell, status in statuses.items() if status != "complete"]
    if incomplete:
        prospects = "".join(f"; {prospect}" for status, prospect in PROSPECTS.items() if status in statuses.values())
        console.print(f"{len(incomplete)} of {counted(len(plan.cells), 'cell')} without a score{prospects}", soft_wrap=True)
        for line in incomplete[:SHOWN_FAILURES]:
            console.print(line, soft_wrap=True)
    typer.echo(directory if no_report else _report(directory))
    if incomplete:
        raise typer.Exit(1)


def _report(directory: Path) -> Path:
    from xtra.results.finish import report

    try:
        return report([directory])
    except (ValueError, OSError) as error:
        typer.echo(f"error: the rows are in {directory}, but no report can be made of them: {error}", err=True)
        raise typer.Exit(1) from None
