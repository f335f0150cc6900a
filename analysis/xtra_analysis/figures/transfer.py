"""XTRA's own pictures: task weights over time, and how similar the gradients of source and target games are."""

from __future__ import annotations

import math

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xtra_analysis.figures.curves import MAX_COLUMNS, add_legend, label_steps, legend_handles
from xtra_analysis.palette import Look, looks, short
from xtra_analysis.style import new_figure, xtra_style


def task_weights(table: pd.DataFrame) -> Figure:
    """Rows of the table `task_weights` of one method: one panel per target game, one line per source game, mean over seeds.

    Bands reach from the lowest to the highest seed.
    """
    games, sources = sorted(table["game"].unique()), sorted(table["source_game"].unique())
    drawn = looks(sources)
    width = min(len(games), MAX_COLUMNS)
    height = math.ceil(len(games) / width)
    with xtra_style():
        figure = new_figure(max(2.6 * width, 5.5), 2.1 * height + 0.8)
        panels = figure.subplots(height, width, squeeze=False, sharex=True, sharey=True)
        for axes, game in zip(panels.flat, games, strict=False):
            for source, part in table[table["game"] == game].groupby("source_game"):
                _draw_source(axes, part, drawn[str(source)])
            axes.set_title(short(game, 20))
            axes.set_ylim(-0.04, max(1.0, float(table["weight"].max())) + 0.04)
            label_steps(axes)
            axes.tick_params(labelbottom=True)
        for axes in panels.flat[len(games) :]:
            axes.set_visible(False)
        figure.supxlabel("Updates", fontsize=10.5)
        figure.supylabel("Task weight", fontsize=10.5)
        add_legend(figure, legend_handles(drawn))
    return figure


def _draw_source(axes: Axes, part: pd.DataFrame, look: Look) -> None:
    over_seeds = part.groupby("updates")["weight"].agg(["mean", "min", "max"])
    axes.plot(over_seeds.index, over_seeds["mean"], color=look.color, marker=look.marker, markersize=3.5, linewidth=1.4)
    axes.fill_between(over_seeds.index, over_seeds["min"], over_seeds["max"], color=look.color, alpha=0.12, linewidth=0)


def gradient_similarity(table: pd.DataFrame) -> Figure:
    """Rows of the table `task_weights` of one method: a heat map of source × target games, mean cosine over seeds and updates."""
    matrix = table.pivot_table(index="source_game", columns="game", values="gradient_similarity", aggfunc="mean")
    reach = max(0.05, float(matrix.abs().max().max()))
    with xtra_style():
        figure = new_figure(2.6 + 0.72 * matrix.shape[1], 1.5 + 0.42 * matrix.shape[0])
        axes = figure.subplots()
        sns.heatmap(
            matrix, ax=axes, annot=True, fmt=".2f", cmap="PuOr_r", vmin=-reach, vmax=reach, linewidths=1.5, linecolor="white",
            cbar_kws={"label": "Mean cosine of gradients", "shrink": 0.85}, annot_kws={"size": 9},
        )  # fmt: skip
        axes.set(xlabel="Target game", ylabel="Source game")
        axes.grid(visible=False)
        axes.tick_params(length=0, rotation=0)
        axes.set_xticklabels([short(game, 20) for game in matrix.columns], rotation=35, ha="right")
        axes.set_yticklabels([short(game, 20) for game in matrix.index])
    return figure
