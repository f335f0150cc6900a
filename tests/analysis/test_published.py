"""Which published scores stand beside which of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xtra_analysis.analyse import analyse
from xtra_analysis.page import Section, Table
from xtra_analysis.published import published_section
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS, SyntheticMethod

MakeRun = Callable[..., Path]
CURL = SyntheticMethod("CURL", "curl", "", 0.5)
SHIFTED = SyntheticMethod("DER+shift", "curl", "DER that learns from shifted frames.", 0.5)


def section_of(run: Path) -> Section | None:
    return published_section(analyse(read_study([run])))


def names_of(section: Section | None) -> list[str]:
    return [block.name for block in section.blocks if block.kind != "paragraph"] if section else []


def test_curl_stands_beside_the_published_model_free_agents(make_run: MakeRun) -> None:
    section = section_of(make_run("run", methods=(METHODS[0], CURL, SHIFTED), games=["Alien", "Assault"]))
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table) and block.name == "published_model_free")
    headings = [column.heading for column in table.columns]
    assert headings[:2] == ["Game", "CURL, ours"]
    assert {"CURL (original paper value)", "DER (original paper value)", "DrQ(eps) (rliable re-evaluation)"} <= set(headings)
    assert "SPR (rliable re-evaluation)" in headings
    assert "DER+shift" not in " ".join(headings)
    assert table.texts[0][headings.index("DER (original paper value)")] == "740"


def test_a_recollected_score_is_marked_among_verified_ones(make_run: MakeRun) -> None:
    section = section_of(make_run("run", methods=(CURL,), games=["Pong", "Alien"]))
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table))
    place = [column.heading for column in table.columns].index("CURL (original paper value)")
    assert {row[0]: row[place].endswith("†") for row in table.texts} == {"Alien": False, "Pong": True}
    assert any("recollected, unverified" in note for note in table.notes)
    assert table.csv is not None and set(table.csv["trust"]) == {"ours", "published", "secondary", "recollected"}


def test_der_with_shifted_frames_has_no_published_namesake_even_alone_or_as_baseline(make_run: MakeRun) -> None:
    alone = section_of(make_run("alone", methods=(SHIFTED,), games=["Alien"]))
    baseline = section_of(make_run("baseline", methods=(SHIFTED, METHODS[0]), games=["Alien"], baseline="DER+shift"))
    assert names_of(alone) == []
    assert names_of(baseline) == ["published"]
    assert baseline is not None
    picture = next(block for block in baseline.blocks if block.kind == "picture")
    assert "DER+shift" not in picture.svg and "EfficientZero" in picture.svg and "DrQ" not in picture.svg


def test_without_a_model_free_agent_none_is_shown(make_run: MakeRun) -> None:
    assert names_of(section_of(make_run("run", games=["Alien"]))) == ["published"]
    assert section_of(make_run("other", games=["Alien"], protocol="atari100k+training.env_steps=50000")) is None
