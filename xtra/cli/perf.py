"""`xtra-bench perf`: how fast this installation is, here; and whether a killed run resumes exactly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.perf_search import measure_search
from xtra.cli.perf_train import measure_training

if TYPE_CHECKING:
    from xtra.perf.plan import Duration, Measured

app = typer.Typer(name="perf", help="Measure speed on this machine.", no_args_is_help=True, add_completion=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")]


@app.callback()
def perf() -> None:
    """Measure speed on this machine."""


@app.command("plan")
def measure_planning(
    as_json: AsJson = False,
    jobs: Annotated[int, typer.Option(min=1, help="Jobs of the simulated suite, at least.")] = 10_000,
    max_array_size: Annotated[int, typer.Option(min=1, help="The simulated cluster's MaxArraySize.")] = 1001,
    max_queued: Annotated[int | None, typer.Option(min=1, help="Its limit of jobs in the queue; none if not given.")] = None,
) -> None:
    """Time the planning of a simulated suite, and its status when all of it is complete; count the calls of sbatch."""
    from xtra.perf.plan import measure

    measured = measure(jobs, max_array_size, max_queued)
    typer.echo(measured.to_json() if as_json else render_planning(measured))


app.command("search")(measure_search)
app.command("train")(measure_training)


@app.command("resume")
def measure_resuming(
    kills: Annotated[int, typer.Option(min=1, help="Attempts to kill or stop, each at a random moment.")] = 100,
    kills_per_run: Annotated[
        int | None, typer.Option(min=1, help="The most that one run has to bear; as many as chance wants if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the moments.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Kill (kill -9) or stop (SIGTERM) small training runs at random moments, start them again, and compare their outputs bit for
    bit. Every other run is saved by time and by stops alone."""
    from xtra.perf.resume import report

    measured = report(kills, seed, kills_per_run)
    if as_json:
        typer.echo(json.dumps(measured, indent=2))
    else:
        alike = f"{measured['identical_runs']} of {measured['runs']} runs ended bit for bit as the undisturbed one"
        typer.echo(f"{measured['kills']} kills, {measured['stops']} stops: {alike}")
        for names in measured["different"]:
            typer.echo(f"  different: {', '.join(names)}")
    if measured["different"]:
        raise typer.Exit(1)


def render_planning(measured: Measured) -> str:
    """The measurement as text."""
    held = measured.num_jobs - measured.submitted
    arrays = f"{measured.sbatch_calls} calls of sbatch, at most {measured.max_array_size:,} elements each"
    return "\n".join(
        (
            f"{measured.num_jobs:,} jobs, {measured.num_cells:,} cells",
            f"plan    {_duration(measured.plan)}",
            f"submit  {_duration(measured.submit)}: {arrays}" + (f"; {held:,} jobs left to later launches" if held else ""),
            f"status  {_duration(measured.status)}: {measured.complete:,} jobs complete",
        )
    )


def _duration(duration: Duration) -> str:
    return f"{duration.seconds:6.2f} s ({duration.cpu_seconds:.2f} s of CPU)"
