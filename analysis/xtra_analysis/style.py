"""One seaborn style for every figure, and SVG text that is the same for the same figure."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

from xtra_analysis.palette import INK, MUTED, PAPER, RULE

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

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
COORDINATES = ("d", "x", "y", "width", "height", "transform", "points")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


@contextmanager
def xtra_style() -> Iterator[None]:
    """seaborn's `ticks` with our settings, for figures made inside; whatever was set outside comes back afterwards."""
    with mpl.rc_context(), sns.axes_style("ticks"):
        mpl.rcParams.update(RC)
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches that no pyplot state knows of."""
    return Figure(figsize=(width, height), layout="constrained")


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an SVG element with ids of its own (prefix `name`), a text for screen readers, and no date.

    Raises nothing for odd labels: they are text nodes, escaped by the XML writer.
    """
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for unwanted in [child for child in root if child.tag.endswith("metadata")]:
        root.remove(unwanted)
    for parent in list(root.iter()):
        for sheet in [child for child in parent if child.tag == f"{{{SVG}}}style"]:
            parent.remove(sheet)  # it would style the whole page
    for element in root.iter():
        _prefix_ids(element, name)
        _shorten_numbers(element)
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _prefix_ids(element: ElementTree.Element, prefix: str) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{prefix}-{value}")
        elif key in ("href", f"{{{XLINK}}}href") and value.startswith("#"):
            element.set(key, f"#{prefix}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, _REFERENCE.sub(lambda match: f"url(#{prefix}-{match[1]})", value))


def _shorten_numbers(element: ElementTree.Element) -> None:
    """A hundredth of a point is finer than any screen; matplotlib's six decimals double the page."""
    for key in COORDINATES:
        if key in element.attrib:
            element.set(key, _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.2f}", element.attrib[key]))
