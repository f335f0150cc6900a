"""How methods look in figures: apart from one another, alike in every figure, and none hidden under another."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from xtra_analysis.drawing import (
    PALETTE,
    Curve,
    color_distance,
    draw_curves,
    in_company,
    legend_handles,
    looks,
    new_figure,
    xtra_style,
)
from xtra_analysis.svg import SVG, to_svg
from xtra_analysis.synthetic import METHODS
from xtra_analysis.text import method_class

from xtra.suite.load import load_suite

SUITES = sorted((Path(__file__).parents[2] / "suites").glob("*.yaml"))
MOST = 7
"""Methods that can all be told by colour alone; of more, markers and dashes tell the nearest apart."""


def test_the_distance_of_black_and_white_is_one_and_of_equal_colours_none() -> None:
    assert color_distance("#000000", "#ffffff") == pytest.approx(1.0, abs=1e-4)
    assert color_distance("#79b224", "#79b224") == 0.0


def test_colours_that_only_people_without_deuteranopia_tell_apart_count_as_near() -> None:
    assert color_distance("#117733", "#8c5a2b") < 0.05 < color_distance("#2b4c7e", "#dda514")


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_methods_of_a_suite_never_look_alike(suite: Path) -> None:
    names = [method.name for method in load_suite(suite).methods]
    drawn = looks(names)
    for one, other in combinations(names, 2):
        first, second = drawn[one], drawn[other]
        least = 0.1 if len(names) <= MOST else 0.04
        assert color_distance(first.color, second.color) >= least or first.dash != second.dash, (one, other)
        assert first.marker != second.marker or len(names) > len(PALETTE), (one, other)


def test_curl_and_der_are_further_apart_than_two_purples() -> None:
    drawn = looks(["CURL", "DER"])
    assert color_distance(drawn["CURL"].color, drawn["DER"].color) > color_distance("#882255", "#aa4499") + 0.05


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30, unique=True))
@example(["Z", "z"])
def test_looks_depend_on_no_order_and_no_two_are_the_same(names: list[str]) -> None:
    drawn = looks(names)
    assert drawn == {name: looks(names[::-1])[name] for name in names}
    unfixed = [name for name in names if name.casefold() not in ("xtra", "efficientzero", "random", "human")]
    assert len({(drawn[name].color, str(drawn[name].dash)) for name in unfixed}) == len(unfixed)


def test_a_method_looks_the_same_in_every_figure_of_a_report() -> None:
    names = [method.name for method in METHODS]
    among_all = looks(names)
    with in_company(names):
        for size in (1, 4, 9):
            assert looks(names[-size:]) == {name: among_all[name] for name in names[-size:]}
        assert set(looks(["Alien", "Phoenix"])) == {"Alien", "Phoenix"}
    assert looks(names[-9:]) != {name: among_all[name] for name in names[-9:]}


def test_equal_lines_show_one_within_the_other_and_at_other_places_their_markers() -> None:
    steps = [float(step) for step in range(60)]
    names = ["XTRA", "EfficientZero", "CURL", "DER", "Random"]
    with xtra_style():
        figure = new_figure(4, 3)
        axes = figure.subplots()
        draw_curves(axes, [Curve(name, steps, [1.0] * 60) for name in names], looks(names), emphasis=names[:4])
    lines = sorted(axes.lines, key=lambda line: line.get_zorder())
    widths = [line.get_linewidth() for line in lines]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == len(names)
    places = [set(steps[line.get_markevery()[0] :: line.get_markevery()[1]]) for line in lines]
    assert all(places) and not set.intersection(*places)
    assert [line.get_marker() for line in lines] == [looks(names)[name].marker for name in names]


def test_what_shows_a_method_alone_has_its_class_and_ids_are_numbered() -> None:
    names = ["XTRA", "<b>&\"'"]
    with xtra_style():
        figure = new_figure(4, 3)
        axes = figure.subplots()
        draw_curves(axes, [Curve(name, [0, 1], [0, 1]) for name in names], looks(names))
    svg = ElementTree.fromstring(to_svg(figure, "curves", "two lines"))
    classes = [element.get("class") for element in svg.iter() if element.get("class")]
    assert classes == [method_class(name) for name in names]
    ids = [element.get("id") for element in svg.iter() if element.get("id")]
    assert ids and all(one.startswith("curves-") for one in ids if one)
    assert not list(svg.iter(f"{{{SVG}}}metadata")) and not list(svg.iter(f"{{{SVG}}}style"))


def test_legends_show_what_lines_look_like() -> None:
    drawn = looks(["XTRA", "CURL"])
    assert [handle.get_marker() for handle in legend_handles(drawn)] == [look.marker for look in drawn.values()]
