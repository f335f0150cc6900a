"""Our scores beside published ones, and the layout of the paper's tables."""

from __future__ import annotations

from typing import Any

import pandas as pd

from xtra.protocol.scores import PublishedScore, published_scores
from xtra_analysis import figures
from xtra_analysis.content import Column, Paragraph, Picture, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import NONE, number
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
    layouts = [layout for layout in PAPER_TABLES if set(layout.games) & set(scores["game"])]
    blocks += [_paper_table(layout, scores, findings, theirs) for layout in layouts]
    return Section("published", "Beside published scores", blocks)


def _paper_table(layout: PaperTable, scores: pd.DataFrame, findings: Findings, theirs: list[PublishedScore]) -> Table:
    methods = [name for name in (findings.study.baseline, findings.primary) if name]
    means = scores.set_index(["game", "method"])
    known = {(one.game, one.method): one for one in theirs}
    rows = []
    for group, games in layout.groups.items():
        for game in games:
            row: dict[str, Any] = {"group": group, "game": game}
            for name in methods:
                here = (game, name) in means.index
                row[f"{name} (ours)"] = means.loc[(game, name), "mean"] if here else float("nan")
                row[f"{name} (ours) seeds"] = int(means.loc[(game, name), "num_runs"]) if here else 0
                reported = known.get((game, OURS_TO_PUBLISHED.get(name.casefold(), "")))
                row[f"{name} (paper, recollected, unverified)"] = reported.score if reported else float("nan")
            rows.append(row)
    frame = pd.DataFrame(rows)
    columns = [Column("Genre", lambda row: row[0], numeric=False), Column("Game", lambda row: row[1], numeric=False)]
    columns += [_value_column(frame, heading) for heading in frame.columns[2:]]
    return Table(layout.name, layout.title, frame, columns)


def _value_column(frame: pd.DataFrame, heading: str) -> Column:
    place = list(frame.columns).index(heading)
    if heading.endswith("seeds"):
        return Column("Seeds", lambda row: str(row[place]))
    return Column(heading, lambda row: NONE if pd.isna(row[place]) else number(row[place]))
