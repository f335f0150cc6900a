"""What is counted on after a power cut has been handed to the disk before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xtra.execute import snapshot
from xtra.execute.snapshot import take_snapshot
from xtra.telemetry import Telemetry


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The inodes that were synced so far."""
    inodes: set[int] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        inodes.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return inodes


def test_the_metrics_that_a_checkpoint_counts_are_on_the_disk(synced: set[int], tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path)
    assert telemetry.size() == 0
    telemetry.metrics(updates=1, loss=0.5)
    assert telemetry.size() == (tmp_path / "metrics.jsonl").stat().st_size > 0
    assert {path.stat().st_ino for path in (tmp_path, tmp_path / "metrics.jsonl")} <= synced


def test_a_copy_of_the_code_is_on_the_disk_before_it_has_its_name(
    synced: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, unsynced = snapshot._move, list[Path]()

    def moved(temporary: Path, target: Path) -> None:
        unsynced.extend(path for path in (temporary, *temporary.rglob("*")) if path.stat().st_ino not in synced)
        move(temporary, target)

    monkeypatch.setattr(snapshot, "_move", moved)
    assert take_snapshot(tmp_path).is_file()
    assert not unsynced
    assert tmp_path.stat().st_ino in synced
