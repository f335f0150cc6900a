"""The scripts in `examples/` as a reader starts them."""

from __future__ import annotations

import csv
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
        ("analyse_a_run.py absent", "absent: no such directory"),
        ("random_scores.py", "required: protocol, GAME"),
        ("random_scores.py catch Pong", "'Pong' is no game of protocol catch; valid games: Catch, "),
        ("random_scores.py atari-smoke Pong@mode=2", "Pong has no mode 2; modes of Pong: 0, 1; difficulties: 0, 1, 2, 3"),
        ("random_scores.py catch Catch --episodes 1", "--episodes: a standard error needs at least 2"),
    ],
)
def test_wrong_arguments_are_answered_with_the_usage_and_what_is_valid(tmp_path: Path, command: str, said: str) -> None:
    done = start(tmp_path, *command.split())
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ") and said in done.stderr


def test_a_random_agent_is_measured_in_a_flavour(tmp_path: Path) -> None:
    done = start(tmp_path, "random_scores.py", "atari-smoke", "Breakout@mode=12,difficulty=1", "--episodes", "2")
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader(done.stdout.splitlines())
    assert (row["game"], row["num_episodes"], row["seed"]) == ("Breakout@mode=12,difficulty=1", "2", "0")
    assert 0 <= float(row["mean_episode_return"]) < 10


def test_a_run_is_analysed(small_run: Path, tmp_path: Path) -> None:
    done = start(tmp_path, "analyse_a_run.py", small_run)
    assert done.returncode == 0, done.stderr
    assert "probability_of_improvement" in done.stdout
    assert (tmp_path / "aggregates.svg").exists()
