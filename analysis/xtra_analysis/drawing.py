"""One style for every figure, one look per method, and the marks that several figures share."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from xtra_analysis.text import method_class, short

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
    "#79b224", "#6b1515", "#3fa7d6", "#a33cc7", "#276b15", "#dda514",
    "#d92b93", "#00897b", "#4f46dd", "#8c5a2b", "#431f4c", "#e59a82",
)  # fmt: skip
"""Spread over hue and lightness."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
DASHES: tuple[Any, ...] = ("-", (0, (4.5, 1.2)), (0, (1.4, 1.1)))
"""Lines of the first methods that share a colour, of the second, of the third."""
LEAST_DISTANCE = 0.12
"""Least `color_distance` between methods that stand together, as long as the palette allows."""


MAX_COLUMNS = 4
"""Most panels beside one another in a figure."""
LEAST_SPAN = 0.1
"""Least span of a vertical axis, relative to its values (or to 1): a flat curve must look flat, not like noise under a lens."""


@dataclass(frozen=True)
class Look:
    """The look of a method in figures; `dash` is a line style of matplotlib's."""

    color: str
    marker: str
    dash: Any = "-"


_COMPANY: ContextVar[tuple[str, ...]] = ContextVar("company", default=())


@contextmanager
def in_company(methods: Sequence[str]) -> Iterator[None]:
    """Inside, methods look as they do among all of these, whichever of them a figure shows."""
    token = _COMPANY.set(tuple(methods))
    try:
        yield
    finally:
        _COMPANY.reset(token)


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Chooses a look for each method: no two of one colour and dash, and colours as unlike as the palette allows.

    Equal sets of names look equal in every report, whatever their order. A name keeps its look in other company too where nothing
    stands in the way.
    """
    company = _COMPANY.get()
    together = company if set(methods) <= set(company) else methods
    result: dict[str, Look] = {}
    chosen = [color for name in together if (color := FIXED.get(name.casefold()))]
    for name in sorted(together, key=lambda name: (name.casefold(), name)):
        first = zlib.crc32(name.casefold().encode()) % len(PALETTE)
        color = FIXED.get(name.casefold())
        if color is None:
            color = _unlike(chosen, PALETTE[first:] + PALETTE[:first])
            chosen.append(color)
        dash = DASHES[(chosen.count(color) - 1) % len(DASHES)]
        result[name] = Look(color, _unused([look.marker for look in result.values()], MARKERS[first:] + MARKERS[:first]), dash)
    return {name: result[name] for name in methods}


def _unlike(taken: Sequence[str], candidates: Sequence[str]) -> str:
    """Returns the first candidate that differs enough from all taken colours; else the one that differs most of those used
    least."""

    def nearest(color: str) -> float:
        return min((color_distance(color, other) for other in taken), default=1.0)

    fewest = min(taken.count(color) for color in candidates)
    unused = [color for color in candidates if taken.count(color) == fewest]
    return next((color for color in unused if nearest(color) >= LEAST_DISTANCE), max(unused, key=nearest))


def _unused(taken: Sequence[str], candidates: Sequence[str]) -> str:
    return min(candidates, key=taken.count)


@cache
def color_distance(one: str, other: str) -> float:
    """Measures how unlike two colours look, to most people and to those with deuteranopia, whichever is less.

    Euclidean in OKLab (Ottosson, 2020), where black and white are 1 apart; deuteranopia after Machado et al. (2009).
    """
    difference = _oklab(one) - _oklab(other)
    return float(np.linalg.norm(difference, axis=-1).min())


@cache
def _oklab(color: str) -> NDArray[np.float64]:
    """Returns the OKLab coordinates of a colour as most people see it and as those with deuteranopia do: `[2, 3]`."""
    encoded = np.array(to_rgb(color))
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.stack([linear, np.clip(DEUTERANOPIA @ linear, 0.0, 1.0)])
    return np.asarray(np.cbrt(seen @ RGB_TO_LMS.T) @ LMS_TO_OKLAB.T)


DEUTERANOPIA = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LMS_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


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
    """Sets seaborn's `ticks` with our settings, for figures made or saved inside.

    Settings of a matplotlibrc or of the caller do not apply inside, and are restored afterwards.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(sns.axes_style("ticks"))
        mpl.rcParams.update(RC)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Makes a figure, sized in inches, that no pyplot state knows of."""
    return Figure(figsize=(width, height), layout="constrained")


def mark(artist: Artist, method: str) -> None:
    """Marks an artist as a method's, so that the page can hide it with the method."""
    artist.set_gid(method_class(method))


NARROWEST, WIDEST, WIDENING, WEAK = 1.6, 3.4, 0.7, 0.9
"""Line widths in points: of the top one of several lines; of the lowest and of a line over the next above, at most; of lines that
are not stressed."""
MARKS_PER_LINE = 6


@dataclass(frozen=True)
class Curve:
    """A method's line on one panel: `x` and `y` of equal length."""

    method: str
    x: Sequence[float]
    y: Sequence[float]


def draw_curves(
    axes: Axes,
    curves: Sequence[Curve],
    drawn: Mapping[str, Look],
    emphasis: Sequence[str] | None = None,
    drawstyle: Literal["default", "steps-post"] = "default",
) -> None:
    """Draws lines so that none hides another: each is narrower than those below it, and its markers are at other places.

    emphasis: methods with wide lines (None: all); the others lie above them, thin.
    """
    strong = [curve for curve in curves if emphasis is None or curve.method in emphasis]
    weak = [curve for curve in curves if curve not in strong]
    widening = min(WIDENING, (WIDEST - NARROWEST) / max(1, len(strong) - 1))
    widths = [NARROWEST + widening * above for above in reversed(range(len(strong)))]
    for place, (curve, width) in enumerate([*zip(strong, widths, strict=True), *((curve, WEAK) for curve in weak)]):
        look = drawn[curve.method]
        step = max(1, len(curve.x) // MARKS_PER_LINE)
        (line,) = axes.plot(
            curve.x, curve.y, color=look.color, linestyle=look.dash, linewidth=width, drawstyle=drawstyle, marker=look.marker,
            markersize=2.6 + 1.3 * width, markeredgecolor="white", markeredgewidth=0.5,
            markevery=(place * step // len(curves), step), zorder=2 + 0.01 * place,
        )  # fmt: skip
        mark(line, curve.method)


def draw_band(
    axes: Axes, x: Iterable[float], part: pd.DataFrame, method: str, look: Look, step: Literal["post"] | None = None
) -> None:
    """Fills between `low` and `high` of a method."""
    mark(axes.fill_between(list(x), part["low"], part["high"], color=look.color, alpha=0.13, linewidth=0, step=step), method)


def interval_rows(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    """Draws points with intervals, one row per method, the first on top."""
    drawn = looks(methods)
    for row in rows.itertuples(index=False):
        place, look = [methods.index(row.method)] * 2, drawn[row.method]
        bounds: dict[str, Any] = {"color": look.color, "solid_capstyle": "butt"}
        point: dict[str, Any] = {
            "marker": look.marker,
            "color": look.color,
            "markersize": 6.5,
            "markeredgecolor": "white",
            "markeredgewidth": 0.7,
        }
        artists = [
            *axes.plot([row.low, row.high], place, linewidth=1.3, **bounds),
            *axes.plot([row.percentile_low, row.percentile_high], place, linewidth=4.5, alpha=0.35, **bounds),
            *axes.plot(row.estimate, place[0], **point),
        ]
        for artist in artists:
            mark(artist, row.method)
    axes.set_yticks(range(len(methods)), labels=[short(method) for method in methods])
    for tick, method in zip(axes.yaxis.get_major_ticks(), methods, strict=True):
        mark(tick.label1, method)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def reference_line(axes: Axes, at: float, vertical: bool = True) -> None:
    """Draws a quiet line at a value that means something, such as 1."""
    draw = axes.axvline if vertical else axes.axhline
    draw(at, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0.5)


def legend_handles(drawn: Mapping[str, Look]) -> list[Line2D]:
    """Makes a line with its marker for each method."""
    handles = []
    for method, look in drawn.items():
        line = Line2D(
            [], [], color=look.color, linestyle=look.dash, marker=look.marker, label=short(method), markeredgecolor="white"
        )
        mark(line, method)
        handles.append(line)
    return handles


def add_legend(
    figure: Figure, handles: Sequence[Line2D], place: Literal["outside upper left", "outside right center"] = "outside upper left"
) -> None:
    """Puts a legend above the panels, in as many columns as the longest label allows, or at the right in one."""
    columns = _legend_columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
    legend = figure.legend(handles=handles, loc=place, ncols=columns if "upper" in place else 1)
    for handle, line, text in zip(handles, legend.get_lines(), legend.get_texts(), strict=True):
        for artist in (line, text):
            artist.set_gid(handle.get_gid())


def legend_height(drawn: Mapping[str, Look], width: float) -> float:
    """Returns the inches that a legend above the panels of a figure of that width takes beyond its first row."""
    labels = [short(method) for method in drawn]
    return 0.2 * (math.ceil(len(labels) / _legend_columns(labels, width)) - 1)


def _legend_columns(labels: Sequence[str], width: float) -> int:
    return max(1, min(len(labels), int(width / (0.55 + 0.085 * max(map(len, labels))))))


def label_steps(axes: Axes) -> None:
    """Labels 100,000 steps as 100k."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}")
    axes.locator_params(axis="x", nbins=5)


def widen(axes: Axes) -> None:
    """Gives the vertical axis its least span, around the values that are drawn."""
    low, high = axes.get_ylim()
    middle, reach = 0.5 * (low + high), 0.5 * LEAST_SPAN * max(1.0, abs(low), abs(high))
    axes.set_ylim(min(low, middle - reach), max(high, middle + reach))
