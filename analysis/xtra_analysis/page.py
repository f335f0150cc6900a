"""What a report is made of: sections of paragraphs, tables and pictures. The template draws them; text is escaped there."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from xml.etree import ElementTree

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.drawing import xtra_style


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, how a row's text is made, and whether it is set as a number."""

    heading: str
    text: Callable[[Any], str]
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table: `columns` make the page's text from each row of `frame`; the CSV file of that name holds `csv`, or `frame`."""

    name: str
    title: str
    frame: pd.DataFrame
    columns: Sequence[Column]
    notes: Sequence[str] = ()
    csv: pd.DataFrame | None = None
    kind: Literal["table"] = "table"

    @property
    def rows(self) -> list[list[str]]:
        return [[column.text(row) for column in self.columns] for row in self.frame.itertuples(index=False)]


@dataclass(frozen=True)
class Picture:
    """A figure: `alt` says in words what it shows, `caption` what to see in it. If `folded`, it opens on a click."""

    name: str
    figure: Figure
    alt: str
    caption: str
    wide: bool = True
    folded: bool = False
    kind: Literal["picture"] = "picture"

    @cached_property
    def svg(self) -> str:
        return to_svg(self.figure, self.name, self.alt)

    @property
    def width(self) -> int:
        """Natural width in CSS pixels: a figure is never drawn larger."""
        return round(float(self.figure.get_figwidth()) * 96 * 1.15)


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `warning` sets it apart."""

    text: str
    warning: bool = False
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True)
class Section:
    """A titled part of the report; `name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[Table | Picture | Paragraph] = field(default_factory=list)


SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
COORDINATES = ("d", "x", "y", "width", "height", "transform", "points")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an SVG element with ids of its own (prefix `name`), a text for screen readers, and no date.

    Raises nothing for odd labels: they are text nodes, escaped by the XML writer.
    """
    buffer = io.BytesIO()
    with xtra_style():
        mpl.rcParams["svg.hashsalt"] = name
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
