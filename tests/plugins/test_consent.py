"""A suite's code runs after consent alone; consent is to that very source."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite


def runs(directory: Path) -> int:
    file = directory / "runs.txt"
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_without_consent_no_command_runs_any_of_it_and_says_so_by_name(directory: Path, command: str) -> None:
    done = CliRunner().invoke(app, [command, str(directory / "suite.yaml")])
    assert done.exit_code == 2
    assert "suite.yaml:5:11: my_games.py is code that you have not trusted: none of it was run" in done.stderr
    assert "--trust-plugins" in done.stderr
    assert runs(directory) == 0


def test_consent_is_remembered_until_the_source_is_another(directory: Path) -> None:
    done = CliRunner().invoke(app, ["validate", str(directory / "suite.yaml"), "--trust-plugins"])
    assert (done.exit_code, runs(directory)) == (0, 1), done.output
    assert "2 cells" in done.stdout
    load_suite(directory / "suite.yaml")
    source = (directory / "my_games.py").read_text()
    (directory / "my_games.py").write_text(source + "# another\n")
    with pytest.raises(SuiteError, match="you have not trusted"):
        load_suite(directory / "suite.yaml")
    assert runs(directory) == 1


def test_one_untrusted_plugin_keeps_all_from_running(directory: Path) -> None:
    load_suite(directory / "suite.yaml", trust_plugins=True)
    (directory / "other.py").write_text("raise SystemExit('ran')\n")
    suite = (directory / "suite.yaml").read_text().replace("[my_games.py]", "[my_games.py, other.py]")
    (directory / "suite.yaml").write_text(suite)
    with pytest.raises(SuiteError) as caught:
        load_suite(directory / "suite.yaml")
    assert [problem.message for problem in caught.value.problems] == [
        "other.py is code that you have not trusted: none of it was run"
    ]


def test_a_suite_that_is_included_brings_its_plugins_along_for_consent(directory: Path) -> None:
    (directory / "outer.yaml").write_text(
        (directory / "suite.yaml").read_text().replace("plugins: [my_games.py]", "include: [suite]")
    )
    with pytest.raises(SuiteError) as caught:
        load_suite(directory / "outer.yaml")
    (problem,) = caught.value.problems
    assert (problem.location.source, problem.location.line) == (str(directory / "suite.yaml"), 5)
    assert runs(directory) == 0


def test_what_else_is_wrong_with_the_file_is_told_beside_the_missing_consent(directory: Path) -> None:
    suite = (directory / "suite.yaml").read_text().replace("version: 1", "version: one")
    (directory / "suite.yaml").write_text(suite)
    with pytest.raises(SuiteError) as caught:
        load_suite(directory / "suite.yaml")
    assert [problem.location.line for problem in caught.value.problems] == [3, 5]


def test_naming_a_file_on_the_command_line_is_consent(directory: Path) -> None:
    done = CliRunner().invoke(app, ["list", "games", "--plugin", str(directory / "my_games.py")])
    assert done.exit_code == 0, done.output
    assert "Corridor" in done.stdout
