"""The suites that come with the package, found by name from anywhere, and new ones made after them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.protocol.families import PROTOCOLS
from xtra.protocol.games import GAMES
from xtra.suite import library
from xtra.suite.library import find_suite, shipped_suites
from xtra.suite.load import load_suite
from xtra.suite.plan import plan
from xtra.suite.presets import PRESETS
from xtra.suite.spec import SuiteFile

FOLDER = Path(__file__).parents[2] / "suites"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_every_suite_of_ours_is_found_by_its_name_from_anywhere() -> None:
    assert set(shipped_suites()) == {path.stem for path in FOLDER.glob("*.yaml")}
    assert command("validate", "catch") == command("validate", str(FOLDER / "catch.yaml"))
    assert command("plan", "catch.yaml", "--json") == command("plan", str(FOLDER / "catch.yaml"), "--json")


def test_in_a_wheel_the_suites_lie_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "xtra" / "suites"
    inside.mkdir(parents=True)
    (inside / "mine.yaml").touch()
    monkeypatch.setattr(library, "_PLACES", (inside, FOLDER))
    assert shipped_suites() == {"mine": inside / "mine.yaml"}


def test_what_lies_here_comes_before_what_comes_with_the_package(elsewhere: Path) -> None:
    (elsewhere / "suites").mkdir()
    (elsewhere / "suites" / "catch.yaml").touch()
    assert find_suite(Path("catch")) == Path("suites/catch.yaml")
    (elsewhere / "catch").touch()
    assert find_suite(Path("catch")) == Path("catch")
    assert find_suite(Path("other/catch")) == Path("other/catch")
    assert find_suite(Path("nothing")) == Path("nothing")


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_a_new_suite_computes_what_the_one_it_is_like_does_and_explains_its_fields(name: str, elsewhere: Path) -> None:
    assert command("new", "my-study", "--like", name) == "my-study.yaml\n"
    spec = load_suite(elsewhere / "my-study.yaml")
    assert (spec.suite, spec.version) == ("my-study", 1)
    assert plan(spec).jobs.keys() == plan(load_suite(FOLDER / f"{name}.yaml")).jobs.keys()
    lines = (elsewhere / "my-study.yaml").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        key = line.partition(":")[0]
        if key in SuiteFile.model_fields:
            assert lines[number - 1].startswith("# "), line
            assert max(map(len, lines[number - 1 : number])) <= library.COMMENT_WIDTH


def test_a_new_suite_overwrites_nothing_and_has_a_name_that_a_directory_can_have(elsewhere: Path) -> None:
    (elsewhere / "mine.yaml").write_text("kept")
    for arguments in (["mine"], ["a/b"], ["x", "--like", "q"]):
        assert CliRunner().invoke(app, ["new", *arguments]).exit_code == 2
    assert (elsewhere / "mine.yaml").read_text() == "kept"
    assert [path.name for path in elsewhere.iterdir()] == ["mine.yaml"]
    assert command("new", "mine", "--force")
    assert load_suite("mine.yaml").suite == "mine"


@pytest.mark.parametrize("arguments", [["plan", "quik"], ["new", "x", "--like", "quik"], ["export", "quik", "Random/Catch/0"]])
def test_a_misspelt_name_is_told_with_the_one_that_was_meant(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "quik: is neither a file nor a suite of the package\n    did you mean quick?\n"


def test_what_there_is_to_choose_from_is_listed(elsewhere: Path) -> None:
    assert set(json.loads(command("list", "suites", "--json"))) == set(shipped_suites())
    assert set(json.loads(command("list", "games", "--json"))) == set(GAMES)
    assert command("list", "games").splitlines()[-2:] == [
        "... and more of family atari, such as Breakout@mode=12",
        "... and more of family gymnasium, such as gymnasium:CartPole-v1",
    ]
    assert set(json.loads(command("list", "presets", "--json"))) == set(PRESETS)
    assert [line.split()[0] for line in command("list", "protocols").splitlines()] == list(PROTOCOLS)
    assert all(len(line.split()) > 1 for line in command("list", "agents").splitlines())
    assert "no runs yet" in command("list", "runs")
    run = elsewhere / "results" / "runs" / "quick-1"
    run.mkdir(parents=True)
    (run / "plan.json").write_text(json.dumps({"suite": "quick", "version": 2, "cells": [1, 2, 3]}))
    (run.with_name("broken")).mkdir()
    (run.with_name("broken") / "plan.json").write_text("{")
    assert json.loads(command("list", "runs", "--json")) == {
        "broken": "not readable, or of another release",
        "quick-1": "quick version 2, 3 cells, no report yet",
    }
