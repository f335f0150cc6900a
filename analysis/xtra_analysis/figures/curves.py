"""Score over env steps: one panel per game, or the IQM over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xtra_analysis.palette import Look, looks
from xtra_analysis.style import new_figure, xtra_style

MAX_COLUMNS = 4


def learning_curves(curves: pd.DataFrame, value: str = "score", label: str = "Return") -> Figure:
    """One panel per game: the mean over runs of each method (thick) and each run (thin)."""
    games = sorted(curves["game"].unique())
    methods = list(dict.fromkeys(curves["method"]))
    drawn = looks(methods)
    width = min(len(games), MAX_COLUMNS)
    height = math.ceil(len(games) / width)
    with xtra_style():
        figure = new_figure(max(2.75 * width, 5.5), 2.25 * height + 0.55)
        panels = figure.subplots(height, width, squeeze=False)
        for axes, game in zip(panels.flat, games, strict=False):
            _draw_game(axes, curves[curves["game"] == game], value, drawn)
            axes.set_title(game)
        for axes in panels.flat[len(games) :]:
            axes.set_visible(False)
        figure.supxlabel("Env steps", fontsize=10.5)
        figure.supylabel(label, fontsize=10.5)
        figure.legend(handles=legend_handles(drawn), loc="outside upper left", ncols=min(6, len(methods)))
    return figure


def sample_efficiency(
    points: pd.DataFrame, x: str = "env_steps", x_label: str = "Env steps", y_label: str = "IQM, normalized score"
) -> Figure:
    """The estimate of each method over `x`, with its small-sample 95 % interval as a band."""
    methods = list(dict.fromkeys(points["method"]))
    drawn = looks(methods)
    with xtra_style():
        figure = new_figure(6.0, 4.0)
        axes = figure.subplots()
        for method in methods:
            part = points[points["method"] == method]
            draw_band(axes, part[x], part, drawn[method])
        label_steps(axes)
        axes.set(xlabel=x_label, ylabel=y_label)
        figure.legend(handles=legend_handles(drawn), loc="outside upper left", ncols=3)
    return figure


def draw_band(axes: Axes, x: Iterable[float], part: pd.DataFrame, look: Look) -> None:
    """A line through `estimate` with the interval `low` … `high` around it."""
    places = list(x)
    marker = look.marker if len(places) <= 12 else None
    axes.plot(places, part["estimate"], color=look.color, marker=marker, markeredgecolor="white", markeredgewidth=0.6)
    axes.fill_between(places, part["low"], part["high"], color=look.color, alpha=0.14, linewidth=0)


def legend_handles(drawn: dict[str, Look]) -> list[Line2D]:
    """A line with marker for each method."""
    return [
        Line2D([], [], color=look.color, marker=look.marker, label=method, markeredgecolor="white", markeredgewidth=0.6)
        for method, look in drawn.items()
    ]


def label_steps(axes: Axes) -> None:
    """100,000 steps read as 100k."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}")
    axes.locator_params(axis="x", nbins=5)


def _draw_game(axes: Axes, rows: pd.DataFrame, value: str, drawn: dict[str, Look]) -> None:
    for method, part in rows.groupby("method", sort=False):
        color = drawn[str(method)].color
        for _, run in part.groupby("seed"):
            ordered = run.sort_values("env_steps")
            axes.plot(ordered["env_steps"], ordered[value], color=color, linewidth=0.7, alpha=0.3)
        average = part.groupby("env_steps")[value].mean()
        axes.plot(average.index, average, color=color)
    label_steps(axes)
    axes.locator_params(axis="y", nbins=4)
