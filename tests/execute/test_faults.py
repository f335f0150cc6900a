"""The campaign of benchmarks/faults, with one fault of each kind; and that it notices bugs planted on purpose."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "faults" / "faults.py"


def campaign(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=240)


def test_no_fault_loses_duplicates_or_corrupts_and_a_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out = tmp_path / "faults.jsonl"
    done = campaign("--trials", "1", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = out.read_text().splitlines()
    trials = [json.loads(line) for line in lines]
    assert sum(trial["struck"] for trial in trials) == 10
    assert len({trial["kind"] for trial in trials}) == 10
    out.write_text("".join(f"{line}\n" for line in lines[:-1]))
    assert campaign("--trials", "1", "--out", str(out)).stdout == done.stdout
    assert len(out.read_text().splitlines()) == len(lines)


@pytest.mark.parametrize(
    ("bug", "kind", "count"),
    [("claims are not respected", "two launchers", "duplicated"), ("checkpoints are not verified", "flipped bit", "corrupt")],
)
def test_a_planted_bug_is_caught(tmp_path: Path, bug: str, kind: str, count: str) -> None:
    out = tmp_path / "faults.jsonl"
    # Whether one fault meets the bug is chance, and depends on the machine's speed: a campaign goes on until one does.
    for trials in ("8", "16", "32", "64", "128"):
        done = campaign("--trials", trials, "--plant", bug, "--kinds", kind, "--out", str(out))
        if done.returncode != 0:
            break
    assert done.returncode == 1, done.stdout + done.stderr
    assert sum(json.loads(line)[count] for line in out.read_text().splitlines()) > 0
