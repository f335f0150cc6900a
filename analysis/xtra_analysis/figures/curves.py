"""Score over env steps: one panel per game, or the IQM over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xtra_analysis.figures.aggregates import reference_line
from xtra_analysis.palette import FAINT, Look, looks, short
from xtra_analysis.style import new_figure, xtra_style

MAX_COLUMNS = 4
LEAST_SPAN = 0.1
"""Of a vertical axis, relative to its values (or to 1): a flat curve must look flat, not like noise under a lens."""


def learning_curves(
    curves: pd.DataFrame, value: str = "score", label: str = "Return", emphasis: Sequence[str] | None = None
) -> Figure:
    """One panel per game: the mean over runs of each method; thin lines are the runs of those of `emphasis` (default: all)."""
    games = sorted(curves["game"].unique())
    methods = list(dict.fromkeys(curves["method"]))
    drawn = looks(methods)
    width = min(len(games), MAX_COLUMNS)
    height = math.ceil(len(games) / width)
    with xtra_style():
        figure = new_figure(max(2.75 * width, 5.5), 2.25 * height + 0.55)
        panels = figure.subplots(height, width, squeeze=False)
        for axes, game in zip(panels.flat, games, strict=False):
            _draw_game(axes, curves[curves["game"] == game], value, drawn, methods if emphasis is None else emphasis)
            axes.set_title(short(game, 20))
        for axes in panels.flat[len(games) :]:
            axes.set_visible(False)
        figure.supxlabel("Env steps", fontsize=10.5)
        figure.supylabel(label, fontsize=10.5)
        add_legend(figure, legend_handles(drawn))
    return figure


def sample_efficiency(
    points: pd.DataFrame,
    x: str = "env_steps",
    x_label: str = "Env steps",
    y_label: str = "IQM, normalized score",
    emphasis: Sequence[str] | None = None,
    reference: float | None = None,
) -> Figure:
    """The estimate of each method over `x`; those of `emphasis` (default: all) with their 95 % interval, others thin."""
    methods = list(dict.fromkeys(points["method"]))
    strong = [name for name in methods if emphasis is None or name in emphasis]
    drawn = looks(methods)
    with xtra_style():
        figure = new_figure(5.3, 3.7)
        axes = figure.subplots()
        for method in (name for name in methods if name not in strong):
            part = points[points["method"] == method]
            axes.plot(part[x], part["estimate"], color=FAINT, linewidth=1.0)
        for method in strong:
            part = points[points["method"] == method]
            draw_band(axes, part[x], part, drawn[method])
        if reference is not None:
            reference_line(axes, reference, vertical=False)
        label_steps(axes)
        widen(axes)
        axes.set(xlabel=x_label, ylabel=short(y_label, 40))
        handles = legend_handles({name: drawn[name] for name in strong})
        if len(strong) < len(methods):
            handles.append(Line2D([], [], color=FAINT, linewidth=1.0, label="other methods"))
        add_legend(figure, handles)
    return figure


def draw_band(axes: Axes, x: Iterable[float], part: pd.DataFrame, look: Look) -> None:
    """A line through `estimate` with the interval `low` … `high` around it."""
    places = list(x)
    marker = look.marker if len(places) <= 12 else None
    axes.plot(places, part["estimate"], color=look.color, marker=marker, markeredgecolor="white", markeredgewidth=0.6)
    axes.fill_between(places, part["low"], part["high"], color=look.color, alpha=0.14, linewidth=0)


def legend_handles(drawn: dict[str, Look], markers: bool = True) -> list[Line2D]:
    """A line for each method, with its marker if lines have them."""
    return [
        Line2D([], [], color=look.color, marker=look.marker if markers else None, label=short(method), markeredgecolor="white")
        for method, look in drawn.items()
    ]


def add_legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Above the panels, in as many columns as the longest label allows."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), int(figure.get_figwidth() / (0.55 + 0.085 * longest))))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)


def label_steps(axes: Axes) -> None:
    """100,000 steps read as 100k."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}")
    axes.locator_params(axis="x", nbins=5)


def widen(axes: Axes) -> None:
    """Gives the vertical axis its least span, around what is drawn."""
    low, high = axes.get_ylim()
    middle, reach = 0.5 * (low + high), 0.5 * LEAST_SPAN * max(1.0, abs(low), abs(high))
    axes.set_ylim(min(low, middle - reach), max(high, middle + reach))


def _draw_game(axes: Axes, rows: pd.DataFrame, value: str, drawn: dict[str, Look], strong: Sequence[str]) -> None:
    for method, part in rows.groupby("method", sort=False):
        color, stressed = drawn[str(method)].color, method in strong
        for _, run in part.groupby("seed") if stressed else ():
            ordered = run.sort_values("env_steps")
            axes.plot(ordered["env_steps"], ordered[value], color=color, linewidth=0.7, alpha=0.3)
        average = part.groupby("env_steps")[value].mean()
        axes.plot(average.index, average, color=color, linewidth=2.0 if stressed else 0.9, zorder=3 if stressed else 2)
    label_steps(axes)
    widen(axes)
    axes.locator_params(axis="y", nbins=4)
