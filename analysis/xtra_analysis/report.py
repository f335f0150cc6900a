"""`write_report`: one self-contained HTML file, and every table (CSV), figure (SVG) and row (Parquet) beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xtra_analysis.content import Picture, Section, Table
from xtra_analysis.findings import Findings, find
from xtra_analysis.formatting import counted
from xtra_analysis.headline import answer
from xtra_analysis.run_record import RunRecord
from xtra_analysis.sections.ablations import ablations
from xtra_analysis.sections.aggregates import aggregates
from xtra_analysis.sections.comparison import comparison
from xtra_analysis.sections.efficiency import efficiency
from xtra_analysis.sections.games import games
from xtra_analysis.sections.missing import missing
from xtra_analysis.sections.overview import overview
from xtra_analysis.sections.precision import precision
from xtra_analysis.sections.profiles import profiles
from xtra_analysis.sections.published import published
from xtra_analysis.sections.reach import reach
from xtra_analysis.sections.reading import reading
from xtra_analysis.sections.sources import sources
from xtra_analysis.sections.transfer import transfer
from xtra_analysis.study import Study, read_study

SECTIONS = (
    reach,
    comparison,
    aggregates,
    efficiency,
    profiles,
    games,
    ablations,
    sources,
    transfer,
    published,
    precision,
    missing,
    reading,
)
HERE = Path(__file__).parent
WIRING_BANNER = "This run proves the wiring, not learning: its scores say nothing about how good a method is."
SYNTHETIC_BANNER = "Synthetic: every number here was invented to show what a report looks like. Nothing was trained."


@dataclass(frozen=True)
class ProvenanceEntry:
    """Where one run came from, as pairs for the page."""

    name: str
    facts: Sequence[tuple[str, str]]
    suite_text: str


def write_report(run_dirs: Sequence[Path], out: Path, seed: int = 0) -> Path:
    """Reads runs, writes `out/report.html` with `out/tables`, `out/figures` and `out/rows`, and returns the page's path.

    Equal rows and seed give equal bytes. Raises InputError for runs that cannot be read or do not belong together.
    """
    study = read_study([Path(run) for run in run_dirs])
    findings = find(study, seed)
    first = overview(findings)
    sections = [section for make in SECTIONS if (section := make(findings)) is not None]
    out.mkdir(parents=True, exist_ok=True)
    _write_files(study, [first, *sections], out)
    page = out / "report.html"
    page.write_text(_render(findings, first, sections), encoding="utf-8")
    return page


def _render(findings: Findings, first: Section, sections: Sequence[Section]) -> str:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    info = findings.study.info
    return environment.get_template("report.html.j2").render(
        css=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        info=info,
        banners=list(_banners(info)),
        extent=_extent(findings.study),
        answer=answer(findings),
        first=first,
        sections=sections,
        provenance=[_provenance(one) for one in findings.study.infos],
        colophon="Made by xtra_analysis from result rows alone. Beside this file: tables (CSV), figures (SVG), rows (Parquet).",
    )


def _banners(info: RunRecord) -> Iterator[str]:
    if info.synthetic:
        yield SYNTHETIC_BANNER
    if info.proves == "wiring":
        yield WIRING_BANNER


def _extent(study: Study) -> str:
    info = study.info
    return f"{counted(len(info.games), 'game')} × {counted(len(info.methods), 'method')} × {counted(len(info.seeds), 'seed')}"


def _provenance(info: RunRecord) -> ProvenanceEntry:
    facts = info.provenance
    changed = " with uncommitted changes" if facts.git_dirty else ""
    return ProvenanceEntry(
        f"{info.suite}, version {info.suite_version}",
        [
            (
                "Suite",
                f"{info.suite}, version {info.suite_version}; preset {info.preset}; seeds {', '.join(map(str, info.seeds))}",
            ),
            *(
                [("Set on the command line", ", ".join(f"{k}={v}" for k, v in info.command_line.items()))]
                if info.command_line
                else []
            ),
            ("Results made by", "; ".join(facts.made_by) or "not known"),
            (
                "Collected",
                f"{facts.created or 'not known'}, by xtra-bench {facts.xtra_version or 'not known'}, "
                f"commit {facts.git_commit or 'not known'}{changed}, Python {facts.python or '?'}, {facts.platform or '?'}",
            ),
            ("Hardware", "; ".join(facts.hardware) or "not known"),
        ],
        facts.suite_text,
    )


def _write_files(study: Study, sections: Sequence[Section], out: Path) -> None:
    for name in ("tables", "figures", "rows"):
        (out / name).mkdir(exist_ok=True)
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Table):
                frame = block.frame if block.csv is None else block.csv
                frame.to_csv(out / "tables" / f"{block.name}.csv", index=False, lineterminator="\n")
            elif isinstance(block, Picture):
                (out / "figures" / f"{block.name}.svg").write_text(block.svg, encoding="utf-8")
    for name, frame in study.tables.items():
        frame.to_parquet(out / "rows" / f"{name}.parquet", index=False)
