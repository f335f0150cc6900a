"""The main job as its user types it: a suite file in, a report out, twice alike, through a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SUITE = Path(__file__).resolve().parents[2] / "suites" / "catch.yaml"
COMMAND = str(Path(sys.executable).parent / "xtra-bench")
SMALL = {
    "training.env_steps": 400,
    "training.curve_interval": 200,
    "training.curve_episodes": 2,
    "training.checkpoint_interval": 10,
    "agent.acting.num_envs": 4,
    "agent.search.num_simulations": 2,
    "agent.optimizer.batch_size": 8,
    "agent.replay.min_transitions": 100,
    "evaluation.num_episodes": 10,
}


def arguments(directory: Path, seeds: str = "0") -> list[str]:
    changes = [part for path, value in SMALL.items() for part in ("--set", f"{path}={value}")]
    return [COMMAND, "run", str(SUITE), "--seeds", seeds, "--only", "EfficientZero", "--only", "Random", *changes]


def run(directory: Path, seeds: str = "0", command: list[str] | None = None, seconds: float = 300) -> tuple[Path, str]:
    """Runs to the end; the directory of the run, and what was printed."""
    directory.mkdir(exist_ok=True)
    done = subprocess.run(
        command or arguments(directory, seeds), cwd=directory, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = directory / done.stdout.strip().splitlines()[-1]
    assert report.name == "report.html"
    return report.parent, done.stdout


def rows(run_directory: Path) -> dict[str, str]:
    return {name: (run_directory / name).read_text() for name in ("scores.csv", "episodes.csv", "curves.csv")}


def test_a_suite_becomes_a_report_and_is_not_computed_again(tmp_path: Path) -> None:
    first, _ = run(tmp_path)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "results" / "store").rglob("manifest.json")}
    assert len(made) == 3  # one training, two evaluations
    second, _ = run(tmp_path)
    assert second == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "results" / "store").rglob("manifest.json")} == made
    page = (first / "report.html").read_text()
    assert "EfficientZero" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")


def test_equal_seeds_give_equal_rows_in_another_directory_and_other_seeds_do_not(tmp_path: Path) -> None:
    a, _ = run(tmp_path / "a")
    b, _ = run(tmp_path / "b")
    c, _ = run(tmp_path / "c", seeds="1")
    assert rows(a) == rows(b)
    episodes = {
        directory: [line.split(",")[7:] for line in rows(directory)["episodes.csv"].splitlines()[1:]] for directory in (a, c)
    }
    assert episodes[a] != episodes[c]


def test_a_run_killed_without_warning_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    undisturbed, _ = run(tmp_path / "undisturbed")
    killed = tmp_path / "killed"
    killed.mkdir()
    launcher = subprocess.Popen(arguments(killed), cwd=killed, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(killed.rglob("checkpoints/step-*")):
        assert time.monotonic() < deadline, "no checkpoint in two minutes"
        assert launcher.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    resumed, _ = run(killed)
    assert rows(resumed) == rows(undisturbed)


def test_the_whole_of_xtra_resumes_after_a_kill_between_its_stages(tmp_path: Path) -> None:
    """Source runs, datasets, teachers, labels, a student, finetuning with cross-tasks and scratch beside it; wiring sizes."""
    suite = SUITE.with_name("catch_transfer.yaml")
    command = [COMMAND, "run", str(suite), "--seeds", "0", "--set", "size=smoke", "--set", "sources=[CatchInverted, CatchWide]"]
    undisturbed, _ = run(tmp_path / "undisturbed", command=command)
    assert (undisturbed / "task_weights.csv").read_text().count("CatchWide") > 0
    killed = tmp_path / "killed"
    killed.mkdir()
    launcher = subprocess.Popen(command, cwd=killed, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 240
    while len(list((killed / "results").rglob("manifest.json"))) < 6:
        assert time.monotonic() < deadline, "not six jobs in four minutes"
        assert launcher.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    resumed, _ = run(killed, command=command)
    names = ("scores.csv", "episodes.csv", "curves.csv", "task_weights.csv")
    assert {n: (resumed / n).read_text() for n in names} == {n: (undisturbed / n).read_text() for n in names}


@pytest.mark.slow
def test_the_diverse_study_runs_whole_in_smoke_size(tmp_path: Path) -> None:
    """8 sources, 5 targets, 1 seed, on real Atari: 53 jobs."""
    suite = SUITE.with_name("diverse.yaml")
    directory, _ = run(tmp_path, command=[COMMAND, "run", str(suite), "--seeds", "0", "--set", "size=smoke"], seconds=3_000)
    scores = (directory / "scores.csv").read_text().splitlines()[1:]
    assert len(scores) == 10
    assert all(",complete," in row for row in scores)
