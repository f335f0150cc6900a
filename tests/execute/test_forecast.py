"""How far jobs are and how long the rest takes, on jobs whose kinds have finished before."""

from __future__ import annotations

import pytest

from xtra.execute.status import JobStatus, forecast
from xtra.store.job import Job
from xtra.store.store import State
from xtra.suite.summary import Cost, kind
from xtra.telemetry import Progress

SHORT = [Job("evaluate", 1, {"seed": seed}) for seed in range(4)]
LONG = Job("train", 1, {"seed": 0})
AFTER = Job("evaluate", 1, {"seed": 9}, {"network": (LONG.key,)})
COSTS = {kind(SHORT[0]): Cost(10.0, 0.0), kind(LONG): Cost(100.0, 0.0)}


def half(key: str) -> JobStatus:
    return JobStatus(key, State.RUNNING, Progress(done=50, total=100, unit="updates", seconds=1.0, figures={}))


def jobs(*listed: Job) -> dict[str, Job]:
    return {job.key: job for job in listed}


def test_jobs_weigh_what_their_kind_took_and_share_the_work_left() -> None:
    statuses = [
        half(LONG.key),
        JobStatus(SHORT[0].key, State.COMPLETE),
        half(SHORT[1].key),
        JobStatus(SHORT[2].key, State.WAITING),
    ]
    told = forecast(statuses, jobs(LONG, *SHORT[:3]), COSTS)
    assert told.percent == pytest.approx(100 * (50 + 10 + 5) / 130)
    assert told.seconds_left == 50.0  # 50 + 5 + 10 seconds on two machines, but the longest job alone takes 50
    assert told.unfinished == {LONG.key, SHORT[1].key, SHORT[2].key}
    one = forecast([half(SHORT[1].key), JobStatus(SHORT[2].key, State.WAITING)], jobs(*SHORT[1:3]), COSTS)
    assert one.seconds_left == 15.0


def test_a_chain_takes_as_long_as_its_jobs_together() -> None:
    statuses = [half(LONG.key), half(SHORT[0].key), JobStatus(AFTER.key, State.WAITING)]
    assert forecast(statuses, jobs(LONG, SHORT[0], AFTER), COSTS).seconds_left == 60.0


def test_of_kinds_that_never_finished_nothing_is_foretold_and_every_job_weighs_the_same() -> None:
    statuses = [half(LONG.key), JobStatus(SHORT[0].key, State.COMPLETE)]
    told = forecast(statuses, jobs(LONG, SHORT[0]), {})
    assert (told.percent, told.seconds_left) == (75.0, None)


def test_nothing_is_left_of_finished_jobs_and_no_time_is_foretold_where_nothing_runs() -> None:
    done = forecast([JobStatus(LONG.key, State.COMPLETE)], jobs(LONG), COSTS)
    assert (done.percent, done.seconds_left, done.unfinished) == (100.0, 0.0, frozenset())
    assert forecast([JobStatus(LONG.key, State.WAITING)], jobs(LONG), COSTS).seconds_left is None


def test_what_waits_behind_a_failed_job_is_blocked_and_not_left_to_do() -> None:
    told = forecast([JobStatus(LONG.key, State.FAILED), JobStatus(AFTER.key, State.WAITING)], jobs(LONG, AFTER), COSTS)
    assert (told.blocked, told.unfinished) == ({AFTER.key}, frozenset())
