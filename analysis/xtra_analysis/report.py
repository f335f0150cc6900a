"""`write_report`: one self-contained HTML file, and every table (CSV), figure (SVG, CSV) and row (Parquet) beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xtra.results.run_record import RunRecord
from xtra_analysis.aggregates import aggregates_section
from xtra_analysis.analyse import analyse
from xtra_analysis.comparison import ablations_section, comparison_section
from xtra_analysis.costs import efficiency_section
from xtra_analysis.cross_tasks import cross_tasks_section
from xtra_analysis.diagnostics import diagnostics_section, plasticity_section
from xtra_analysis.drawing import in_company, looks
from xtra_analysis.equivalence import equivalence_section
from xtra_analysis.findings import Findings
from xtra_analysis.games import games_section
from xtra_analysis.missing import missing_section
from xtra_analysis.overview import answer, overview_section
from xtra_analysis.page import Picture, Section, Table
from xtra_analysis.precision import precision_section
from xtra_analysis.profiles import profiles_section
from xtra_analysis.provenance import method_section, provenance
from xtra_analysis.published import published_section
from xtra_analysis.sources import sources_section
from xtra_analysis.study import Study, read_study
from xtra_analysis.text import counted, method_class
from xtra_analysis.time_to_threshold import time_to_threshold_section
from xtra_analysis.transfer_matrix import transfer_matrix_section
from xtra_analysis.transferability import transferability_section

SECTIONS = (
    time_to_threshold_section,
    equivalence_section,
    comparison_section,
    aggregates_section,
    efficiency_section,
    profiles_section,
    games_section,
    ablations_section,
    transfer_matrix_section,
    sources_section,
    cross_tasks_section,
    transferability_section,
    diagnostics_section,
    plasticity_section,
    published_section,
    precision_section,
    missing_section,
    method_section,
)
HERE = Path(__file__).parent
WIRING_BANNER = "This run proves the wiring, not learning: its scores say nothing about how good a method is."
SYNTHETIC_BANNER = "Synthetic: every number here was invented to show what a report looks like. Nothing was trained."


def write_report(source: Study | Sequence[Path], out: Path, seed: int = 0) -> Path:
    """Writes `out/report.html` with `out/tables`, `out/figures` and `out/rows`, and returns the page's path.

    source: run directories, or a study, such as `from_frame` makes of scores of others. Equal rows and seed give equal bytes.
    Raises InputError for runs that cannot be read or do not belong together.
    """
    return save_report(make_report(source if isinstance(source, Study) else read_study([Path(run) for run in source]), seed), out)


@dataclass(frozen=True)
class Report:
    """The content of a page: the estimates, the first screen, and the sections below it."""

    findings: Findings
    first: Section
    sections: Sequence[Section]

    @property
    def kicker(self) -> str:
        """The line above the question."""
        return _kicker(self.findings.study)

    @property
    def answer(self) -> str:
        """The answer to the question."""
        return answer(self.findings)

    @property
    def banners(self) -> list[str]:
        """Notices that must not be overlooked."""
        return list(_banners(self.findings.study.record))


def make_report(study: Study, seed: int = 0) -> Report:
    """Analyses the study and puts its report together."""
    findings = analyse(study, seed)
    with in_company(study.methods):
        first = overview_section(findings)
        return Report(findings, first, [section for make in SECTIONS if (section := make(findings)) is not None])


def save_report(report: Report, out: Path) -> Path:
    """Writes the page and the files beside it, and returns the page's path."""
    out.mkdir(parents=True, exist_ok=True)
    _write_files(report.findings.study, [report.first, *report.sections], out)
    page = out / "report.html"
    study = report.findings.study
    text = render(
        "report.html.j2",
        report=report,
        run=study.record,
        switches=_switches(study.methods),
        provenance=provenance(study),
        colophon="Made by xtra_analysis from result rows alone. Beside it: tables (CSV), figures (SVG, CSV) and rows (Parquet).",
    )
    page.write_text(text, encoding="utf-8")
    return page


def render(template: str, **values: object) -> str:
    """Renders a page of a template, with the style and the script that all pages share, and the hash that lets this script alone
    run."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    css, script = ((HERE / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(css=Markup(css), script=Markup(script), script_hash=script_hash, **values)


@dataclass(frozen=True)
class Switch:
    """Shows or hides a method: everything of its class `css`."""

    method: str
    css: str
    color: str


def _switches(methods: Sequence[str]) -> list[Switch]:
    """Makes a switch for each method where there are several."""
    drawn = looks(methods)
    return [Switch(name, method_class(name), drawn[name].color) for name in methods] if len(methods) > 1 else []


def _banners(record: RunRecord) -> Iterator[str]:
    if record.synthetic:
        yield SYNTHETIC_BANNER
    if record.proves == "wiring":
        yield WIRING_BANNER


def _kicker(study: Study) -> str:
    """Words the line above the question: where the rows come from, how they were measured, how many there are."""
    record = study.record
    if study.origin is not None:
        return f"{record.suite} · {_extent(record)}"
    return f"{record.suite}, version {record.suite_version} · {record.protocol.replace('+', ' + ')} · {_extent(record)}"


def _extent(record: RunRecord) -> str:
    counts = (counted(len(record.games), "game"), counted(len(record.methods), "method"), counted(len(record.seeds), "seed"))
    return " × ".join(counts)


def _write_files(study: Study, sections: Sequence[Section], out: Path) -> None:
    for name in ("tables", "figures", "rows"):
        (out / name).mkdir(exist_ok=True)
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Table):
                (out / "tables" / f"{block.name}.csv").write_text(block.csv_text, encoding="utf-8")
            elif isinstance(block, Picture):
                (out / "figures" / f"{block.name}.svg").write_text(block.svg, encoding="utf-8")
                (out / "figures" / f"{block.name}.csv").write_text(block.csv_text, encoding="utf-8")
    for name, frame in study.tables.items():
        frame.to_parquet(out / "rows" / f"{name}.parquet", index=False)
