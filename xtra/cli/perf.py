"""`xtra-bench perf`: how fast this installation is, here."""

from __future__ import annotations

import typer

from xtra.cli.perf_plan import measure_planning
from xtra.cli.perf_resume import measure_resuming
from xtra.cli.perf_search import measure_search
from xtra.cli.perf_train import measure_training

app = typer.Typer(name="perf", help="Measure speed on this machine.", no_args_is_help=True, add_completion=False)


@app.callback()
def perf() -> None:
    """Measure speed on this machine."""


app.command("plan")(measure_planning)
app.command("search")(measure_search)
app.command("train")(measure_training)
app.command("resume")(measure_resuming)
