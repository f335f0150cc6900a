"""Commands that show results: `xtra-bench report` of runs (finished or not) or of scores that other code measured, `compare` of
two runs, and `site`, a gallery of reports with a leaderboard, as files that any web server can show, or a browser alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xtra.cli.messages import make_directory_of, refusal
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
HOMES = (Path("results/ours"), Path("results/runs"))
"""Where runs are looked for."""


def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Run directories, such as results/runs/quick-<time>-<id>, or directories of runs."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="The directory of report.html and its tables and figures; made if need be. Default: the first directory "
            "given; of scores.csv, scores-report beside it.",
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


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A run directory in results/runs.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another one, of the same protocol.")],
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", dir_okay=False, help="Write the table of games, in full precision, too."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Did a change help? What differs between two runs, and the paired difference of their scores, per game and overall."""
    from xtra_analysis.run_comparison import compare_runs, comparison_text

    try:
        comparison = compare_runs(before, after, seed)
    except ValueError as error:
        raise refusal(str(error)) from None
    if csv is not None:
        make_directory_of(csv)
        comparison.games.to_csv(csv, index=False, lineterminator="\n")
    typer.echo(comparison_text(comparison))


COMPARE_EXAMPLE = """Example:

xtra-bench run catch --set agent.search.num_simulations=16

xtra-bench compare results/runs/catch-20260101-120000-ab12 results/runs/catch-20260102-090000-cd34
"""
compare.__doc__ = f"{compare.__doc__}\n\n{COMPARE_EXAMPLE}"
report.__doc__ = f"{report.__doc__}\n\n{EXAMPLES}"


def site(
    out: Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="The site's directory; made if need be.")],
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN",
            help="Studies, each a run or a directory of runs that belong together, or directories of studies. "
            "Default: those of results/ours and results/runs that exist here.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Make a static site of any runs: their reports in a gallery, and a leaderboard with links to reports and rows.

    Example: xtra-bench site site results/ours
    """
    chosen = places or [home for home in HOMES if home.is_dir()]
    if not chosen:
        raise refusal("there is neither results/ours nor results/runs here; name runs, or directories of runs")
    from xtra_analysis.site import find_studies, write_site

    try:
        typer.echo(write_site(find_studies(chosen), out, seed))
    except OSError as error:
        raise refusal(f"{error.filename or out}: {error.strerror or error}") from None
    except ValueError as error:
        raise refusal(str(error)) from None
