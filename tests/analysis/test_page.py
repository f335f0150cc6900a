"""Tables as the page shows them: which values are marked, how wide tables are parted, which are folded."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from xtra_analysis import write_report
from xtra_analysis.page import MOST_ROWS, PAGE_WIDTH, Column, Picture, Table
from xtra_analysis.synthetic import METHODS, write_synthetic_run
from xtra_analysis.text import method_class

NAN = float("nan")


def table(frame: pd.DataFrame, *columns: Column, **options: Any) -> Table:
    name = Column("Method", lambda row: row.method, numeric=False)
    return Table("t", "Table", frame, [name, *columns], **options)


def marked(made: Table) -> list[list[bool]]:
    return [[cell.best for cell in row.cells] for row in made.rows]


def test_the_best_of_a_column_is_marked_ties_too_and_nothing_where_all_are_equal_or_alone() -> None:
    frame = pd.DataFrame(
        {"method": list("abc"), "high": [2.0, 3.0, 3.0], "low": [5.0, 1.0, NAN], "same": 4.0, "one": [NAN, 7.0, NAN]}
    )
    columns = [
        Column("High", lambda row: f"{row.high}", value=lambda row: row.high),
        Column("Low", lambda row: f"{row.low}", value=lambda row: -row.low),
        Column("Same", lambda row: f"{row.same}", value=lambda row: row.same),
        Column("One", lambda row: f"{row.one}", value=lambda row: row.one),
        Column("Neutral", lambda row: f"{row.high}"),
    ]
    made = table(frame, *columns)
    assert marked(made) == [
        [False, False, False, False, False, False],
        [False, True, True, False, False, False],
        [False, True, False, False, False, False],
    ]
    assert made.marks and not table(frame, columns[2]).marks


def test_values_that_look_equal_on_the_page_are_marked_alike() -> None:
    frame = pd.DataFrame({"method": list("abc"), "near": [0.9962, 1.0, 0.9], "large": [12345.2, 12345.4, 12344.0]})
    columns = [Column(name, lambda row: "", value=lambda row, name=name: getattr(row, name)) for name in ("near", "large")]
    assert [row[1:] for row in marked(table(frame, *columns))] == [[True, True], [True, True], [False, False]]
    assert not table(frame[:2], *columns).marks


def test_the_best_of_a_row_is_marked_across_its_columns() -> None:
    frame = pd.DataFrame({"method": ["a", "b"], "x": [1.0, 9.0], "y": [2.0, NAN]})
    columns = [Column(name, lambda row: "", value=lambda row, name=name: getattr(row, name)) for name in "xy"]
    assert marked(table(frame, *columns, best="across")) == [[False, False, True], [False, False, False]]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_parts_of_a_wide_table_fit_hold_every_column_once_and_begin_with_the_first(lengths: list[int]) -> None:
    frame = pd.DataFrame({"method": ["m" * 10]})
    columns = [Column("h", lambda row, length=length: "9" * length) for length in lengths]
    made = table(frame, *columns)
    panels = made.panels
    assert all(panel[0] == 0 for panel in panels)
    assert [place for panel in panels for place in panel[1:]] == list(range(1, len(lengths) + 1))
    assert all(sum(made._width(place) for place in panel) <= PAGE_WIDTH for panel in panels)
    total = sum(made._width(place) for place in range(len(lengths) + 1))
    assert (len(panels) == 1) == (total <= PAGE_WIDTH)


def test_long_tables_are_folded_and_rows_and_columns_have_the_class_of_their_method() -> None:
    rows = pd.DataFrame({"method": [f"m{number}" for number in range(MOST_ROWS + 1)]})
    made = table(rows, Column("XTRA", lambda row: "1", method="XTRA"))
    assert made.folded and not table(rows[:MOST_ROWS]).folded
    assert made.rows[3].css == method_class("m3")
    assert made.columns[1].css == f"number {method_class('XTRA')}" and made.columns[0].css == ""


def test_links_hold_whatever_a_csv_file_may_hold() -> None:
    frame = pd.DataFrame({"method": ['a,b"c#d%e&f<g>\n\u00e9 h'], "value": [1 / 3]})
    made = table(frame)
    assert unquote(made.csv_link.partition(",")[2]) == made.csv_text == frame.to_csv(index=False)
    assert not set('"#&<> \n') & set(made.csv_link)
    assert Picture("p", Figure(), "", "", frame).csv_text.endswith(",0.333333\n")


@pytest.fixture(scope="module")
def wide_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("wide")
    run = write_synthetic_run(directory / "run", METHODS, ("Alien", "Assault"), range(2))
    return write_report([run], directory / "out").read_text(encoding="utf-8")


def test_scores_of_twelve_methods_are_parted_and_every_method_has_a_switch(wide_page: str) -> None:
    assert "<caption>Raw scores, continued</caption>" in wide_page
    for method in METHODS:
        css = method_class(method.name)
        assert f'id="show-{css}" checked' in wide_page
        assert f"body:has(#show-{css}:not(:checked)) .{css} {{ display: none; }}" in wide_page
        assert f'<th scope="col" class="number {css}">' in wide_page
        assert f'<tr class="{css}">' in wide_page or method.name == "Random"
