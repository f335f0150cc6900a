"""What `status`, `logs` and progress show of files that are unreadable or of another shape."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.execute.local import QueueState
from xtra.execute.status import job_statuses
from xtra.telemetry import Progress, read_progress


def test_status_shows_the_rest_where_a_manifest_cannot_be_read(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd, good = bench.job("odd"), bench.job("good")
    bench.run(odd, good)
    manifest = bench.store.directory(odd.key) / "manifest.json"
    manifest.unlink()
    manifest.mkdir()  # root may read every file, but no directory as a file
    (tmp_path / "results").mkdir()
    bench.store.root.rename(tmp_path / "results" / "store")
    answer = CliRunner().invoke(app, ["status", "--results", str(tmp_path / "results")])
    assert answer.exit_code == 0
    told = " ".join(answer.stdout.split())
    assert f"unreadable: count [{odd.key}]" in told
    assert "manifest.json: cannot be read (Is a directory); its owner can make it readable" in told
    assert "complete" in told


@pytest.mark.parametrize(("command", "expected"), [("status", "count"), ("logs", "none has failed")])
def test_a_stage_that_cannot_be_listed_is_named_and_the_rest_shown(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, expected: str
) -> None:
    bench.run(bench.job("good"))
    (bench.store.root / "train").mkdir()
    (tmp_path / "results").mkdir()
    bench.store.root.rename(tmp_path / "results" / "store")
    listdir = os.listdir

    def refuse(directory: Path) -> list[str]:
        if Path(directory).name == "train":
            raise PermissionError(13, "Permission denied", str(directory))
        return listdir(directory)

    monkeypatch.setattr(os, "listdir", refuse)
    answer = CliRunner().invoke(app, [command, "--results", str(tmp_path / "results")])
    assert answer.exit_code == 0
    assert "cannot be" in answer.stderr and "train" in answer.stderr
    assert expected in answer.stdout


def test_a_job_that_cannot_be_read_fails_in_run_with_the_reason_and_is_not_made_again(bench: Any) -> None:
    job = bench.job("odd")
    bench.run(job)
    manifest = bench.store.directory(job.key) / "manifest.json"
    manifest.unlink()
    manifest.mkdir()
    assert bench.run(job) == {"odd": QueueState.FAILED}
    assert bench.computed() == {"odd 1": 1}
    (status,) = job_statuses(bench.store, [job.key])
    assert "cannot be read" in status.reason


@pytest.mark.parametrize(
    "content",
    [
        '{"done": "1", "total": 2, "unit": "", "seconds": 0, "figures": {}}',
        '{"done": 1, "total": 2, "unit": "", "seconds": 0, "figures": 3}',
        '{"done": 1, "total": 2, "unit": "", "seconds": 0, "figures": {"loss": null}}',
        '{"done": 1, "total": 2, "unit": "", "seconds": 0, "figures": {}, "totals": {"updates": 3}}',
        '{"done": "1", "total": 2, "unit": "", "seconds": 0, "figures": {"updates": 1}, "totals": {"updates": 3}}',
        '{"done": 1, "total": 2, "unit": "\\u001b[2J", "seconds": 0, "figures": {}}',
        '{"done": 1, "total": 2, "unit": "", "seconds": 0, "figures": {"\\u001b[2J": 1.0}}',
    ],
)
def test_progress_of_another_shape_is_no_progress(tmp_path: Path, content: str) -> None:
    (tmp_path / "progress.json").write_text(content)
    assert read_progress(tmp_path) is None


def test_progress_counts_each_thing_against_its_own_total() -> None:
    figures = {"env_steps": 512, "updates": 32, "loss": 1.23456}
    several = Progress(544, 1388, "env steps and updates", 1.0, figures, "evaluating 3/10", {"env_steps": 1200, "updates": 188})
    assert str(several) == "39 %  env_steps 512/1,200  updates 32/188  evaluating 3/10  loss 1.235"
    assert str(Progress(3, 10, "games", 1.0, {"env_steps": 40})) == "3/10 games  env_steps 40"
