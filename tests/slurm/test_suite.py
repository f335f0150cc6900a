"""Suites from their files to their reports on a real SLURM, beside the same suites run without one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slurm
SUITES = Path(__file__).parents[2] / "suites"
OPEN_HOUSE = Path(__file__).parents[1] / "plugins" / "open_house"


@pytest.fixture(autouse=True)
def once(cluster: Any) -> None:
    """What a suite comes to cannot depend on accounting: one of the two clusters is enough."""
    if not cluster.accounting:
        pytest.skip("tried on the other cluster")


def run(directory: Path, suite: str, *options: str) -> str:
    """Runs the suite, small, in its own directory. What it printed."""
    directory.mkdir(exist_ok=True)
    command = [sys.executable, "-c", "from xtra.cli.main import main; main()", "run", str(SUITES / f"{suite}.yaml")]
    command += ["--set", "size=smoke", *options]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def leave_to_slurm(directory: Path, suite: str, *options: str, seconds: float) -> tuple[Path, str]:
    """Submits, and waits for the report without a process of ours. The run's directory, and what was said at submission."""
    said = run(directory, suite, *options, "--executor", "slurm")
    deadline = time.monotonic() + seconds
    while not list(directory.glob("results/runs/*/report.html")):
        assert time.monotonic() < deadline, subprocess.check_output(["squeue"], text=True)
        time.sleep(1)
    (found,) = directory.glob("results/runs/*")
    return found, said


def test_a_suite_left_to_slurm_ends_in_the_rows_and_the_report_of_one_machine(tmp_path: Path) -> None:
    options = ("--seeds", "0,1", "--only", "EfficientZero", "--only", "Random")
    on_slurm, said = leave_to_slurm(tmp_path / "slurm", "catch", *options, seconds=420)
    assert "6 submitted in 3 calls of sbatch" in said
    alone = (tmp_path / "alone") / run(tmp_path / "alone", "catch", *options).splitlines()[-1]
    again = run(tmp_path / "slurm", "catch", *options, "--executor", "slurm", "--wait").splitlines()[-1]
    assert (tmp_path / "slurm" / again).parent == on_slurm
    for table in ("scores.csv", "episodes.csv", "curves.csv"):
        assert (on_slurm / table).read_text() == (alone.parent / table).read_text()


def test_teachers_pretraining_and_finetuning_run_as_arrays_to_a_report(tmp_path: Path) -> None:
    found, said = leave_to_slurm(tmp_path, "catch_transfer", "--seeds", "0", seconds=420)
    assert "17 submitted in 9 calls of sbatch" in said
    rows = [line.split(",") for line in (found / "scores.csv").read_text().splitlines()]
    status = rows[0].index("status")
    assert [row[status] for row in rows[1:]] == ["complete", "complete"]
    assert {row.split(",")[3] for row in (found / "costs.csv").read_text().splitlines()[1:]} == {
        "train",
        "dataset",
        "teacher",
        "label",
        "pretrain",
        "evaluate",
    }
    page = (found / "report.html").read_text(encoding="utf-8")
    assert "XTRA" in page


@pytest.mark.slow
def test_the_diverse_study_runs_whole_in_smoke_size(tmp_path: Path) -> None:
    """8 sources, 5 targets, 1 seed, on real Atari: 53 jobs."""
    found, said = leave_to_slurm(tmp_path, "diverse", "--seeds", "0", seconds=3_000)
    assert "53 submitted" in said
    rows = (found / "scores.csv").read_text().splitlines()[1:]
    assert len(rows) == 10
    assert all(",complete," in row for row in rows)


def test_a_plugin_an_environment_of_gymnasium_and_a_flavour_run_on_slurm_as_on_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    runs = []
    for name, executor in (("slurm", ["--executor", "slurm", "--wait"]), ("alone", [])):
        directory = tmp_path / name
        shutil.copytree(OPEN_HOUSE, directory, ignore=shutil.ignore_patterns("__pycache__"))
        command = [sys.executable, "-c", "from xtra.cli.main import main; main()", "run", "open_house.yaml", "--trust-plugins"]
        done = subprocess.run([*command, *executor], cwd=directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        runs.append((directory / done.stdout.strip().splitlines()[-1]).parent)
        if executor:
            assert list(directory.glob("results/slurm/code/*/gymnasium/__init__.py")), "the package did not travel"
    for table in ("scores.csv", "episodes.csv", "curves.csv"):
        assert (runs[0] / table).read_text() == (runs[1] / table).read_text()
