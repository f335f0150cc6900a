"""`--budget`: what would not end in time is not started, what still runs is stopped, and what is left is told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.execute.local import Budget, LocalQueue, QueueState, parse_duration
from xtra.store.job import Job
from xtra.suite import summary
from xtra.suite.load import load_suite
from xtra.suite.plan import plan
from xtra.suite.summary import Cost, kind


@pytest.mark.parametrize(
    ("text", "seconds"), [("6h", 21_600), ("90m", 5_400), ("1.5d", 129_600), ("2h30m", 9_000), ("45s", 45), ("0.5h15s", 1_815)]
)
def test_times_are_read_in_the_usual_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "6 h", "6x", "-1h", "1h2", "h6", "6hm", "1e3s", "٣h"])
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match="for example 6h"):
        parse_duration(text)
    refused = CliRunner().invoke(app, ["run", "quick", f"--budget={text}"])
    assert (refused.exit_code, "--budget" in refused.output, "Traceback" in refused.output) == (2, True, False)


def job(name: str, steps: int = 1) -> Job:
    return Job("count", 1, {"name": name, "steps": steps})


@given(st.floats(1, 1e6), st.floats(0, 2e6), st.floats(0, 1e6))
def test_a_job_fits_when_what_it_still_needs_is_less_than_what_is_left(budget: float, needed: float, done: float) -> None:
    asked = job("a")
    fits = Budget(budget, {kind(asked): Cost(needed, 0.0)}).fits(asked, done)
    rest = max(0.0, needed - done)
    if abs(rest - budget) > 0.5:
        assert fits == (rest < budget)


def test_the_first_job_of_a_kind_tells_of_the_others_and_what_was_known_stays() -> None:
    known, unknown = job("known"), job("unknown", steps=2)
    budget = Budget(100, {kind(known): Cost(50.0, 0.0)})
    assert budget.fits(known, 0.0)
    assert budget.fits(unknown, 0.0)
    budget.learn(known, 1_000)
    budget.learn(unknown, 1_000)
    assert budget.fits(known, 0.0)
    assert not budget.fits(unknown, 0.0)
    assert not budget.spent
    assert Budget(0, {}).spent


def test_what_would_not_end_in_time_is_left_with_what_needs_it_and_the_rest_runs(bench: Any) -> None:
    short, long = bench.job("short"), bench.job("long", steps=30)
    needs_long, needs_short = bench.job("x", long), bench.job("y", short)
    costs = {kind(long): Cost(4_000.0, 0.0), kind(short): Cost(1.0, 0.0)}
    queue = bench.queue(short, long, needs_long, needs_short, budget=Budget(3_600, costs))
    queue.run(lambda queue: None)
    states = {queue.jobs[key].config["name"]: state for key, state in queue.states.items()}
    left, complete = QueueState.LEFT, QueueState.COMPLETE
    assert states == {"short": complete, "long": left, "x": left, "y": complete}
    assert set(bench.computed()) == {"short 1", "y 1"}


def test_while_the_machine_is_full_no_job_is_asked_how_long_it_has_run(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(bench.store, "seconds_spent", lambda key: asked.append(key) or 0.0)
    jobs = [bench.job(name, seconds=0.5) for name in "ab"]
    ticks: list[int] = []
    bench.queue(*jobs, cpus=1, budget=Budget(3_600, {})).run(lambda queue: ticks.append(1))
    assert len(ticks) > 5
    assert asked == [job.key for job in jobs]


def test_what_still_runs_at_the_end_is_stopped_saves_and_goes_on_later(bench: Any) -> None:
    endless, budget = bench.job("a", steps=4_000, seconds=0.05), Budget(1e6, {})

    def end_once_begun(queue: LocalQueue) -> None:
        if bench.computed() and queue.keys_in(QueueState.RUNNING):  # not only begun: the queue has noticed
            budget._deadline = time.monotonic()

    queue = bench.queue(endless, budget=budget)
    queue.run(end_once_begun)
    assert queue.states == {endless.key: QueueState.LEFT}
    assert queue.interrupted == [endless.key]
    done = len(bench.computed())
    assert 0 < done < 4_000
    assert f"goes on from step {done}" in bench.store.log_file(endless.key).read_text()


def test_the_command_says_what_is_left_and_goes_on_without_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    suite = tmp_path / "two.yaml"
    suite.write_text(SUITE)
    made = plan(load_suite(suite))
    costs = {kind(job): Cost(7_000.0, 1e6) for job in made.jobs.values()}
    assert len(costs) == 1
    monkeypatch.setattr(summary, "finished_costs", lambda store: costs)
    limited = CliRunner().invoke(app, ["run", str(suite), "--budget", "1h", "--no-report"])
    assert limited.exit_code == 1
    assert "2 jobs left for which --budget had no room (2 evaluate)" in limited.output
    assert "To run: about 3.9 hours of jobs, at least 1.9 hours from start to end" in limited.output
    assert not list(tmp_path.glob("results/store/evaluate/*/manifest.json"))
    assert "missing: Random/Catch/1" in limited.output
    rest = CliRunner().invoke(app, ["run", str(suite), "--budget", "2h", "--no-report"])
    assert rest.exit_code == 0, rest.output


SUITE = """\
suite: two
version: 1
question: Is there time?
protocol: catch
preset: tiny
seeds: [0, 1]
targets: [Catch]
methods:
  - name: Random
    agent: random
"""
