"""After how many env steps the suite's set score was reached."""

from __future__ import annotations

import pandas as pd

from xtra_analysis import figures
from xtra_analysis.content import Column, Paragraph, Picture, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import NONE, counted, whole, whole_span
from xtra_analysis.headline import reach_sentence
from xtra_analysis.reach import Reach
from xtra_analysis.sections.cells import GAMES, METHOD, SEEDS, spoken

LEAD = (
    "The env step at which a run's learning curve is first that high: straight between evaluations, and not before the first of "
    "them. A run that never is counts with its whole budget, so these are mean env steps until the score was reached or the "
    "budget spent."
)


def reach(findings: Findings) -> Section | None:
    """Means with intervals, every run, and the difference to the baseline."""
    found = findings.reach
    if found is None:
        return None
    sentence = reach_sentence(findings)
    blocks: list[Table | Picture | Paragraph] = [Paragraph(sentence)] if sentence else []
    blocks += [
        Paragraph(LEAD),
        Picture(
            "reach",
            figures.reach(found.estimates, found.runs),
            f"Points with intervals: mean env steps until a score of {found.score:g}. {spoken(found.estimates)}",
            f"Env steps until a score of {found.score:g}; left is sooner. Below each mean its runs, hollow ones never got "
            "there. Thin line: 95 % interval that allows for few seeds; thick line: rliable's.",
        ),
        _table(found, findings.study.baseline),
    ]
    return Section("reach", f"Env steps to reach a score of {found.score:g}", blocks)


def _table(found: Reach, baseline: str | None) -> Table:
    own = found.runs.groupby("method", sort=False).size()
    frame = found.estimates.assign(num_runs=found.estimates["method"].map(own)).merge(
        found.differences[["method", "estimate", "low", "high"]], on="method", how="left", suffixes=("", "_difference")
    )
    columns = [
        METHOD,
        Column("Runs that reached it", lambda row: f"{row.num_reached} of {row.num_runs}"),
        Column("Env steps", lambda row: whole(row.estimate)),
        Column("95 % interval", lambda row: whole_span(row.low, row.high)),
    ]
    if len(found.differences):
        columns += [
            Column(f"minus {baseline}'s", lambda row: whole(row.estimate_difference)),
            Column("95 % interval", lambda row: whole_span(row.low_difference, row.high_difference)),
            Column("Excludes 0", lambda row: _excludes_zero(row.low_difference, row.high_difference), numeric=False),
        ]
    censored = int((~found.runs["reached"]).sum())
    notes = [f"{counted(censored, 'run')} of {len(found.runs)} never reached the score." if censored else "Every run reached it."]
    return Table("reach", "Env steps until the score", frame, [*columns, SEEDS, GAMES], notes)


def _excludes_zero(low: float, high: float) -> str:
    if pd.isna(low):
        return NONE
    return "yes" if low > 0 or high < 0 else "no"
