"""`xtra-bench run`, `status` and `logs` as a person types them, on an agent that acts at random in Catch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.store.provenance import hardware
from xtra.store.store import Store
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

SUITE = """\
suite: tiny
version: 1
question: Does it run?
protocol: catch
preset: tiny
seeds: [0]
targets: [Catch]
methods:
  - name: Random
    agent: random
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from xtra.cli.main import main; main()", *arguments]


def bench(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command where there is neither SLURM nor a GPU."""
    env = {**os.environ, "PATH": str(directory), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command(*arguments), cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False)


def evaluate_key(directory: Path) -> str:
    return next((directory / "results" / "store" / "evaluate").iterdir()).name


def test_a_suite_runs_to_its_rows_and_again_without_computing_anything(directory: Path) -> None:
    first = bench(directory, "run", "suite.yaml", "--no-report")
    assert first.returncode == 0, first.stderr
    run = directory / first.stdout.splitlines()[-1]
    assert run.parent == directory / "results" / "runs"
    assert "1 job: 1 complete" in first.stdout.splitlines()
    rows = (run / "scores.csv").read_text()
    assert rows.splitlines()[1].startswith("tiny,1,catch,Random,random,Catch,0,complete,-0.")
    assert (run / "suite.yaml").read_text() == SUITE
    manifest = directory / "results" / "store" / "evaluate" / evaluate_key(directory) / "manifest.json"
    made = manifest.stat().st_mtime_ns
    again = bench(directory, "run", "suite.yaml", "--no-report")
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert manifest.stat().st_mtime_ns == made
    assert (run / "scores.csv").read_text() == rows
    assert "complete" in bench(directory, "status", "suite.yaml").stdout
    logs = bench(directory, "logs", "Rand*/Catch").stdout
    assert logs.startswith(f"==> {evaluate_key(directory)} (evaluate Catch seed 0): complete after ")
    assert f"UTC: {evaluate_key(directory)} on " in logs
    assert "1 job: none has failed or diverged" in bench(directory, "logs").stdout
    assert "try 'Random/Catch/0'" in bench(directory, "logs", "Rndom/Catch/0").stderr


def test_what_is_run_again_is_computed_from_its_start_to_the_same_rows(directory: Path) -> None:
    run = directory / bench(directory, "run", "suite.yaml", "--no-report").stdout.splitlines()[-1]
    rows, key = (run / "scores.csv").read_text(), evaluate_key(directory)
    manifest = directory / "results" / "store" / "evaluate" / key / "manifest.json"
    before = manifest.stat().st_mtime_ns
    dry_run = bench(directory, "run", "suite.yaml", "--rerun", "Random", "--dry-run").stdout
    assert ["evaluate", "1", "0", "1"] in [line.replace("│", " ").split() for line in dry_run.splitlines()]
    assert manifest.stat().st_mtime_ns == before
    again = bench(directory, "run", "suite.yaml", "--rerun", "Rand*/Catch", "--no-report")
    assert again.returncode == 0, again.stderr
    assert "1 job of --rerun: from the start" in again.stdout
    assert manifest.stat().st_mtime_ns > before
    assert (run / "scores.csv").read_text() == rows
    wrong = bench(directory, "run", "suite.yaml", "--rerun", "Rnd/Catch")
    assert (wrong.returncode, "did you mean 'Random/Catch'?" in wrong.stderr) == (2, True)


def test_a_job_that_another_process_begins_keeps_those_after_it_from_being_reopened(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Store, "reopen", lambda store, key: asked.append(key))
    arguments = [str(directory / "suite.yaml"), "--seeds", "0-2", "--rerun", "Random", "--results", str(directory / "results")]
    refused = CliRunner().invoke(app, ["run", *arguments])
    assert refused.exit_code == 2
    assert len(asked) == 1
    assert f"--rerun: {asked[0]} is being computed by another process" in refused.stderr


def test_a_run_says_that_a_job_gets_less_than_it_asks_for(directory: Path) -> None:
    (directory / "suite.yaml").write_text(SUITE + "resources:\n  evaluate: {cpus: 4096, gpus: 1}\n")
    said = [
        "1 job asks for a GPU and this machine has none: it will run on the CPU",
        "1 job asks for more than this machine has (1 core, ",
    ]
    told = [
        bench(directory, "run", "suite.yaml", "--workers", "1", *options).stdout for options in (["--dry-run"], ["--no-report"])
    ]
    assert [line in text for line in said for text in told] == [True] * 4
    assert "asks for" not in bench(directory, "run", "suite.yaml", "--no-report").stdout


def test_rows_say_which_suite_was_run_though_its_file_is_gone_by_then(directory: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(directory)}
    (directory / "sitecustomize.py").write_text(
        "import sys, pathlib\n"
        "if 'xtra.execute.worker' in sys.orig_argv: pathlib.Path(__file__).with_name('suite.yaml').unlink(missing_ok=True)\n"
    )
    arguments = command("run", "suite.yaml", "--no-report")
    done = subprocess.run(arguments, cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not (directory / "suite.yaml").exists()
    assert (directory / done.stdout.splitlines()[-1] / "suite.yaml").read_text() == SUITE


def test_a_failing_job_is_named_with_the_command_that_shows_its_log(directory: Path) -> None:
    bench(directory, "run", "suite.yaml", "--dry-run")
    assert not (directory / "results").exists()
    env = {**os.environ, "PYTHONPATH": str(directory)}
    (directory / "sitecustomize.py").write_text(
        "import sys\nif 'xtra.execute.worker' in sys.orig_argv: sys.modules['torch'] = None\n"
    )
    arguments = command("run", "suite.yaml", "--no-report")
    failed = subprocess.run(arguments, cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False)
    key = evaluate_key(directory)
    assert failed.returncode == 1
    assert f"xtra-bench logs {key}" in failed.stdout
    assert "ModuleNotFoundError" in failed.stdout
    assert "1 of 1 cell without a score; the same command tries what failed once more" in failed.stdout
    assert "failed: Random/Catch/0" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr
    logs = bench(directory, "logs")
    assert key in logs.stdout
    assert "Traceback" in logs.stdout
    assert "ModuleNotFoundError" in bench(directory, "status").stdout


def test_a_job_that_cannot_be_written_is_named_with_the_reason(directory: Path) -> None:
    store = Store(directory / "results" / "store")
    (job,) = plan(load_suite(directory / "suite.yaml")).jobs.values()
    store.add(job)
    store.work(job.key).write_text("a file where a directory should be")
    told = bench(directory, "run", "suite.yaml", "--no-report")
    assert told.returncode == 1, told.stderr
    assert f"failed: evaluate Random/Catch/0: results/store/evaluate/{job.key}/work: File exists" in told.stdout


def test_what_diverged_is_not_said_to_be_tried_again(directory: Path) -> None:
    store = Store(directory / "results" / "store")
    for job in plan(load_suite(directory / "suite.yaml")).jobs.values():
        store.add(job)
        attempt = store.begin(job.key)
        assert attempt is not None
        store.commit(attempt, "diverged", 1.0, {"hardware": hardware()})
        attempt.claim.release()
    told = bench(directory, "run", "suite.yaml", "--no-report")
    assert told.returncode == 1
    assert "diverged: Random/Catch/0" in told.stdout
    assert "what diverged is not tried again" in told.stdout
    assert "once more" not in told.stdout


def test_a_job_of_an_earlier_run_is_said_to_go_on_or_to_begin_again(directory: Path) -> None:
    store = Store(directory / "results" / "store")
    (job,) = plan(load_suite(directory / "suite.yaml")).jobs.values()
    store.add(job)
    store.work(job.key).mkdir()
    told = bench(directory, "run", "suite.yaml", "--no-report")
    assert told.stdout.startswith("evaluate Random/Catch/0: begins again: it has no checkpoint yet\n")
    assert "begins again" not in bench(directory, "run", "suite.yaml", "--no-report").stdout


def heed_interrupts() -> None:
    """In a child before it starts: Ctrl-C counts, also where the tests themselves run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_says_how_to_go_on(directory: Path) -> None:
    launcher = subprocess.Popen(
        command("run", "suite.yaml"),
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=heed_interrupts,
    )
    deadline = time.monotonic() + 20
    while not list(directory.glob("results/store/evaluate/*/work/log.txt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    launcher.send_signal(signal.SIGINT)
    _, said = launcher.communicate(timeout=20)
    assert launcher.returncode == 130
    assert said == "stopped; the same command goes on from here\n"


def test_ctrl_c_says_how_to_go_on_while_the_report_is_made_too(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(runs: Sequence[Path]) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("xtra.cli.run._execute", lambda *_: None)
    monkeypatch.setattr("xtra.results.finish.report", interrupted)
    stopped = CliRunner().invoke(app, ["run", str(directory / "suite.yaml"), "--results", str(directory / "results")])
    assert (stopped.exit_code, stopped.stderr) == (130, "stopped; the same command goes on from here\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status",), "no jobs yet"),
        (("logs",), "no jobs yet"),
        (("logs", "trian-12"), "no jobs yet"),
        (("cancel",), "SLURM has no job of this directory"),
        (("cancel", "--only", "DoesNotExist/*"), "--only requires a suite FILE"),
        (("status", "--seeds", "99"), "--seeds requires a suite FILE"),
        (("run", "suite.yaml", "--dry-run"), "on this machine: "),
        (("run", "suite.yaml", "--dry-run", "--profile", "site.yaml"), "--profile requires --executor slurm"),
        (
            ("run", "suite.yaml", "--dry-run", "--executor", "slurm", "--profile", "site.yaml"),
            "--profile: site.yaml: no such file",
        ),
        (("run", "suite.yaml", "--dry-run", "--executor", "slurm"), "or leave out --executor slurm"),
        (("run", "absent.yaml"), "absent.yaml"),
        (("run", "suite.yaml", "--only", "Rnadom"), "matches no cell"),
    ],
)
def test_there_is_an_answer_and_no_traceback_where_there_is_nothing(
    directory: Path, arguments: Sequence[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(directory))  # this machine may have a SLURM
    answer = bench(directory, *arguments)
    assert said in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (directory / "results").exists()


def test_results_that_cannot_be_written_are_a_message(directory: Path) -> None:
    (directory / "results").write_text("a file where a directory should be")
    answer = bench(directory, "run", "suite.yaml")
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert "results" in answer.stderr


def test_the_launcher_imports_no_torch_and_no_pandas(directory: Path) -> None:
    code = (
        "import sys, xtra.cli.run, xtra.cli.progress, xtra.cli.status, xtra.cli.logs, xtra.execute.local, xtra.execute.status, "
    )
    code += "xtra.execute.suite_run, xtra.execute.status; print({'torch', 'pandas', 'matplotlib', 'seaborn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
