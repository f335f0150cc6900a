"""Our scores beside published ones, and the layout of the paper's tables. Numbers nobody could check say so.

The paper's tables could not be read: the game lists are recollections too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xtra.protocol.scores import PublishedScore, published_scores
from xtra_analysis.columns import cell_text
from xtra_analysis.drawing import FAINT, MUTED, looks, new_figure, xtra_style
from xtra_analysis.findings import Findings
from xtra_analysis.games import game_scores
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.text import number, short

OURS_TO_PUBLISHED = {"efficientzero": "EfficientZero (as reported in XTRA)", "xtra": "XTRA"}
"""Published rows that our methods, by case-folded name, stand beside in the paper's layout."""
MODEL_FREE_AGENT = "curl"
MODEL_FREE_NAMESAKES = ("curl", "der")
"""Methods of that agent, by case-folded name, that are what others published; DER with shifted frames is not DrQ."""
MODEL_FREE = (
    "CURL (original paper value)",
    "CURL (rliable re-evaluation)",
    "DER (original paper value)",
    "DrQ(eps) (rliable re-evaluation)",
    "SPR (rliable re-evaluation)",
)
"""Published model-free scores that stand beside them."""


@dataclass(frozen=True)
class PaperTable:
    """A results table of the paper: its groups of target games, in order, and whether recollected scores belong to it."""

    name: str
    title: str
    groups: Mapping[str, tuple[str, ...]]
    recollected: bool

    def groups_within(self, games: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Returns the groups of which every game is among `games`."""
        return {name: group for name, group in self.groups.items() if set(group) <= set(games)}


PAPER_TABLES = (
    PaperTable(
        "paper_table_1",
        "Similar pretraining games (layout of the paper's Table 1)",
        {
            "Shooter": ("Assault", "Carnival", "Centipede", "DemonAttack", "Phoenix"),
            "Maze": ("Alien", "Amidar", "BankHeist", "MsPacman", "WizardOfWor"),
        },
        recollected=True,
    ),
    PaperTable(
        "paper_table_2",
        "Diverse pretraining games (layout of the paper's Table 2)",
        {"Diverse": ("Assault", "BattleZone", "Hero", "Krull", "Seaquest")},
        recollected=False,
    ),
)
PER_ROW = 3
RECOLLECTED = "recollected, unverified"


def plot_published(ours: pd.DataFrame, published: Sequence[PublishedScore]) -> Figure:
    """Draws one panel per game: our methods (`mean` ± `std` of each `game`, `method`), then published scores."""
    games = sorted(ours["game"].unique())
    drawn = looks(list(dict.fromkeys(ours["method"])))
    rows = {game: sum(one.game == game for one in published) + len(drawn) for game in games}
    width = min(PER_ROW, len(games))
    height = math.ceil(len(games) / width)
    with xtra_style():
        figure = new_figure(4.3 * width, height * (0.7 + 0.27 * max(rows.values())))
        panels = figure.subplots(height, width, squeeze=False)
        for axes, game in zip(panels.flat, games, strict=False):
            labels = _our_bars(axes, ours[ours["game"] == game], {name: look.color for name, look in drawn.items()})
            labels += _their_bars(axes, [one for one in published if one.game == game], len(labels))
            axes.set_yticks(range(len(labels)), labels=labels)
            axes.invert_yaxis()
            axes.set_title(short(game))
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0, labelsize=8.5)
            axes.locator_params(axis="x", nbins=4)
        for axes in panels.flat[len(games) :]:
            axes.set_visible(False)
    return figure


def _our_bars(axes: Axes, rows: pd.DataFrame, colors: dict[str, str]) -> list[str]:
    for place, row in enumerate(rows.itertuples(index=False)):
        axes.barh(place, row.mean, color=colors[row.method], height=0.7)
        axes.errorbar(row.mean, place, xerr=row.std, color="black", linewidth=0.9, capsize=2)
    return [f"{short(row.method)} (ours)" for row in rows.itertuples(index=False)]


def _their_bars(axes: Axes, scores: Sequence[PublishedScore], first: int) -> list[str]:
    labels = []
    for place, one in enumerate(scores, start=first):
        recollected = one.trust == "recollected"
        bar = axes.barh(place, one.score, height=0.7, color=FAINT)[0]
        if recollected:
            bar.set(facecolor="white", edgecolor=MUTED, hatch="////")
        if one.std is not None:
            axes.errorbar(one.score, place, xerr=one.std, color=MUTED, linewidth=0.9, capsize=2)
        labels.append(f"{one.method}\n({RECOLLECTED})" if recollected else one.method)
    return labels


PROTOCOL = "atari100k"
"""Published scores are of this protocol; beside another one's they would mislead."""
SHOWN = ("EfficientZero", "EfficientZero (as reported in XTRA)", "XTRA")
UNVERIFIED_MARK = "\u00a0†"
WARNING = (
    "Published numbers were measured by others, with other code; none enters an estimate of this report. Those marked "
    "recollected, unverified could not be read in any source and may be wrong."
)


def published_section(findings: Findings) -> Section | None:
    """Shows bars per game and the paper's tables for EfficientZero and what builds on it, and a table for the model-free
    agents."""
    scores = game_scores(findings.study)
    if findings.study.record.protocol != PROTOCOL:
        return None
    blocks = [*_bars(scores, findings), *_model_free(scores, findings)]
    layouts = [layout for layout in PAPER_TABLES if layout.groups_within(set(scores["game"]))]
    blocks += [_paper_table(layout, scores, findings) for layout in layouts]
    return Section("published", "Beside published scores", [Paragraph(WARNING, warning=True), *blocks]) if blocks else None


def _bars(scores: pd.DataFrame, findings: Findings) -> list[Table | Picture]:
    agents = {method.name: method.agent for method in findings.study.record.methods}
    names = [name for name in (findings.study.baseline, findings.primary) if name and agents[name] != MODEL_FREE_AGENT]
    ours = scores[scores["method"].isin(names)]
    others = [one for one in published_scores() if one.method in SHOWN and one.game in set(ours["game"])]
    if not others:
        return []
    return [
        Picture(
            "published",
            plot_published(ours, others),
            "Bar charts, one per game: our mean scores, then published ones; unverified ones are hatched.",
            "Mean raw score in each game; whiskers: standard deviation over seeds, if known. Hatched: recollected, unverified.",
            _drawn(ours, others),
        )
    ]


def _drawn(ours: pd.DataFrame, others: Sequence[PublishedScore]) -> pd.DataFrame:
    """Tells what the bars show."""
    rows = [(row.game, row.method, "ours", row.mean, row.std) for row in ours.itertuples()]
    rows += [(one.game, one.method, one.trust, one.score, one.std) for one in others]
    return pd.DataFrame(rows, columns=["game", "method", "trust", "score", "std"])


def _model_free(scores: pd.DataFrame, findings: Findings) -> list[Table | Picture]:
    """Lists our methods that have a published namesake, then the scores that model-free agents have elsewhere. A variant of ours
    has no namesake."""
    methods = findings.study.record.methods
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
    others = [OURS_TO_PUBLISHED[name.casefold()] for name in methods if name.casefold() in OURS_TO_PUBLISHED]
    if layout.recollected and others:
        known = {(one.game, one.method): one.score for one in published_scores()}
        for name in others:
            frame[f"{name}, {RECOLLECTED}"] = [known.get((game, name), float("nan")) for game in frame["game"]]
        if len(others) == 2:
            frame[f"ratio, {RECOLLECTED}"] = frame[f"{others[1]}, {RECOLLECTED}"] / frame[f"{others[0]}, {RECOLLECTED}"]
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
