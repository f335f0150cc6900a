"""`xtra-bench certify` and `verify`: what a study's rows were made from, and making some of it again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.messages import counted, refusal
from xtra.cli.options import ResultsOption

if TYPE_CHECKING:
    from xtra.execute.verification import Comparison, Draw
    from xtra.results.certificate import Certificate
    from xtra.store.job import Job
    from xtra.store.store import Store

StudyArgument = Annotated[
    Path,
    typer.Argument(
        metavar="STUDY", file_okay=False, exists=True, help="A directory of rows, as a run leaves it or as they are kept."
    ),
]


def certify(study: StudyArgument, results: ResultsOption = Path("results")) -> None:
    """Write certificate.json beside a study's rows: every job that they stand on, the hash of all that it left, and what made it.

    For example: xtra-bench certify results/ours/catch_transfer
    """
    from xtra.results.certificate import FILE_NAME, CertificateError
    from xtra.results.certificate import certify as make
    from xtra.store.store import Store

    try:
        certificate = make(study, Store(results / "store"))
    except CertificateError as error:
        raise refusal(str(error)) from None
    typer.echo(f"{counted(len(certificate.jobs), 'job')} and {counted(len(certificate.files), 'file')} certified")
    if certificate.unfinished:
        typer.echo(f"{counted(len(certificate.unfinished), 'job')} without a result, which a later certificate may add")
    typer.echo(study / FILE_NAME)


def verify(
    study: StudyArgument,
    hours: Annotated[
        float,
        typer.Option(min=0.0, help="Hours that the jobs to be run again may have taken together when they were certified."),
    ] = 1.0,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the jobs that fit to be drawn; one at least.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Cores to use at once; all of this machine's if not given.")] = None,
    into: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Keep what is computed in this new directory."),
    ] = None,
) -> None:
    """Draw some of a certified study's jobs, run them again with all that they stand on, and compare every byte and every score.

    For example: xtra-bench verify results/ours/catch_transfer --hours 0.5 --share 0.2

    Exit status: 0 when all is equal, 1 when something is not, 3 when other bits came out on a processor or with packages that may
    give other bits; scores are compared in any case. What cannot be drawn is named.
    """
    from xtra.execute.verification import draw
    from xtra.results.certificate import CertificateError, altered_files, certified_scores, read_certificate
    from xtra.store.store import Store

    if into is not None and into.exists():
        raise refusal(f"--into {into}: already exists, and its results would be taken for new ones; name a new directory")
    try:
        certificate = read_certificate(study)
        scores = certified_scores(study)
        drawing = draw(certificate, seconds=hours * 3600, share=share, seed=seed)
        altered = list(altered_files(study, certificate))
    except CertificateError as error:
        raise refusal(str(error)) from None
    for sentence in altered:
        typer.echo(f"altered: {study}: {sentence}")
    _print_draw(certificate, drawing, hours, seed)
    if not drawing.drawn:
        raise refusal("no job can be drawn; raise --hours, or use the release that made the study")
    with _directory(into) as directory:
        store = Store(directory / "store")
        _run(drawing.jobs, store, workers)
        raise typer.Exit(_print_comparison(certificate, scores, drawing.jobs, store) or int(bool(altered)))


@contextmanager
def _directory(into: Path | None) -> Iterator[Path]:
    if into is not None:
        yield into
    else:
        with tempfile.TemporaryDirectory(prefix="xtra-verify-") as name:
            yield Path(name)


def _print_draw(certificate: Certificate, drawing: Draw, hours: float, seed: int) -> None:
    from xtra.execute.status import job_label
    from xtra.suite.summary import duration

    for one in certificate.jobs:
        if one.key in drawing.excluded:
            typer.echo(f"excluded: {one.key} ({job_label(one.to_job())}): {drawing.excluded[one.key]}")
    for key in certificate.unfinished:
        typer.echo(f"excluded: {key}: it had no result when the study was certified")
    typer.echo(
        f"drawn by seed {seed}: {len(drawing.drawn)} of {counted(drawing.eligible, 'job')} that fit into {hours:g} h; "
        f"with what they stand on {counted(len(drawing.jobs), 'job')}, which took {duration(drawing.seconds)}"
    )
    for key in drawing.drawn:
        typer.echo(f"drawn: {key} ({job_label(drawing.jobs[key])})")


def _run(jobs: Mapping[str, Job], store: Store, workers: int | None) -> None:
    from rich.console import Console

    from xtra.cli.progress import LiveView, PlainView
    from xtra.execute.machine import Machine
    from xtra.execute.status import job_label
    from xtra.execute.verification import run_again

    console = Console(markup=False, emoji=False, highlight=False)
    view = LiveView if console.is_terminal else PlainView
    with view(console, {key: job_label(job) for key, job in jobs.items()}) as shown:
        run_again(jobs, store, Machine.this(workers), shown.update)


def _print_comparison(certificate: Certificate, certified: Mapping[str, float], jobs: Mapping[str, Job], store: Store) -> int:
    """Prints what came out, and returns the exit status."""
    from xtra.execute.verification import compare, compare_scores

    comparisons = list(compare(certificate, store, jobs))
    for one in comparisons:
        typer.echo(_sentence(one))
    scores = list(compare_scores(certified, store, jobs))
    for score in scores:
        verdict = "equal" if score.equal else "DIFFERENT"
        typer.echo(f"score of {score.key}: {score.certified} in the study, {score.here} here: {verdict}")
    equal = sum(one.equal for one in comparisons)
    equal_scores = f"{sum(score.equal for score in scores)} of {counted(len(scores), 'score')} equal"
    typer.echo(f"{equal} of {counted(len(comparisons), 'job')} equal to the byte, {equal_scores}")
    unequal = [one for one in comparisons if not one.equal]
    elsewhere = dict.fromkeys(difference for one in unequal for difference in one.elsewhere)
    if elsewhere:
        typer.echo(f"the study was computed elsewhere, which may be why: {'; '.join(elsewhere)}")
    if not unequal:
        return 0 if all(score.equal for score in scores) else 1
    return 3 if all(one.elsewhere and not one.failure for one in unequal) else 1


def _sentence(one: Comparison) -> str:
    if one.failure:
        return f"FAILED: {one.key}: {one.failure}"
    if one.differing:
        return f"DIFFERENT: {one.key}: {', '.join(one.differing)}"
    return f"equal: {one.key}"
