"""`xtra-bench perf plan`: how long a large suite takes to plan, to submit and to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from xtra.perf.plan import Duration, Measured


def measure_planning(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Jobs of the simulated suite, at least.")] = 10_000,
    max_array_size: Annotated[int, typer.Option(min=1, help="The simulated cluster's MaxArraySize.")] = 1001,
    max_queued: Annotated[int | None, typer.Option(min=1, help="Its limit of jobs in the queue; none if not given.")] = None,
) -> None:
    """Time the planning of a simulated suite, and its status when all of it is complete; count the calls of sbatch."""
    from xtra.perf.plan import measure

    measured = measure(jobs, max_array_size, max_queued)
    typer.echo(measured.to_json() if as_json else render(measured))


def render(measured: Measured) -> str:
    """The measurement as text."""
    held = measured.num_jobs - measured.submitted
    arrays = f"{measured.sbatch_calls} calls of sbatch, at most {measured.max_array_size:,} elements each"
    return "\n".join(
        (
            f"{measured.num_jobs:,} jobs, {measured.num_cells:,} cells",
            f"plan    {_told(measured.plan)}",
            f"submit  {_told(measured.submit)}: {arrays}" + (f"; {held:,} jobs left to later launches" if held else ""),
            f"status  {_told(measured.status)}: {measured.complete:,} jobs complete",
        )
    )


def _told(duration: Duration) -> str:
    return f"{duration.seconds:6.2f} s ({duration.cpu_seconds:.2f} s of CPU)"
