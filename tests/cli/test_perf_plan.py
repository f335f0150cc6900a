"""`perf plan` measures the planner, the launcher and `status` that people use; how fast they are is for people to judge."""

from __future__ import annotations

import json
import math

from typer.testing import CliRunner

from xtra.cli.main import app


def test_a_simulated_suite_is_planned_submitted_and_looked_at() -> None:
    found = json.loads(CliRunner().invoke(app, ["perf", "plan", "--jobs", "210", "--json"]).stdout)
    assert 210 <= found["num_jobs"] == found["submitted"] == found["complete"]
    assert found["sbatch_calls"] < 50
    assert all(found[part]["seconds"] > 0 for part in ("plan", "submit", "status"))


def test_no_array_and_no_queue_is_longer_than_the_cluster_allows() -> None:
    result = CliRunner().invoke(app, ["perf", "plan", "--jobs", "1", "--max-array-size", "7", "--max-queued", "50"])
    num_jobs = int(result.stdout.partition(" jobs")[0])
    # One place of the 50 is for the job that makes the report.
    assert f"; {num_jobs - 49} jobs left to later launches" in result.stdout
    calls = int(result.stdout.partition(" calls of sbatch, at most 7 elements each")[0].rpartition(" ")[2])
    assert calls >= math.ceil(49 / 7)
