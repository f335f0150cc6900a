"""Performance profiles."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.figures.curves import legend_handles
from xtra_analysis.palette import looks
from xtra_analysis.style import new_figure, xtra_style


def profiles(table: pd.DataFrame, emphasis: Sequence[str] | None = None) -> Figure:
    """Of `performance_profiles`' rows: share of runs above each score; bands for the methods of `emphasis` (default: all)."""
    methods = list(dict.fromkeys(table["method"]))
    strong = set(methods if emphasis is None else emphasis)
    drawn = looks(methods)
    with xtra_style():
        figure = new_figure(7.6, 4.2)
        axes = figure.subplots()
        for method in methods:
            part, color = table[table["method"] == method], drawn[method].color
            axes.step(part["threshold"], part["share"], where="post", color=color, linewidth=2.0 if method in strong else 1.0)
            if method in strong:
                axes.fill_between(part["threshold"], part["low"], part["high"], step="post", color=color, alpha=0.14, linewidth=0)
        axes.set(xlabel="Normalized score τ", ylabel="Share of runs above τ", ylim=(-0.02, 1.02))
        figure.legend(handles=legend_handles(drawn, markers=False), loc="outside right center")
    return figure
