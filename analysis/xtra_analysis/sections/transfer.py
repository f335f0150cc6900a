"""What cross-tasks did: task weights over time, where they ended, and gradient similarity."""

from __future__ import annotations

from typing import Any

import pandas as pd

from xtra_analysis import figures
from xtra_analysis.content import Column, Picture, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import number

BESIDE = 2
"""With at most this many target games, weights and similarities stand side by side."""


def transfer(findings: Findings) -> Section | None:
    """For each method with cross-tasks: weights over updates, similarity of source and target; for all, the final weights."""
    table = findings.study.tables["task_weights"]
    if table.empty:
        return None
    wide = table["game"].nunique() > BESIDE
    blocks: list[Picture | Table] = []
    for place, (method, part) in enumerate(table.groupby("method", sort=False)):
        blocks += _pictures(str(method), part, place, wide)
    return Section("transfer", "Cross-tasks", [*blocks, _final_table(final_weights(table), findings.primary)])


def final_weights(table: pd.DataFrame) -> pd.DataFrame:
    """One row per (method, target game, source game): each run's last weight and similarity, mean and spread over seeds.

    table: in the order of a study's, in which a run's measurements follow one another.
    """
    runs = table.groupby(["method", "game", "source_game", "seed"], sort=False).tail(1)
    return (
        runs.groupby(["method", "game", "source_game"], sort=False)
        .agg(
            weight=("weight", "mean"),
            weight_std=("weight", "std"),
            lowest=("weight", "min"),
            highest=("weight", "max"),
            gradient_similarity=("gradient_similarity", "mean"),
            updates=("updates", "max"),
            num_runs=("weight", "size"),
        )
        .reset_index()
    )


def _pictures(method: str, part: pd.DataFrame, place: int, wide: bool) -> list[Picture]:
    weights = Picture(
        f"task_weights_{place}",
        figures.task_weights(part),
        f"Line charts of {method}, one per target game: weight of each source game over updates.",
        f"{method}: how much each source game counts while finetuning; mean over seeds, bands from the lowest to the highest.",
        wide=wide,
        folded=place > 0,
    )
    if not part["gradient_similarity"].notna().any():
        return [weights]
    similarity = Picture(
        f"gradient_similarity_{place}",
        figures.gradient_similarity(part),
        f"Heat map of {method}: mean cosine similarity of gradients, source games by target games.",
        f"{method}: cosine of the gradients of source and target game, mean over seeds and updates. "
        "Orange pulls the same way, purple against.",
        wide=wide,
        folded=place > 0,
    )
    return [weights, similarity]


def _final_table(weights: pd.DataFrame, primary: str | None) -> Table:
    shown = primary if primary in set(weights["method"]) else str(weights["method"].iloc[0])
    columns = [
        Column("Target game", lambda row: row.game, numeric=False),
        Column("Source game", lambda row: row.source_game, numeric=False),
        Column("Final weight", _weight),
        Column("Lowest to highest", lambda row: f"{number(row.lowest)} to {number(row.highest)}"),
        Column("Cosine", lambda row: number(row.gradient_similarity)),
        Column("Seeds", lambda row: str(row.num_runs)),
    ]
    notes = ["The last measurement of each run: mean ± standard deviation over seeds, their range, and the mean cosine then."]
    if weights["method"].nunique() > 1:
        notes.append(f"{shown} alone; the CSV file has every method.")
    frame = weights[weights["method"] == shown]
    return Table("final_task_weights", f"Final task weights of {shown}", frame, columns, notes, csv=weights)


def _weight(row: Any) -> str:
    return number(row.weight) + ("" if pd.isna(row.weight_std) else f" ± {number(row.weight_std)}")
