"""Each game on its own: scores and learning curves."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from xtra_analysis import figures
from xtra_analysis.content import Column, Paragraph, Picture, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import number
from xtra_analysis.sections.cells import cell_text
from xtra_analysis.study import Study


def games(findings: Findings) -> Section | None:
    """Mean score with its spread and n for each method and game; learning curves."""
    study = findings.study
    if study.complete.empty:
        return None
    blocks: list[Table | Picture | Paragraph] = [_table(study)]
    curves = study.tables["curves"]
    if len(curves):
        blocks.append(
            Picture(
                "learning_curves",
                figures.learning_curves(curves, emphasis=findings.emphasis),
                "Small line charts, one per game: raw return over env steps for each method.",
                "Raw return while learning, mean over seeds; the thinnest lines are single runs.",
            )
        )
    return Section("games", "Game by game", blocks)


def game_scores(study: Study) -> pd.DataFrame:
    """Mean, standard deviation over runs and number of runs of the raw score of each method and game."""
    grouped = study.complete.groupby(["game", "method"], sort=False)["score"]
    return grouped.agg(mean="mean", std="std", num_runs="count").reset_index()


def _table(study: Study) -> Table:
    scores = game_scores(study)
    methods = [name for name in study.methods if name in set(scores["method"])]
    cells = {(row.game, row.method): _score_text(row) for row in scores.itertuples()}
    columns = [Column("Game", lambda row: row.game, numeric=False)]
    columns += [Column(name, partial(cell_text, cells, name)) for name in methods]
    wide = scores.pivot(index="game", columns="method", values=["mean", "std", "num_runs"])
    wide.columns = pd.Index([f"{method} {what}" for what, method in wide.columns])
    return Table(
        "games",
        "Raw scores",
        wide.reset_index(),
        columns,
        ["Mean ± standard deviation over seeds (number of seeds). One seed has no deviation."],
    )


def _score_text(row: Any) -> str:
    spread = "" if pd.isna(row.std) else f" ± {number(row.std)}"
    return f"{number(row.mean)}{spread} ({row.num_runs})"
