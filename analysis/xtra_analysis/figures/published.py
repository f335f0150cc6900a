"""Our scores beside published ones. Numbers nobody could check are hatched and say so."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xtra.protocol.scores import PublishedScore
from xtra_analysis.palette import FAINT, MUTED, looks, short
from xtra_analysis.style import new_figure, xtra_style

PER_ROW = 3
RECOLLECTED = "recollected, unverified"


def published_bars(ours: pd.DataFrame, published: Sequence[PublishedScore]) -> Figure:
    """One panel per game: our methods (`mean` ± `std` of each `game`, `method`), then published scores."""
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
