"""The aggregates of each method as points with two intervals."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xtra_analysis.palette import MUTED, looks, short
from xtra_analysis.style import new_figure, xtra_style

TITLES = {"iqm": "IQM", "median": "Median", "mean": "Mean", "optimality_gap": "Optimality gap ↓"}


def aggregates(estimates: pd.DataFrame) -> Figure:
    """One panel per statistic of `estimate`'s rows: thin lines are small-sample intervals, thick ones rliable's."""
    statistics = [name for name in TITLES if name in set(estimates["statistic"])]
    methods = list(dict.fromkeys(estimates["method"]))
    with xtra_style():
        figure = new_figure(2.45 * len(statistics) + 1.2, 0.95 + 0.32 * len(methods))
        panels = figure.subplots(1, len(statistics), sharey=True, squeeze=False)[0]
        for axes, statistic in zip(panels, statistics, strict=True):
            interval_rows(axes, estimates[estimates["statistic"] == statistic], methods)
            axes.set_title(TITLES[statistic])
            axes.locator_params(axis="x", nbins=4)
    return figure


def interval_rows(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    """Points with intervals, one row per method, the first on top."""
    drawn = looks(methods)
    for row in rows.itertuples(index=False):
        place, look = methods.index(row.method), drawn[row.method]
        axes.plot([row.low, row.high], [place, place], color=look.color, linewidth=1.3, solid_capstyle="butt")
        axes.plot(
            [row.percentile_low, row.percentile_high],
            [place, place],
            color=look.color,
            linewidth=4.5,
            alpha=0.35,
            solid_capstyle="butt",
        )
        axes.plot(
            row.estimate,
            place,
            marker=look.marker,
            color=look.color,
            markersize=6.5,
            markeredgecolor="white",
            markeredgewidth=0.7,
        )
    axes.set_yticks(range(len(methods)), labels=[short(method) for method in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def reference_line(axes: Axes, at: float, vertical: bool = True) -> None:
    """A quiet line at a value that means something, such as 1."""
    draw = axes.axvline if vertical else axes.axhline
    draw(at, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0.5)
