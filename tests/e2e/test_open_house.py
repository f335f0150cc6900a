"""A plugin's game, an environment of Gymnasium and a flavour of Atari in one suite, through a kill, to a report."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FILES = Path(__file__).parents[1] / "plugins" / "open_house"
COMMAND = [str(Path(sys.executable).parent / "xtra-bench"), "run", "open_house.yaml", "--set", "training.checkpoint_interval=2"]
CONSENTING = [*COMMAND, "--trust-plugins"]


@pytest.fixture(autouse=True)
def no_consent_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def files(directory: Path) -> Path:
    """A directory with the suite and the plugin, and nothing else."""
    directory.mkdir()
    for name in ("my_game.py", "open_house.yaml"):
        shutil.copy(FILES / name, directory / name)
    return directory


def finish(directory: Path, command: list[str]) -> Path:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (directory / done.stdout.strip().splitlines()[-1]).parent


def tables(run: Path) -> dict[str, str]:
    return {name: (run / name).read_text() for name in ("scores.csv", "episodes.csv", "curves.csv")}


def test_a_suite_of_an_open_house_goes_on_after_a_kill_and_its_report_names_the_plugins(tmp_path: Path) -> None:
    undisturbed = finish(files(tmp_path / "undisturbed"), CONSENTING)
    killed = files(tmp_path / "killed")
    launcher = subprocess.Popen(CONSENTING, cwd=killed, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 300
    while not list(killed.rglob("checkpoints/step-*")):
        assert time.monotonic() < deadline, "no checkpoint in five minutes"
        assert launcher.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    # Consent was given, and the file that the jobs were planned with is kept: what is done to it now touches only new plans.
    resumed = finish(killed, COMMAND)
    assert tables(resumed) == tables(undisturbed)
    scores = tables(resumed)["scores.csv"]
    assert scores.count(",complete,") == 3
    assert all(f",{game}," in scores for game in ("Lamps", "gymnasium:CartPole-v1", "Breakout@mode=12"))
    page = (resumed / "report.html").read_text(encoding="utf-8")
    assert "my_game.py (source sha256:" in page
    assert "gymnasium (1." in page
