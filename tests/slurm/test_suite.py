"""A suite from its file to its report on a real SLURM, beside the same suite run without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slurm
SUITE = Path(__file__).parents[2] / "suites" / "catch.yaml"


def run(directory: Path, *options: str) -> Path:
    """Runs the suite, small, in its own directory. The run's directory, from the report's path, the last line printed."""
    directory.mkdir(exist_ok=True)
    command = [sys.executable, "-c", "from xtra.cli.main import main; main()", "run", str(SUITE), "--set", "size=smoke"]
    done = subprocess.run([*command, "--seeds", "0,1", *options], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = directory / done.stdout.splitlines()[-1]
    assert report.name == "report.html"
    return report.parent


def test_a_suite_on_slurm_leaves_the_rows_that_it_leaves_on_one_machine(cluster: Any, tmp_path: Path) -> None:
    if not cluster.accounting:
        pytest.skip("tried on the other cluster")
    on_slurm = run(tmp_path / "slurm", "--executor", "slurm", "--wait")
    alone = run(tmp_path / "alone")
    for table in ("scores.csv", "episodes.csv", "curves.csv"):
        assert (on_slurm / table).read_text() == (alone / table).read_text()
