"""One style for every figure, one look per method, and the marks that several figures share."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xtra_analysis.text import short

INK = "#1f2933"
MUTED = "#7b8794"
RULE = "#d9dee4"
PAPER = "#ffffff"
FAINT = "#c3cad2"
FIXED = {
    "xtra": "#c4432b",
    "efficientzero": "#2b4c7e",
    "random": "#9aa5b1",
    "human": "#52606d",
}
PALETTE = (
    "#117733", "#882255", "#44aa99", "#ddaa33", "#aa4499", "#56a0d3",
    "#999933", "#cc6677", "#6b4fa0", "#8c5a2b", "#00798c", "#3d5a1e",
)  # fmt: skip
"""After Paul Tol's muted scheme, darkened for thin lines on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")


MAX_COLUMNS = 4
"""Of panels in a figure."""
LEAST_SPAN = 0.1
"""Of a vertical axis, relative to its values (or to 1): a flat curve must look flat, not like noise under a lens."""


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    color: str
    marker: str


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """A look for each method; equal names look equal in every report, whatever the order of the methods."""
    taken: set[int] = set()
    result: dict[str, Look] = {}
    for name in sorted(methods, key=str.casefold):
        place = zlib.crc32(name.casefold().encode()) % len(PALETTE)
        fixed = FIXED.get(name.casefold())
        if fixed is None:
            while place in taken and len(taken) < len(PALETTE):
                place = (place + 1) % len(PALETTE)
            taken.add(place)
        result[name] = Look(fixed or PALETTE[place], MARKERS[place % len(MARKERS)])
    return {name: result[name] for name in methods}


RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: text is measured alike everywhere
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a method named "$x$" is a name
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",  # text stays text: small, searchable, drawn in the page's font
}


@contextmanager
def xtra_style() -> Iterator[None]:
    """seaborn's `ticks` with our settings, for figures made or saved inside.

    What a matplotlibrc or the caller has set counts for nothing inside, and is there again afterwards.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(sns.axes_style("ticks"))
        mpl.rcParams.update(RC)
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches that no pyplot state knows of."""
    return Figure(figsize=(width, height), layout="constrained")


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
