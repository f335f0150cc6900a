"""Weights & Biases shows what the JSON lines say, if a project is named, and a tracker that fails stops nothing."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xtra.telemetry import PROJECT_VARIABLE, Telemetry


class Tracker:
    """Stands for the module `wandb`: keeps what a run is begun with and what is logged."""

    def __init__(self, failing: str = "") -> None:
        self.begun: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0
        self._failing = failing

    def init(self, **options: Any) -> Tracker:
        if self._failing == "init":
            raise RuntimeError("no such entity")
        self.begun.append(options)
        return self

    def log(self, values: dict[str, Any], step: int) -> None:
        if self._failing == "log":
            raise RuntimeError("broken pipe")
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished += 1

    Settings = SimpleNamespace


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The work directory of a job, and an environment that names a project."""
    monkeypatch.setenv(PROJECT_VARIABLE, "xtra")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    directory = tmp_path / "train-abc" / "work"
    directory.mkdir(parents=True)
    (directory.parent / "job.json").write_text('{"stage": "train", "config": {"seed": 3}}')
    return directory


def test_a_job_is_a_run_of_its_key_offline_with_its_settings(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker()
    monkeypatch.setitem(sys.modules, "wandb", tracker)  # type: ignore[arg-type]
    job = Telemetry(work)
    job.metrics(updates=1, loss=2.0)
    job.metrics(updates=2, loss=1.0)
    (options,) = tracker.begun
    assert (options["project"], options["id"], options["mode"], options["dir"]) == ("xtra", "train-abc", "offline", str(work))
    assert options["config"] == {"stage": "train", "config": {"seed": 3}}
    assert tracker.logged == [(0, {"updates": 1, "loss": 2.0}), (1, {"updates": 2, "loss": 1.0})]


def test_a_resumed_job_logs_its_lines_again_without_those_after_its_checkpoint(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker()
    monkeypatch.setitem(sys.modules, "wandb", tracker)  # type: ignore[arg-type]
    job = Telemetry(work)
    job.metrics(updates=1, loss=2.0)
    size = job.size()
    job.metrics(updates=2, loss=9.0)
    tracker.logged.clear()
    job.rewind(size)
    job.metrics(updates=2, loss=1.0)
    assert tracker.finished == 1
    assert tracker.logged == [(0, {"updates": 1, "loss": 2.0}), (1, {"updates": 2, "loss": 1.0})]


@pytest.mark.parametrize("failing", ["init", "log"])
def test_a_tracker_that_fails_is_given_up_with_a_word_and_the_record_is_whole(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failing: str
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", Tracker(failing))  # type: ignore[arg-type]
    job = Telemetry(work)
    for update in range(3):
        job.metrics(updates=update, loss=1.0)
    assert capsys.readouterr().out.count("Weights & Biases fails: RuntimeError: ") == 1
    assert len((work / "metrics.jsonl").read_text().splitlines()) == 3


def test_without_the_extra_the_remedy_is_told(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    Telemetry(work).metrics(updates=1, loss=1.0)
    assert "pip install 'xtra-bench[wandb]'" in capsys.readouterr().out


def test_without_a_project_nothing_is_tracked(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker()
    monkeypatch.setitem(sys.modules, "wandb", tracker)  # type: ignore[arg-type]
    monkeypatch.delenv(PROJECT_VARIABLE)
    Telemetry(work).metrics(updates=1, loss=1.0)
    assert tracker.begun == []


def test_the_real_tracker_keeps_every_line_offline(work: Path) -> None:
    """Only where the extra is installed. Values are text in the file that `wandb sync` sends."""
    pytest.importorskip("wandb")
    job = Telemetry(work)
    job.metrics(updates=1, loss=2.53125)
    job.metrics(updates=2, loss=1.53125)
    job.rewind(job.size())  # ends the run, which a process of the tracker writes
    deadline, written = time.monotonic() + 30, b""
    while time.monotonic() < deadline and written.count(b"loss") < 2:
        time.sleep(0.1)
        (path,) = work.glob("wandb/offline-run-*-train-abc/*.wandb")
        written = path.read_bytes()
    assert written.count(b"2.53125") == written.count(b"1.53125") > 0
