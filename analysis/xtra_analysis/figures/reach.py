"""After how many env steps a set score was reached."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.figures.aggregates import interval_rows
from xtra_analysis.figures.curves import label_steps
from xtra_analysis.palette import looks
from xtra_analysis.style import new_figure, xtra_style

RUN_OFFSET = 0.28
"""Runs are drawn this far below their method's mean."""


def reach(estimates: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Each method's mean with its intervals, its runs below it; a hollow run never reached the score."""
    methods = list(estimates["method"])
    drawn = looks(methods)
    with xtra_style():
        figure = new_figure(7.2, 0.95 + 0.48 * len(methods))
        axes = figure.subplots()
        interval_rows(axes, estimates, methods)
        for (method, reached), part in runs.groupby(["method", "reached"], sort=False):
            color, place = drawn[method].color, methods.index(method) + RUN_OFFSET
            axes.scatter(
                part["env_steps"],
                [place] * len(part),
                s=18,
                facecolors=color if reached else "none",
                edgecolors=color,
                linewidths=0.9,
                alpha=0.7,
            )
        label_steps(axes)
        axes.set_xlabel("Env steps")
    return figure
