"""Our scores beside published ones, and the layout of the paper's tables."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from xtra.protocol.scores import published_scores
from xtra_analysis import figures
from xtra_analysis.content import Column, Paragraph, Picture, Section, Table
from xtra_analysis.figures.published import RECOLLECTED
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import number
from xtra_analysis.paper import OURS_TO_PUBLISHED, PAPER_TABLES, PaperTable
from xtra_analysis.sections.games import game_scores

PROTOCOL = "atari100k"
"""Published scores are of this protocol; beside another one's they would mislead."""
SHOWN = ("EfficientZero", "EfficientZero (as reported in XTRA)", "XTRA")


def published(findings: Findings) -> Section | None:
    """Bars per game, and the paper's tables filled with ours."""
    study = findings.study
    scores = game_scores(study)
    theirs = [one for one in published_scores() if one.method in SHOWN and one.game in set(scores["game"])]
    if study.info.protocol != PROTOCOL or not theirs:
        return None
    ours = scores[scores["method"].isin([name for name in (study.baseline, findings.primary) if name])]
    blocks: list[Table | Picture | Paragraph] = [
        Paragraph(
            "Published numbers were measured by others, with other code; none enters an estimate of this report. Those marked "
            "recollected, unverified could not be read in any source and may be wrong.",
            warning=True,
        ),
        Picture(
            "published",
            figures.published_bars(ours, theirs),
            "Bar charts, one per game: our mean scores, then published ones; unverified ones are hatched.",
            "Mean raw score in each game; whiskers: standard deviation over seeds, if known. Hatched: recollected, unverified.",
        ),
    ]
    layouts = [layout for layout in PAPER_TABLES if layout.groups_within(set(scores["game"]))]
    blocks += [_paper_table(layout, scores, findings) for layout in layouts]
    return Section("published", "Beside published scores", blocks)


def _paper_table(layout: PaperTable, scores: pd.DataFrame, findings: Findings) -> Table:
    methods = [name for name in (findings.study.baseline, findings.primary) if name]
    groups = layout.groups_within(set(scores["game"]))
    frame = pd.DataFrame([{"genre": genre, "game": game} for genre, games in groups.items() for game in games])
    for name in methods:
        own = scores[scores["method"] == name].set_index("game")
        frame[f"{name}, ours"] = frame["game"].map(own["mean"])
        frame[f"{name}, seeds"] = frame["game"].map(own["num_runs"]).fillna(0).astype(int)
    if len(methods) == 2:
        frame["ratio, ours"] = frame[f"{methods[1]}, ours"] / frame[f"{methods[0]}, ours"]
    theirs = [OURS_TO_PUBLISHED[name.casefold()] for name in methods if name.casefold() in OURS_TO_PUBLISHED]
    if layout.recollected and theirs:
        known = {(one.game, one.method): one.score for one in published_scores()}
        for name in theirs:
            frame[f"{name}, {RECOLLECTED}"] = [known.get((game, name), float("nan")) for game in frame["game"]]
        if len(theirs) == 2:
            frame[f"ratio, {RECOLLECTED}"] = frame[f"{theirs[1]}, {RECOLLECTED}"] / frame[f"{theirs[0]}, {RECOLLECTED}"]
    columns = [Column("Genre", lambda row: row[0], numeric=False), Column("Game", lambda row: row[1], numeric=False)]
    columns += [Column(str(heading), partial(_value, place)) for place, heading in enumerate(frame.columns) if place > 1]
    return Table(layout.name, layout.title, frame, columns, _ratio_notes(frame))


def _ratio_notes(frame: pd.DataFrame) -> list[str]:
    ratios = [column for column in frame.columns if column.startswith("ratio")]
    return [
        f"{column.capitalize()}: mean {number(frame[column].mean())}, median {number(frame[column].median())}."
        for column in ratios
    ]


def _value(place: int, row: Any) -> str:
    return str(row[place]) if isinstance(row[place], int) else number(row[place])
