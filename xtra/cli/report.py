"""`xtra-bench report`: makes the report of runs (finished or not), or of scores that other code measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xtra.cli.messages import refusal
from xtra.cli.options import refuse_unused_options

EXAMPLES = """Examples:

xtra-bench report results/runs/diverse-20260101-120000-ab12

xtra-bench report --scores scores.csv --normalize human --baseline DQN

xtra-bench report --scores scores.csv --curves curves.csv --normalize my_games.csv

xtra-bench report --scores rliable.json --normalize none
"""
NORMALIZE = (
    "What normalized scores of 0 and 1 are. human: a random agent and a human; max: a random agent and the game's maximum; "
    "FILE: CSV with columns game, random, reference; none: scores are taken as given."
)


def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN...]", help="Run directories, such as results/runs/quick-<time>-<id>."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="The directory of report.html and its tables and figures; made if need be. Default: the first run; of "
            "scores.csv, scores-report beside it.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Scores of any code, in place of runs: CSV with columns method, game, seed, score (empty: a run without a "
            "result), or JSON as rliable takes it: for each method a matrix of runs × games, or its runs' scores by game.",
        ),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Learning curves beside --scores: CSV with columns method, game, seed, env_steps, score."
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="METHOD", help="With --scores: the method that others are compared with.")
    ] = None,
    normalize: Annotated[
        str | None, typer.Option(metavar="human|max|none|FILE", help=f"With --scores, which needs it. {NORMALIZE}")
    ] = None,
    question: Annotated[str | None, typer.Option(metavar="TEXT", help="With --scores: what the page asks and answers.")] = None,
) -> None:
    """Make one self-contained report.html of runs of one protocol, or of scores that other code measured."""
    try:
        if scores is None:
            own = {"--curves": curves, "--baseline": baseline, "--normalize": normalize, "--question": question}
            refuse_unused_options(own, "--scores FILE")
            page = _report_runs(runs or [], out, seed)
        else:
            if runs:
                raise refusal(f"{runs[0]}: name runs or --scores, not both")
            page = _report_scores(scores, curves, baseline, normalize, question, out, seed)
    except OSError as error:
        raise refusal(f"{error.filename or out or scores or (runs or [Path()])[0]}: {error.strerror or error}") from None
    except ValueError as error:
        raise refusal(str(error)) from None
    typer.echo(page)


def _report_runs(runs: list[Path], out: Path | None, seed: int) -> Path:
    from xtra.results.finish import report as make_report

    if not runs:
        raise refusal("name runs, such as results/runs/quick-<time>-<id>, or --scores FILE; see xtra-bench report --help")
    return make_report(runs, out, seed)


def _report_scores(
    scores: Path,
    curves: Path | None,
    baseline: str | None,
    normalize: str | None,
    question: str | None,
    out: Path | None,
    seed: int,
) -> Path:
    from xtra_analysis.report import write_report
    from xtra_analysis.scores_of_others import read_scores

    if normalize is None:
        raise refusal(f"--scores needs --normalize human|max|none|FILE. {NORMALIZE}")
    study = read_scores(scores, curves, baseline, normalize, question)
    return write_report(study, scores.with_name(f"{scores.stem}-report") if out is None else out, seed)


report.__doc__ = f"{report.__doc__}\n\n{EXAMPLES}"
