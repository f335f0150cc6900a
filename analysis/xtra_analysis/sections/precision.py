"""What a study of this size can see."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.content import Column, Paragraph, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import NONE, counted, number, percent
from xtra_analysis.power import MAX_SEEDS, needed_seeds_table, relative_spread
from xtra_analysis.sections.cells import METHOD


def precision(findings: Findings) -> Section | None:
    """The smallest difference this study can see, the seeds needed for others, and how far missing runs could move it."""
    study = findings.study
    blocks: list[Table | Paragraph] = []
    spread = relative_spread(study.complete, study.learners)
    if spread is not None:
        seeds = len(study.info.seeds)
        smallest = spread.detectable_ratio(seeds)
        size = f"{counted(seeds, 'seed')} × {counted(len(spread.games), 'game')}"
        sentence = (
            "One seed cannot tell a difference from chance."
            if seeds < 2
            else f"With {size} this study can see differences of {percent(smallest, 1)} or more between two methods."
        )
        blocks.append(Paragraph(f"{sentence} (Mean ratio over games, two-sided test at 5 %, found four times in five.)"))
        columns = [
            Column("Difference to be seen", lambda row: percent(row.effect), numeric=False),
            Column(
                "Seeds per game and method", lambda row: f"more than {MAX_SEEDS:,}" if pd.isna(row.seeds) else f"{row.seeds:,}"
            ),
        ]
        note = f"From the spread between seeds seen here, on {counted(len(spread.games), 'game')}."
        blocks.append(Table("seeds_needed", "Seeds needed", needed_seeds_table(spread), columns, [note]))
    if len(findings.worst_case):
        blocks.append(_worst_case(findings))
    return Section("precision", "What this study can see", blocks) if blocks else None


def _worst_case(findings: Findings) -> Table:
    columns = [
        METHOD,
        Column("Missing", lambda row: str(row.num_missing)),
        Column("IQM, as reported", lambda row: number(row.estimate)),
        Column("If they were the worst", lambda row: number(row.worst)),
        Column("If they were the best", lambda row: number(row.best)),
    ]
    notes = [
        f"Worst and best: the lowest and highest score of any run of any method in the same game. {NONE} where none is known."
    ]
    return Table("worst_case", "How far missing runs could move the result", findings.worst_case, columns, notes)
