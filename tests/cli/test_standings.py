"""`xtra-bench status` and `logs` on a store of jobs that nobody had to run."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.store.job import Job
from xtra.store.store import Store


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


def test_logs_shows_what_failed_and_then_what_diverged(shop: Shop) -> None:
    shop.job("waiting")
    assert "1 job: none has failed or diverged" in shop.command("logs")
    diverged, failed = shop.job("diverged"), shop.job("failed")
    shop.finish(diverged, "diverged")
    shop.fail(failed)
    told = shop.command("logs")
    assert told.index(f"==> {failed.key} (train): failed") < told.index(f"==> {diverged.key} (train): diverged after")
    assert "diverged: so it is" in told
