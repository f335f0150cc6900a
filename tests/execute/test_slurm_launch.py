"""A launch on SLURM beside `gc` and another launcher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.execute.slurm.arrays import JobArray
from xtra.execute.slurm.launch import SlurmLauncher
from xtra.execute.slurm.queue import SlurmError
from xtra.store.job import Job


def test_the_plan_is_recorded_before_the_first_job_is_queued(
    slurm: SlurmLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[int] = []
    submit = SlurmLauncher._submit_array

    def submitted(launcher: SlurmLauncher, *arguments: Any) -> list[str]:
        recorded.append(len(list(tmp_path.glob("results/runs/*/plan.json"))))
        return submit(launcher, *arguments)

    monkeypatch.setattr(SlurmLauncher, "_submit_array", submitted)
    command = ["run", "catch", "--executor", "slurm", "--only", "Random/*/0", "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert recorded
    assert set(recorded) == {1}


def test_a_launch_that_is_refused_records_no_plan(slurm: SlurmLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin" / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # this machine may have a SLURM
    command = ["run", "catch", "--executor", "slurm", "--only", "Random/*/0", "--results", str(tmp_path / "results")]
    assert CliRunner().invoke(app, command).exit_code == 2
    assert not list(tmp_path.glob("results/runs/*"))


def test_a_launcher_whose_turn_another_one_has_taken_submits_nothing_more(
    slurm: SlurmLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Job("count", 1, {"name": "a"})
    second = Job("count", 1, {"name": "b"}, {"before": (first.key,)})
    submit, names = SlurmLauncher._submit_array, list[str]()

    def taken_over(launcher: SlurmLauncher, bootstrap: Path, turn: Any, array: JobArray) -> Sequence[str]:
        slurm_ids = submit(launcher, bootstrap, turn, array)
        names.extend(job.config["name"] for element in array.elements for job in element)
        (slurm.directory / "claim-2").touch()
        return slurm_ids

    monkeypatch.setattr(SlurmLauncher, "_submit_array", taken_over)
    with pytest.raises(SlurmError, match=r"another launcher .* has taken its turn meanwhile; what was submitted before"):
        slurm.submit({job.key: job for job in (first, second)})
    assert names == ["a"]
