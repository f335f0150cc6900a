"""validate, plan and schema as a person meets them: output, exit status, and no heavy import."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xtra.cli import main
from xtra.cli.main import app
from xtra.store.provenance import hardware
from xtra.store.store import Store
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

CATCH = Path(__file__).parents[2] / "suites" / "catch.yaml"
HEAVY = ("torch", "pandas", "matplotlib", "seaborn", "ale_py", "gymnasium", "scipy")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text(CATCH.read_text(encoding="utf-8").replace("[Catch]", "[Cathc]"), encoding="utf-8")
    return path


def test_a_sound_suite_is_ok() -> None:
    result = CliRunner().invoke(app, ["validate", str(CATCH)])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("ok: catch version 2: 4 methods x 1 game x 5 seeds = 20 cells, 35 jobs")


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_a_broken_suite_is_told_on_stderr_with_status_2(command: str, broken: Path) -> None:
    result = CliRunner().invoke(app, [command, str(broken)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{broken}:10:11: unknown game 'Cathc'" in result.stderr
    assert "did you mean 'Catch'?" in result.stderr


@pytest.mark.parametrize("arguments", [["--set", "a"], ["--seeds", "x"], ["--only", "Nobody"]])
def test_a_broken_option_is_told_with_status_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["plan", str(CATCH), *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{arguments[0]}: ")


def test_plan_counts_what_the_store_holds_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made, store = plan(load_suite(CATCH)), Store(tmp_path / "results" / "store")
    for key in made.cells[0].keys:
        store.add(made.jobs[key])
        attempt = store.begin(key)
        assert attempt is not None
        store.commit(attempt, "complete", 1.0, {"hardware": hardware()})
        attempt.claim.release()
    result = CliRunner().invoke(app, ["plan", str(CATCH), "--only", "EfficientZero"])
    rows = [line.replace("│", " ").split() for line in result.stdout.splitlines()]
    assert ["train", "5", "1", "4"] in rows
    assert ["evaluate", "5", "1", "4"] in rows
    assert ["EfficientZero", "efficientzero", "5", "1", "4"] in rows
    assert "protocol: catch" in result.stdout.splitlines()


def test_plan_names_the_suites_that_share_its_jobs(tmp_path: Path) -> None:
    text = CATCH.read_text(encoding="utf-8")
    (tmp_path / "catch.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "more.yaml").write_text(text.replace("suite: catch", "suite: more").replace("4]", "5]"), encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("seeds", encoding="utf-8")
    result = CliRunner().invoke(app, ["plan", str(tmp_path / "catch.yaml"), "--results", str(tmp_path)])
    assert "28 of these jobs belong to suite more too." in result.stdout


def test_plan_as_json_is_the_whole_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = json.loads(CliRunner().invoke(app, ["plan", str(CATCH), "--seeds", "3", "--json"]).stdout)
    made = plan(load_suite(CATCH, seeds=[3]))
    assert (record["id"], [job["key"] for job in record["jobs"]]) == (made.id, list(made.jobs))
    assert {cell["seed"] for cell in record["cells"]} == {3}
    assert not (tmp_path / "results").exists()


def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "marked.yaml"
    path.write_text(CATCH.read_text(encoding="utf-8").replace("name: EfficientZero", "name: '[red]A :smile:'"), encoding="utf-8")
    assert "[red]A :smile:" in CliRunner().invoke(app, ["plan", str(path)]).stdout


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    listed = CliRunner().invoke(app, ["--help"]).stdout
    own = CliRunner().invoke(app, [command, "--help"])
    assert (own.exit_code, f"Usage: xtra-bench {command}" in own.stdout, command in listed) == (0, True, True)


def test_the_version_is_that_of_the_installed_package() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"xtra-bench {metadata.version('xtra-bench')}\n"


def test_a_report_is_not_written_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "page").touch()
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(tmp_path / "page")], env={"COLUMNS": "500"})
    assert result.exit_code == 2
    assert f"{tmp_path / 'page'}' is a file" in result.stderr


def test_schema_prints_json() -> None:
    assert json.loads(CliRunner().invoke(app, ["schema"]).stdout)["title"] == "xtra suite"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["validate", str(CATCH)], ["plan", str(CATCH)], ["schema"]])
def test_commands_that_compute_nothing_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys; from xtra.cli.main import app\n"
        "try: app(sys.argv[1:])\n"
        f"finally: print('heavy:', sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "heavy: []")
