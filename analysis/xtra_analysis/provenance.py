"""Provenance of the numbers: how they are computed, and on which machines and software."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from pydantic import JsonValue

from xtra.results.run_record import MethodRecord, RunRecord
from xtra_analysis.aggregates import AGGREGATE_REPS
from xtra_analysis.columns import EQUIVALENCE_TITLE, METHOD
from xtra_analysis.comparison import IMPROVEMENT_REPS, RATIO_REPS
from xtra_analysis.findings import Findings, primary_method
from xtra_analysis.learning_curves import CURVE_REPS
from xtra_analysis.page import Column, Paragraph, Section, Table
from xtra_analysis.study import Study
from xtra_analysis.text import NONE, setting

TEXT = f"""
Aggregates are rliable's (Agarwal et al., 2021). IQM: mean of the middle half of all runs × games. Median and
mean: over games, of the mean over seeds. Optimality gap: how far runs stay below 1 on average. Games with
fewer seeds count as much as others. Mean and median ratio: over games, of a method's mean score over the
baseline's. IQM ratio: mean of the middle half of all runs' scores, each over the baseline's mean in its game.
P(better): mean over games of the share of pairs of runs in which the method's scores higher, ties counting
half. Area under the learning curve: its mean height over the env steps that all curves of a game span.

The 95 % intervals of this report are made for few seeds: Student's t on the bootstrap's spread, with as many
degrees of freedom as the games support. rliable's percentile interval is drawn beside it because other papers
give it; with three to five seeds it misses the truth more often than it says. Both were measured by
analysis/coverage_study.py for 10 and 26 games with 3 and 5 seeds, with the outcome in
results/ours/interval_coverage.csv. With 1 to 5 games, intervals of ratios and of differences held the truth
as often as they say, but others can hold it less often (results/ours/interval_coverage_few_games.csv): that of
the mean of a single game with 5 seeds and rare breakthroughs in 78 % of studies. There is no interval where no
resample changes the estimate: from one seed, from seeds that all scored alike, of a median that such a game
decides, or of P(better) where in every game all runs of one method are above all of the other.

Resampling is stratified by game: {AGGREGATE_REPS:,} resamples for aggregates, {RATIO_REPS:,} for ratios,
{IMPROVEMENT_REPS:,} for the probability of improvement, {CURVE_REPS:,} for each point of a curve.
P-values of scores, of env steps to a score and of pairs of games come from permutation tests of ranks: every way
to exchange runs within games counts, so they are exact where runs are independent of one another. Those of
areas under learning curves ("{EQUIVALENCE_TITLE}") come from paired t-tests over seeds; predictors of
transfer are tested by relabelling at random and by resampling. The intervals speak of other seeds on these games, not of
other games.

A run that is missing, failed or diverged is named and left out of every estimate; the table of worst cases
says how much that could matter. Published numbers enter no estimate.
"""


MOST_DIFFERENCES = 3
"""Most settings in which a method without a description is told from the primary one."""


def method_section(findings: Findings) -> Section:
    """States what each method is, then definitions, intervals, tests and what is left out."""
    paragraphs = [Paragraph(" ".join(text.split())) for text in TEXT.strip().split("\n\n")]
    seed = Paragraph(f"This report was made with bootstrap seed {findings.seed}; equal rows and seed give the same bytes.")
    return Section("reading", "How the numbers are made", [*_methods_table(findings.study), *paragraphs, seed])


def _methods_table(study: Study) -> list[Table]:
    """Says what each method is: its description in the suite, or else the settings that set it apart from the primary method. No
    table where nothing is known."""
    methods = study.record.methods
    primary = next((method for method in methods if method.name == primary_method(study)), None)
    rows = [(method.name, method.description or _difference(primary, method)) for method in methods]
    if not any(what for _, what in rows):
        return []
    columns = [METHOD, Column("What it is", lambda row: row.what or NONE, numeric=False)]
    return [Table("methods", "What each method is", pd.DataFrame(rows, columns=["method", "what"]), columns)]


def _difference(primary: MethodRecord | None, method: MethodRecord) -> str:
    if primary is None or primary.identity is None or method.identity is None:
        return ""
    facts = [
        f"{name}: {setting(value)}" if value is not None else f"{name} at its default, not {setting(own)}"
        for name, own, value in primary.identity.differences(method.identity)
        if not name.startswith("version of stage")
    ]
    return f"{primary.name} with {'; '.join(facts)}" if 0 < len(facts) <= MOST_DIFFERENCES else ""


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
