"""What a report is made of: sections of paragraphs, tables and pictures. The template draws them; text is escaped there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.svg import to_svg


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
