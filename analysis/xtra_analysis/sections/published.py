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
from xtra_analysis.paper import MODEL_FREE, MODEL_FREE_AGENT, MODEL_FREE_NAMESAKES, OURS_TO_PUBLISHED, PAPER_TABLES, PaperTable
from xtra_analysis.sections.cells import cell_text
from xtra_analysis.sections.games import game_scores

PROTOCOL = "atari100k"
"""Published scores are of this protocol; beside another one's they would mislead."""
SHOWN = ("EfficientZero", "EfficientZero (as reported in XTRA)", "XTRA")
UNVERIFIED_MARK = "\u00a0†"
WARNING = (
    "Published numbers were measured by others, with other code; none enters an estimate of this report. Those marked "
    "recollected, unverified could not be read in any source and may be wrong."
)


def published(findings: Findings) -> Section | None:
    """Bars per game and the paper's tables for EfficientZero and what builds on it, a table for the model-free agents."""
    scores = game_scores(findings.study)
    if findings.study.info.protocol != PROTOCOL:
        return None
    blocks = [*_bars(scores, findings), *_model_free(scores, findings)]
    layouts = [layout for layout in PAPER_TABLES if layout.groups_within(set(scores["game"]))]
    blocks += [_paper_table(layout, scores, findings) for layout in layouts]
    return Section("published", "Beside published scores", [Paragraph(WARNING, warning=True), *blocks]) if blocks else None


def _bars(scores: pd.DataFrame, findings: Findings) -> list[Table | Picture]:
    agents = {method.name: method.agent for method in findings.study.info.methods}
    names = [name for name in (findings.study.baseline, findings.primary) if name and agents[name] != MODEL_FREE_AGENT]
    ours = scores[scores["method"].isin(names)]
    theirs = [one for one in published_scores() if one.method in SHOWN and one.game in set(ours["game"])]
    if not theirs:
        return []
    return [
        Picture(
            "published",
            figures.published_bars(ours, theirs),
            "Bar charts, one per game: our mean scores, then published ones; unverified ones are hatched.",
            "Mean raw score in each game; whiskers: standard deviation over seeds, if known. Hatched: recollected, unverified.",
        )
    ]


def _model_free(scores: pd.DataFrame, findings: Findings) -> list[Table | Picture]:
    """Ours that have a published namesake, then what model-free agents scored elsewhere. A variant of ours has no namesake."""
    methods = findings.study.info.methods
    namesakes = [m.name for m in methods if m.agent == MODEL_FREE_AGENT and m.name.casefold() in MODEL_FREE_NAMESAKES]
    ours = scores[scores["method"].isin(namesakes)]
    rows = [(row.game, f"{row.method}, ours", row.mean, "ours") for row in ours.itertuples()]
    rows += [
        (one.game, one.method, one.score, one.trust)
        for name in MODEL_FREE
        for one in published_scores()
        if one.method == name and one.game in set(ours["game"])
    ]
    frame = pd.DataFrame(rows, columns=["game", "method", "score", "trust"])
    if ours.empty or (frame["trust"] == "ours").all():
        return []
    cells = {(row.game, row.method): _marked(row.score, row.trust) for row in frame.itertuples()}
    columns = [Column("Game", lambda row: row.game, numeric=False)]
    columns += [Column(name, partial(cell_text, cells, name)) for name in frame["method"].unique()]
    notes = [
        "Mean raw scores. Methods of ours without a published namesake are not in this table.",
        f"{UNVERIFIED_MARK.strip()}: {RECOLLECTED}.",
    ]
    page = pd.DataFrame({"game": sorted(ours["game"].unique())})
    return [Table("published_model_free", "Model-free agents", page, columns, notes, csv=frame)]


def _marked(score: float, trust: str) -> str:
    return number(score) + (UNVERIFIED_MARK if trust == "recollected" else "")


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
