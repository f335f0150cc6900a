"""How the numbers are made, for a reader who wants to know before believing them."""

from __future__ import annotations

from xtra_analysis.compare import IMPROVEMENT_REPS, RATIO_REPS
from xtra_analysis.content import Paragraph, Section
from xtra_analysis.curves import CURVE_REPS
from xtra_analysis.estimates import AGGREGATE_REPS
from xtra_analysis.findings import Findings

TEXT = f"""
Aggregates are rliable's (Agarwal et al., 2021). IQM: mean of the middle half of all runs × games. Median and
mean: over games, of the mean over seeds. Optimality gap: how far runs stay below 1 on average. Games with
fewer seeds count as much as others.

The 95 % intervals of this report are made for few seeds: Student's t on the bootstrap's spread, with as many
degrees of freedom as the games support. rliable's percentile interval is drawn beside it because other papers
give it; with three to five seeds it misses the truth more often than it says. Both were measured by
analysis/coverage_study.py, with the outcome in results/ours/interval_coverage.csv. There is no interval from
one seed, nor from seeds that all scored alike.

Resampling is stratified by game: {AGGREGATE_REPS:,} resamples for aggregates, {RATIO_REPS:,} for ratios,
{IMPROVEMENT_REPS:,} for the probability of improvement, {CURVE_REPS:,} for each point of a curve.
Tests are exact: every way to exchange runs within games counts. The intervals speak of other seeds on these games, not of other
games.

A run that is missing, failed or diverged is named and left out of every estimate; the table of worst cases
says how much that could matter. Published numbers enter no estimate.
"""


def reading(findings: Findings) -> Section:
    """Definitions, intervals, tests and what is left out."""
    paragraphs = [Paragraph(" ".join(text.split())) for text in TEXT.strip().split("\n\n")]
    seed = Paragraph(f"This report was made with bootstrap seed {findings.seed}; equal rows and seed give the same bytes.")
    return Section("reading", "How the numbers are made", [*paragraphs, seed])
