"""Provenance of the numbers: how they are computed, and on which machines and software."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from xtra.results.run_record import RunRecord
from xtra_analysis.aggregates import AGGREGATE_REPS
from xtra_analysis.comparison import IMPROVEMENT_REPS, RATIO_REPS
from xtra_analysis.findings import Findings
from xtra_analysis.learning_curves import CURVE_REPS
from xtra_analysis.page import Paragraph, Section
from xtra_analysis.study import Study

TEXT = f"""
Aggregates are rliable's (Agarwal et al., 2021). IQM: mean of the middle half of all runs × games. Median and
mean: over games, of the mean over seeds. Optimality gap: how far runs stay below 1 on average. Games with
fewer seeds count as much as others.

The 95 % intervals of this report are made for few seeds: Student's t on the bootstrap's spread, with as many
degrees of freedom as the games support. rliable's percentile interval is drawn beside it because other papers
give it; with three to five seeds it misses the truth more often than it says. Both were measured by
analysis/coverage_study.py for 10 and 26 games with 3 and 5 seeds, with the outcome in
results/ours/interval_coverage.csv. With 1 to 5 games those of ratios and differences held what they say, but
others can hold less (results/ours/interval_coverage_few_games.csv): of a single game with 5 seeds and rare
breakthroughs, the mean in 78 % of studies. There is no interval from one seed, nor from seeds that all scored
alike, nor of P(better) where in every game all runs of one method are above all of the other.

Resampling is stratified by game: {AGGREGATE_REPS:,} resamples for aggregates, {RATIO_REPS:,} for ratios,
{IMPROVEMENT_REPS:,} for the probability of improvement, {CURVE_REPS:,} for each point of a curve.
Tests are exact: every way to exchange runs within games counts. The intervals speak of other seeds on these games, not of other
games.

A run that is missing, failed or diverged is named and left out of every estimate; the table of worst cases
says how much that could matter. Published numbers enter no estimate.
"""


def method_section(findings: Findings) -> Section:
    """States definitions, intervals, tests and what is left out."""
    paragraphs = [Paragraph(" ".join(text.split())) for text in TEXT.strip().split("\n\n")]
    seed = Paragraph(f"This report was made with bootstrap seed {findings.seed}; equal rows and seed give the same bytes.")
    return Section("reading", "How the numbers are made", [*paragraphs, seed])


@dataclass(frozen=True)
class ProvenanceEntry:
    """The origin of one run, or of scores of others, as pairs for the page. `suite_text` is empty where there was no suite."""

    name: str
    facts: Sequence[tuple[str, str]]
    suite_text: str


def provenance(study: Study) -> list[ProvenanceEntry]:
    """Describes for the page where the rows come from."""
    if study.origin is None:
        return [_run_provenance(record) for record in study.records]
    facts = (*study.origin.facts, ("Normalized scores", study.scale.meaning))
    return [ProvenanceEntry(study.origin.name, facts, "")]


def _run_provenance(record: RunRecord) -> ProvenanceEntry:
    facts = record.provenance
    changed = " with uncommitted changes" if facts.git_dirty else ""
    seeds = ", ".join(map(str, record.seeds))
    entries = [("Suite", f"{record.suite}, version {record.suite_version}; preset {record.preset}; seeds {seeds}")]
    if record.command_line:
        entries.append(
            ("Set on the command line", ", ".join(f"{path}={_yaml(value)}" for path, value in record.command_line.items()))
        )
    plugins = {
        f"{name.removeprefix('plugin ')} ({identity})"
        for method in record.methods
        for name, identity in (method.identity.facts if method.identity else {}).items()
        if name.startswith("plugin ")
    }
    if plugins:
        entries.append(("Plugins", "; ".join(sorted(plugins))))
    entries += [
        ("Results made by", "; ".join(facts.made_by) or "not known"),
        (
            "Collected",
            f"{facts.created or 'not known'}, by xtra-bench {facts.xtra_version or 'not known'}, "
            f"commit {facts.git_commit or 'not known'}{changed}, Python {facts.python or '?'}, {facts.platform or '?'}",
        ),
        ("Hardware", "; ".join(facts.hardware) or "not known"),
    ]
    return ProvenanceEntry(f"{record.suite}, version {record.suite_version}", entries, facts.suite_text)


def _yaml(value: JsonValue) -> str:
    """Writes a value as `--set` takes it."""
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)
