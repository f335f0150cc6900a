"""Parts of a report: sections of paragraphs, tables and pictures. The template draws them; text is escaped there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.svg import to_svg
from xtra_analysis.text import method_class, rounded

PAGE_WIDTH = 1104
"""Pixels of a table on the widest page, and on a window of 1,280."""
CHARACTER, PADDING = 7.7, 14.5
"""Pixels of a wide character of a table, and between columns."""
MOST_ROWS = 15
"""A table with more is folded."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, how a row's text is made, and whether it is set as a number.

    value: what a row's text stands for, as a number of which the highest is best (NaN: none); None where nothing is better.
    method: the method that the whole column belongs to; None where it has several.
    """

    heading: str
    text: Callable[[Any], str]
    numeric: bool = True
    value: Callable[[Any], float] | None = None
    method: str | None = None

    @property
    def css(self) -> str:
        """The classes of its cells."""
        return " ".join(["number"] * self.numeric + ([method_class(self.method)] if self.method is not None else []))


@dataclass(frozen=True)
class TableCell:
    """A row's text in one column, and whether it is the best of its column or row."""

    text: str
    best: bool


@dataclass(frozen=True)
class Row:
    """A row of the page's table; `css` is the class of its method, if it has one."""

    css: str
    cells: list[TableCell]


@dataclass(frozen=True)
class Table:
    """A table: `columns` make the page's text from each row of `frame`; the CSV file of that name holds `csv`, or `frame`.

    csv_note: what the CSV file has beyond the page. best: whether values compete down a column or across a row.
    """

    name: str
    title: str
    frame: pd.DataFrame
    columns: Sequence[Column]
    notes: Sequence[str] = ()
    csv: pd.DataFrame | None = None
    csv_note: str = ""
    best: Literal["down", "across"] = "down"
    kind: Literal["table"] = "table"

    @cached_property
    def rows(self) -> list[Row]:
        """Makes the text of every row, and its marks."""
        frame_rows = list(self.frame.itertuples(index=False))
        values = [
            [math.nan if column.value is None else rounded(column.value(row)) for column in self.columns] for row in frame_rows
        ]
        groups = zip(*values, strict=True) if self.best == "down" else values
        highest = [_highest(group) for group in groups]
        rows = []
        for place, row in enumerate(frame_rows):
            limits = highest if self.best == "down" else [highest[place]] * len(self.columns)
            cells = [
                TableCell(column.text(row), value == limit)
                for column, value, limit in zip(self.columns, values[place], limits, strict=True)
            ]
            rows.append(Row(method_class(row.method) if "method" in self.frame else "", cells))
        return rows

    @property
    def texts(self) -> list[list[str]]:
        """Makes the text of every row's cells."""
        return [[cell.text for cell in row.cells] for row in self.rows]

    @property
    def marks(self) -> bool:
        """True if any value is marked as the best."""
        return any(cell.best for row in self.rows for cell in row.cells)

    @property
    def folded(self) -> bool:
        """True if the page shows only the first rows until one asks for all."""
        return len(self.frame) > MOST_ROWS

    @property
    def panels(self) -> list[list[int]]:
        """The columns by number, in as few equal parts as fit on the page; each part begins with the first column."""
        widths = [self._width(place) for place in range(len(self.columns))]
        rest = list(range(1, len(self.columns)))
        for parts in range(1, len(rest) + 1):
            size = math.ceil(len(rest) / parts)
            panels = [[0, *rest[start : start + size]] for start in range(0, len(rest), size)]
            if all(sum(widths[place] for place in panel) <= PAGE_WIDTH for panel in panels):
                return panels
        return [[0, place] for place in rest] or [[0]]

    def _width(self, place: int) -> float:
        """Returns the least width of a column in pixels: numbers stay on one line, other text may break between words."""
        texts = [row[place] for row in self.texts]
        words = [
            word
            for text in [self.columns[place].heading, *([] if self.columns[place].numeric else texts)]
            for word in text.split(" ")
        ]
        return PADDING + CHARACTER * max(
            (len(text) for text in [*words, *(texts if self.columns[place].numeric else [])]), default=0
        )

    @property
    def csv_text(self) -> str:
        """The CSV file."""
        return str((self.frame if self.csv is None else self.csv).to_csv(index=False, lineterminator="\n"))

    @property
    def csv_link(self) -> str:
        """The CSV file as a link."""
        return csv_link(self.csv_text)


def _highest(values: Sequence[float]) -> float:
    """Returns the highest of at least two different values, else NaN."""
    known = [value for value in values if not math.isnan(value)]
    return max(known) if len(set(known)) > 1 else math.nan


def csv_link(text: str) -> str:
    """Makes a link that holds a CSV file, so that a page that was sent alone still has its numbers."""
    return f"data:text/csv;charset=utf-8,{quote(text, safe=',;:/')}"


@dataclass(frozen=True)
class Picture:
    """A figure: `alt` says in words what it shows, `caption` what to see in it, `data` holds what is drawn.

    If `folded`, it opens on a click.
    """

    name: str
    figure: Figure
    alt: str
    caption: str
    data: pd.DataFrame
    wide: bool = True
    folded: bool = False
    kind: Literal["picture"] = "picture"

    @cached_property
    def svg(self) -> str:
        return to_svg(self.figure, self.name, self.alt)

    @property
    def csv_text(self) -> str:
        """The data in six digits, finer than anything that can be seen."""
        return str(self.data.to_csv(index=False, lineterminator="\n", float_format="%.6g"))

    @property
    def csv_link(self) -> str:
        """The data as a link."""
        return csv_link(self.csv_text)

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
