"""validate, plan and schema as a person meets them: output, exit status, and no heavy import."""

from __future__ import annotations

import json
import os
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


def test_what_run_would_fail_for_is_told_by_validate_plan_and_dry_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("xtra.execute.suite_run.find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    minatar = str(CATCH.with_name("minatar.yaml"))
    results = {
        command: CliRunner().invoke(app, [*command.split(), minatar]) for command in ("validate", "run --dry-run", "run", "plan")
    }
    assert {command: result.exit_code for command, result in results.items()} == {
        "validate": 2, "run --dry-run": 2, "run": 2, "plan": 0,
    }  # fmt: skip
    assert all("needs the package `minatar`" in result.stderr for result in results.values())
    assert "protocol: minatar" in results["plan"].stdout.splitlines()


def test_validate_warns_of_episodes_that_dwarf_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    text = CATCH.read_text(encoding="utf-8").replace("protocol: catch", "protocol: atari100k").replace("[Catch]", "[Pong]")
    path.write_text(text.replace("preset: tiny", "preset: small"), encoding="utf-8")
    usual = CliRunner().invoke(app, ["validate", str(path)])
    assert (usual.exit_code, usual.stderr) == (0, "")
    short = CliRunner().invoke(app, ["validate", str(path), "--set", "training.env_steps=3000"])
    assert short.exit_code == 0
    warning = "an episode of its learning curve may last 27,000 env steps, training only 3,000"
    assert [method for method in ("EfficientZero", "CURL", "DER") if f"warning: {method}: {warning}" in short.stderr] == [
        "EfficientZero", "CURL", "DER",
    ]  # fmt: skip
    uncurved = ["--set", "training.env_steps=3000", "--set", "training.curve_episodes=0"]
    assert CliRunner().invoke(app, ["validate", str(path), *uncurved]).stderr == ""
    assert CliRunner().invoke(app, ["validate", str(CATCH)]).stderr == ""


def test_results_that_are_no_directory_are_refused() -> None:
    for command in (["plan", str(CATCH)], ["status"], ["logs"], ["gc"], ["run", str(CATCH)]):
        result = CliRunner().invoke(app, [*command, "--results", "/dev/null"], env={"COLUMNS": "500"})
        assert result.exit_code == 2
        assert "'/dev/null' is not a directory" in result.stderr


COMMANDS_THAT_PRINT = [["validate", str(CATCH)], ["plan", str(CATCH)], ["plan", str(CATCH), "--json"], ["status"], ["--help"]]


@pytest.mark.parametrize("arguments", COMMANDS_THAT_PRINT, ids=" ".join)
def test_a_full_disk_or_a_closed_pipe_behind_stdout_ends_without_a_traceback(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from xtra.cli.main import main; main()", *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "marked.yaml"
    path.write_text(CATCH.read_text(encoding="utf-8").replace("name: EfficientZero", "name: '[red]A :smile:'"), encoding="utf-8")
    assert "[red]A :smile:" in CliRunner().invoke(app, ["plan", str(path)]).stdout


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    listed = CliRunner().invoke(app, ["--help"]).stdout
    own = CliRunner().invoke(app, [command, "--help"])
    assert (own.exit_code, f"Usage: xtra-bench {command}" in own.stdout, command in listed) == (0, True, True)
    assert "<bool>" not in own.stdout.replace(next(line for line in own.stdout.splitlines() if "--help" in line), "")
    assert "[[" not in own.stdout  # what may be left out has one pair of brackets


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu", "x"], "no command 'rnu'; did you mean run?"),
        (["qqqqqq"], "no command 'qqqqqq'; `xtra-bench --help` names them"),
        (["list", "game"], "there are no 'game' to list; did you mean 'games'?"),
        (["list", "x"], "there are no 'x' to list; valid kinds: agents, games, presets, protocols, runs, settings, suites"),
        (
            ["play", str(CATCH)],
            f"{CATCH} is no network's file: the name of one, which `xtra-bench export` writes, ends in .safetensors",
        ),
    ],
)
def test_a_word_that_is_not_known_is_told_with_what_is(arguments: list[str], message: str) -> None:
    told = CliRunner().invoke(app, arguments)
    assert (told.exit_code, told.stdout, told.stderr) == (2, "", f"error: {message}\n")


def test_a_value_that_an_option_does_not_take_is_told_with_those_that_it_does() -> None:
    told = " ".join(CliRunner().invoke(app, ["run", "catch", "--executor", "slrum"]).stderr.replace("│", " ").split())
    assert "'--executor': 'slrum' is not one of 'local', 'slurm'." in told


def test_text_that_a_closed_pipe_did_not_take_is_not_written_again_at_the_end() -> None:
    """click answers a closed pipe by an exit of its own, in which Python may write once more and complain."""
    code = (
        "import sys, xtra.cli.main as cli\n"
        "def app():\n    try:\n        print('text')\n        sys.stdout.flush()\n    except OSError:\n        sys.exit(0)\n"
        "cli.app = app\ncli.main()"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_every_setting_is_listed_with_its_default_and_its_meaning() -> None:
    lines = CliRunner().invoke(app, ["list", "settings"]).stdout.splitlines()
    by_path = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert by_path["training.env_steps"].startswith("100000: Decisions of the agent on the target game.")
    assert by_path["agent.search.num_simulations"].startswith("50 (efficientzero): ")
    assert by_path["agent.network.frame_stack"].startswith("4 (efficientzero")
    assert all(len(text.split(": ", 1)[1]) > 10 for text in by_path.values())


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
