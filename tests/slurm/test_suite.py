"""A suite from its file to its report on a real SLURM, beside the same suite run without one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slurm
SUITE = Path(__file__).parents[2] / "suites" / "catch.yaml"


def run(directory: Path, *options: str) -> str:
    """Runs the suite, small, in its own directory. What it printed."""
    directory.mkdir(exist_ok=True)
    command = [sys.executable, "-c", "from xtra.cli.main import main; main()", "run", str(SUITE), "--set", "size=smoke"]
    done = subprocess.run([*command, "--seeds", "0,1", *options], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_suite_left_to_slurm_ends_in_the_rows_and_the_report_of_one_machine(cluster: Any, tmp_path: Path) -> None:
    if not cluster.accounting:
        pytest.skip("tried on the other cluster")
    said = run(tmp_path / "slurm", "--executor", "slurm")
    assert "submitted in 3 calls of sbatch" in said
    alone = (tmp_path / "alone") / run(tmp_path / "alone").splitlines()[-1]
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("slurm/results/runs/*/report.html")):
        assert time.monotonic() < deadline, subprocess.check_output(["squeue"], text=True)
        time.sleep(1)
    on_slurm = (tmp_path / "slurm") / run(tmp_path / "slurm", "--executor", "slurm", "--wait").splitlines()[-1]
    assert len(list(tmp_path.glob("slurm/results/runs/*"))) == 1
    for table in ("scores.csv", "episodes.csv", "curves.csv"):
        assert (on_slurm.parent / table).read_text() == (alone.parent / table).read_text()
