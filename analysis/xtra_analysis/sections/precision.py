"""What a study of this size can see."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.content import Column, Paragraph, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import NONE, counted, number, percent
from xtra_analysis.power import MAX_SEEDS, Spread, needed_seeds_table, relative_spread
from xtra_analysis.sections.cells import METHOD


def precision(findings: Findings) -> Section | None:
    """The smallest difference this study can see, the seeds needed for others, and how far missing runs could move it.

    None for a run that proves the wiring: its spread between seeds says nothing about methods that learn.
    """
    study = findings.study
    if study.info.proves == "wiring":
        return None
    blocks: list[Table | Paragraph] = []
    spread = relative_spread(study.complete, study.learners)
    if spread is not None and spread.relative_variance.sum() > 0:
        blocks += [Paragraph(_sentence(spread, len(study.info.seeds))), _needed(spread)]
    elif len(study.complete):
        blocks.append(Paragraph(_why_not(study.complete, spread)))
    if len(findings.worst_case):
        blocks.append(_worst_case(findings))
    return Section("precision", "What this study can see", blocks) if blocks else None


def _why_not(complete: pd.DataFrame, spread: Spread | None) -> str:
    if spread is not None:
        return "All seeds scored alike, so their spread says nothing about which differences this study can see."
    if complete.groupby(["method", "game"]).size().max() < 2:
        return "One seed cannot tell a difference from chance: no game has two runs of a method."
    return "Which differences this study can see is told relative to mean scores, and no method has a positive one on two runs."


def _sentence(spread: Spread, seeds: int) -> str:
    size = f"{counted(seeds, 'seed')} × {counted(len(spread.games), 'game')}"
    smallest = percent(spread.detectable_ratio(seeds), 1)
    return (
        f"With {size} this study can see differences of {smallest} or more between two methods. "
        "(Mean ratio over games, told from no difference by the intervals used here, four times in five.)"
    )


def _needed(spread: Spread) -> Table:
    columns = [
        Column("Difference to be seen", lambda row: percent(row.effect), numeric=False),
        Column("Seeds per game and method", lambda row: f"more than {MAX_SEEDS:,}" if pd.isna(row.seeds) else f"{row.seeds:,}"),
    ]
    note = f"From the spread between seeds seen here, on {counted(len(spread.games), 'game')}."
    return Table("seeds_needed", "Seeds needed", needed_seeds_table(spread), columns, [note])


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
