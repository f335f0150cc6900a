"""`xtra-bench status` and `logs` on a store of jobs that nobody had to run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.execute.suite_run import recorded_cells
from xtra.store.job import Job
from xtra.store.rows import Cell
from xtra.store.store import Store
from xtra.telemetry import Telemetry


class Shop:
    """A directory of results, and jobs that end as they are told to."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.store = Store(results / "store")

    def job(self, name: str, *before: Job) -> Job:
        job = Job("train", 1, {"name": name}, {"before": tuple(one.key for one in before)})
        self.store.add(job)
        return job

    def fail(self, job: Job) -> None:
        self.store.work(job.key).mkdir()
        self.store.error_file(job.key).write_text("the ball went through the floor\n")

    def finish(self, job: Job, status: str) -> None:
        attempt = self.store.begin(job.key)
        assert attempt is not None
        self.store.log_file(job.key).write_text(f"update 7\n{status}: so it is\n")
        self.store.commit(attempt, status, 1.0, {})
        attempt.claim.release()

    def command(self, *arguments: str) -> str:
        done = CliRunner().invoke(app, [*arguments, "--results", str(self.results)])
        if done.exception is not None:
            raise done.exception
        return done.stdout


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


class LookedAgain(Exception):
    """The command would go on watching."""


def looked_again(seconds: float) -> None:
    raise LookedAgain


@pytest.mark.parametrize("end", ["failed", "diverged"])
def test_watching_ends_when_what_is_left_is_blocked(shop: Shop, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr("time.sleep", looked_again)
    first = shop.job("first")
    second = shop.job("second", first)
    shop.job("third", second)
    with pytest.raises(LookedAgain):
        shop.command("status", "--watch")
    shop.fail(first) if end == "failed" else shop.finish(first, end)
    assert end in shop.command("status", "--watch")
    shop.job("another")
    with pytest.raises(LookedAgain):
        shop.command("status", "--watch")


def test_status_names_what_is_blocked_and_how_far_everything_is(shop: Shop) -> None:
    first = shop.job("first")
    shop.job("second", shop.job("between", first))
    shop.finish(shop.job("other"), "complete")
    assert "blocked" not in shop.command("status")
    shop.fail(first)
    lines = shop.command("status").splitlines()
    assert "blocked: 2 jobs, behind one that has failed or diverged" in lines
    assert lines[-1] == "25 % done"


def test_status_tells_how_far_interrupted_jobs_are_and_from_where_they_go_on(shop: Shop) -> None:
    saved, new = shop.job("saved"), shop.job("new")
    for job in (saved, new):
        shop.store.work(job.key).mkdir()
    checkpoints = shop.store.work(saved.key) / "checkpoints"
    checkpoints.mkdir()
    telemetry, totals = Telemetry(shop.store.work(saved.key)), {"env_steps": 1_200, "updates": 800}
    telemetry.progress(1_000, 2_000, "env steps and updates", {"env_steps": 600, "updates": 400, "loss": 0.5}, totals=totals)
    telemetry.keep_progress(checkpoints)
    telemetry.progress(1_500, 2_000, "env steps and updates", {"env_steps": 900, "updates": 600}, totals=totals, force=True)
    lines = shop.command("status").splitlines()
    assert f"interrupted: train [{saved.key}]  goes on from 50 %  env_steps 600/1,200  updates 400/800" in lines
    assert f"interrupted: train [{new.key}]  begins again: it has no checkpoint yet" in lines
    assert lines[-1] == "25 % done"
    listed = {one["key"]: one["done"] for one in json.loads(shop.command("status", "--json"))["listed"]}
    assert listed == {saved.key: 1_000, new.key: None}


def test_a_job_whose_record_cannot_be_read_is_said_to_be_one(shop: Shop) -> None:
    job = shop.job("mine")
    shop.fail(job)
    (shop.store.directory(job.key) / "job.json").write_text("{")
    assert f"failed: job.json cannot be read [{job.key}]" in shop.command("status")


def test_status_without_a_file_names_the_methods_of_the_runs_here(shop: Shop) -> None:
    job = shop.job("mine")
    shop.fail(job)
    cell = Cell("s", 1, "catch", "My method", "efficientzero", "Catch", 3, job.key, "evaluate-0")
    run = shop.results / "runs" / "s-1"
    run.mkdir(parents=True)
    (run / "plan.json").write_text(json.dumps({"cells": [asdict(cell)]}))
    assert f"failed: train My method/Catch/3 [{job.key}]" in shop.command("status")


def test_a_plan_with_a_cell_of_the_wrong_kind_is_passed_over(shop: Shop) -> None:
    shop.fail(shop.job("mine"))
    cell = asdict(Cell("s", 1, "catch", "My method", "efficientzero", "Catch", 3, None, "evaluate-0"))
    for name, text in (("s-1", json.dumps({"cells": [cell | {"method": 3}]})), ("s-2", "[" * 100_000)):
        (shop.results / "runs" / name).mkdir(parents=True)
        (shop.results / "runs" / name / "plan.json").write_text(text)
    assert list(recorded_cells(shop.results)) == []
    assert "failed: train [" in shop.command("status")
    assert "not readable, or of another release" in shop.command("list", "runs")


def test_status_as_json_counts_the_same(shop: Shop) -> None:
    first = shop.job("first")
    shop.job("second", first)
    shop.fail(first)
    record = json.loads(shop.command("status", "--json"))
    assert (record["jobs"], record["states"], record["percent"]) == (2, {"failed": 1, "waiting": 1}, 0.0)
    assert [one["key"] for one in record["listed"]] == [first.key]
    assert len(record["blocked"]) == 1 and record["seconds_left"] is None


def test_escapes_in_what_others_wrote_do_not_reach_the_terminal(shop: Shop) -> None:
    job = shop.job("mine")
    shop.fail(job)
    shop.store.error_file(job.key).write_text("\x1b]0;title\x07 \x1b[31mred\n")
    shop.store.log_file(job.key).write_text("a\tb \x1b[2Jgone\n")
    for command in ("status", "logs"):
        printed = shop.command(command)
        assert all(character.isprintable() or character in "\n\t" for character in printed)
        assert "<U+001B>" in printed
    assert "a\tb" in shop.command("logs")


def test_following_a_log_prints_what_is_added_until_the_job_ends(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    job = shop.job("mine")
    shop.store.work(job.key).mkdir()
    log = shop.store.log_file(job.key)
    log.write_text("before\n")
    looks = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            log.write_text("before\nfirst\nhal")
        elif len(looks) == 2:
            log.write_text("before\nfirst\nhalf\x1b[2J\n")
        else:
            shop.store.error_file(job.key).write_text("the ball went through the floor\n")

    monkeypatch.setattr("time.sleep", look)
    printed = shop.command("logs", job.key, "--follow").splitlines()
    assert printed[-3:] == ["", "first", "half<U+001B>[2J"]
    assert len(looks) == 3


def test_logs_shows_what_failed_and_then_what_diverged(shop: Shop) -> None:
    shop.job("waiting")
    assert "1 job: none has failed or diverged" in shop.command("logs")
    diverged, failed = shop.job("diverged"), shop.job("failed")
    shop.finish(diverged, "diverged")
    shop.fail(failed)
    told = shop.command("logs")
    assert told.index(f"==> {failed.key} (train): failed") < told.index(f"==> {diverged.key} (train): diverged after")
    assert "diverged: so it is" in told


def test_a_plan_of_which_nothing_has_begun_is_told_beside_runs_of_its_suite(shop: Shop) -> None:
    status = ("status", "catch", "--only", "Random/*/0")
    assert shop.command(*status).splitlines()[-1] == "0 % done"
    cell = Cell("catch", 2, "catch", "Random", "random", "Catch", 7, None, "evaluate-of-another-seed")
    (shop.results / "runs" / "catch").mkdir(parents=True)
    (shop.results / "runs" / "catch" / "plan.json").write_text(json.dumps({"cells": [asdict(cell)]}))
    hint = "runs of catch here have other settings: a run's --set and --seeds are part of its jobs"
    assert shop.command(*status).splitlines()[-1] == hint
    assert hint not in shop.command("status", "reanalysis")
