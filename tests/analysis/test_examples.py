"""The scripts in `examples/` as a reader starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def start(directory: Path, script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, EXAMPLES / script, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("analyse_a_run.py", "required: RUN"),
        ("analyse_a_run.py absent", "absent is not a run"),
        ("random_scores.py", "required: protocol, GAME"),
        ("random_scores.py catch Pong", "'Pong' is no game of protocol catch; valid games: Catch, "),
    ],
)
def test_wrong_arguments_are_answered_with_the_usage_and_what_is_valid(tmp_path: Path, command: str, said: str) -> None:
    done = start(tmp_path, *command.split())
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ") and said in done.stderr


def test_a_run_is_analysed(small_run: Path, tmp_path: Path) -> None:
    done = start(tmp_path, "analyse_a_run.py", small_run)
    assert done.returncode == 0, done.stderr
    assert "probability_of_improvement" in done.stdout
    assert (tmp_path / "aggregates.svg").exists()
