"""The queue: dependencies, cores, failures, interruptions, and two of them at once."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from xtra.execute.local import LocalQueue, QueueState, critical_first
from xtra.store.store import State
from xtra.telemetry import read_progress

WaitUntil = Callable[[Callable[[], object]], None]


def workers_of(bench: Any) -> list[psutil.Process]:
    marker = str(bench.store.root)
    return [process for process in psutil.process_iter(["cmdline"]) if marker in (process.info["cmdline"] or [])]


def test_jobs_run_after_their_inputs_and_running_again_computes_nothing(bench: Any) -> None:
    a, b = bench.job("a"), bench.job("b")
    c = bench.job("c", a, b)
    assert bench.run(a, b, c) == {"a": QueueState.COMPLETE, "b": QueueState.COMPLETE, "c": QueueState.COMPLETE}
    assert bench.ledger.read_text().split()[-3] == "c"
    bench.run(a, b, c)
    assert set(bench.computed().values()) == {1}


def test_a_failure_stops_what_needs_it_and_nothing_else(bench: Any) -> None:
    bad, nan, killed, exits, good = (bench.job(name, fault=name) for name in ("raise", "diverge", "kill", "exit", ""))
    after_bad, after_nan, last = bench.job("x", bad), bench.job("y", nan), bench.job("z", good)
    states = bench.run(bad, nan, killed, exits, good, after_bad, after_nan, last)
    assert states == {
        "raise": QueueState.FAILED,
        "diverge": QueueState.DIVERGED,
        "kill": QueueState.FAILED,
        "exit": QueueState.FAILED,
        "": QueueState.COMPLETE,
        "x": QueueState.BLOCKED,
        "y": QueueState.BLOCKED,
        "z": QueueState.COMPLETE,
    }
    assert "SIGKILL" in bench.error(killed)
    assert "exited with status 5" in bench.error(exits)
    assert "the ball went through the floor" in bench.store.log_file(bad.key).read_text()


def test_no_more_cores_are_used_than_there_are(bench: Any) -> None:
    jobs = [bench.job(name, steps=2, seconds=0.02, cpus=cpus) for name, cpus in (("a", 1), ("b", 2), ("c", 1), ("d", 64))]
    used: list[int] = []

    def observe(queue: LocalQueue) -> None:
        busy = [*queue.keys_in(QueueState.STARTING), *queue.keys_in(QueueState.RUNNING)]
        used.append(sum(min(queue.jobs[key].resources.cpus, 2) for key in busy))

    queue = bench.queue(*jobs, cpus=2)
    queue.run(observe)
    assert max(used) == 2
    assert set(queue.states.values()) == {QueueState.COMPLETE}


def test_a_job_runs_from_the_moment_its_worker_has_claimed_it(bench: Any) -> None:
    job = bench.job("a", steps=60, seconds=0.03)
    seen: list[tuple[QueueState, State]] = []
    queue = bench.queue(job)
    queue.run(lambda queue: seen.append((queue.states[job.key], bench.state(job))))
    assert (QueueState.RUNNING, State.RUNNING) in seen
    assert [state for state, _ in seen] == sorted((state for state, _ in seen), key=list(QueueState).index)
    assert not {state for queued, state in seen if queued is QueueState.RUNNING} & {State.WAITING, State.INTERRUPTED}


def test_what_most_depends_on_is_started_first(bench: Any) -> None:
    alone, first = bench.job("alone"), bench.job("first")
    second = bench.job("second", first)
    last = bench.job("last", first, second)
    jobs = {job.key: job for job in (alone, first, second, last)}
    assert [jobs[key].config["name"] for key in critical_first(jobs)] == ["first", "second", "alone", "last"]
    bench.run(alone, first, second, last, cpus=1)
    assert [line.split()[0] for line in bench.ledger.read_text().splitlines()] == ["first", "second", "alone", "last"]


def test_two_launchers_at_once_compute_each_job_once(bench: Any) -> None:
    jobs = [bench.job(name, steps=3, seconds=0.02) for name in "abcdef"]
    launchers = [bench.launcher(*jobs), bench.launcher(*reversed(jobs))]
    assert [launcher.wait(timeout=60) for launcher in launchers] == [0, 0]
    assert len(bench.computed()) == 18
    assert set(bench.computed().values()) == {1}
    assert all(bench.state(job) is State.COMPLETE for job in jobs)


def test_ctrl_c_stops_the_workers_and_the_next_run_goes_on(bench: Any, wait_until: WaitUntil) -> None:
    jobs = [bench.job(name, steps=60, seconds=0.03) for name in "ab"]
    launcher = bench.launcher(*jobs)
    wait_until(lambda: len({name.split()[0] for name in bench.computed()}) == 2)
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(timeout=30) == -signal.SIGINT
    assert not workers_of(bench)
    assert all(bench.state(job) is State.INTERRUPTED for job in jobs)
    assert set(bench.run(*jobs).values()) == {QueueState.COMPLETE}
    assert sum(bench.computed().values()) <= 120 + 2


def test_a_launcher_killed_outright_leaves_nothing_running_and_nothing_lost(bench: Any, wait_until: WaitUntil) -> None:
    finished = bench.job("finished")
    jobs = [bench.job(name, finished, steps=20, seconds=0.03) for name in "ab"]
    launcher = bench.launcher(finished, *jobs)
    wait_until(lambda: len({name.split()[0] for name in bench.computed()}) == 3)
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    wait_until(lambda: not workers_of(bench))
    assert set(bench.run(finished, *jobs).values()) == {QueueState.COMPLETE}
    assert bench.computed()["finished 1"] == 1
    assert sum(bench.computed().values()) <= 41 + 2


def test_a_damaged_result_is_made_again(bench: Any) -> None:
    a = bench.job("a")
    b = bench.job("b", a)
    bench.run(a, b)
    before = bench.result(b)
    (bench.store.out(a.key) / "result.txt").unlink()
    assert bench.run(a, b) == {"a": QueueState.COMPLETE, "b": QueueState.COMPLETE}
    assert bench.computed() == {"a 1": 2, "b 1": 1}
    assert bench.result(b) == before
    assert bench.result(a)


def test_a_job_that_another_process_fails_is_not_waited_for(bench: Any) -> None:
    job = bench.job("theirs", fault="raise")
    attempt = bench.store.begin(job.key)
    queue = bench.queue(job)
    seen: list[QueueState] = []

    def observe(queue: LocalQueue) -> None:
        seen.append(queue.states[job.key])
        if len(seen) == 3:
            bench.store.error_file(job.key).write_text("boom")
            attempt.claim.release()

    queue.run(observe)
    assert seen[:3] == [QueueState.ELSEWHERE] * 3
    assert queue.states[job.key] is QueueState.FAILED
    assert not bench.computed()


def test_a_job_whose_files_cannot_be_written_fails_alone(bench: Any) -> None:
    good, bad = bench.job("good", steps=20, seconds=0.02), bench.job("bad", cpus=2)
    after = bench.job("after", bad)
    bench.store.work(bad.key).write_text("a file where a directory should be")
    queue = bench.queue(good, bad, after, cpus=3)
    queue.run(lambda _: None)
    assert [queue.states[job.key] for job in (good, bad, after)] == [
        QueueState.COMPLETE,
        QueueState.FAILED,
        QueueState.BLOCKED,
    ]
    assert queue.reasons == {bad.key: f"{bench.store.work(bad.key)}: File exists"}


def test_a_worker_that_could_not_say_why_it_failed_ends_no_run(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    good, killed = bench.job("good", steps=20, seconds=0.02), bench.job("killed", fault="kill")

    def refused(path: Path, text: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("xtra.execute.local.write_text_atomically", refused)
    queue = bench.queue(good, killed)
    queue.run(lambda _: None)
    assert [queue.states[job.key] for job in (good, killed)] == [QueueState.COMPLETE, QueueState.FAILED]
    assert "SIGKILL" in queue.reasons[killed.key]


def test_a_failure_that_another_run_removes_meanwhile_is_waited_out(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = bench.job("theirs")
    attempt = bench.store.begin(job.key)
    queue = bench.queue(job)
    look = bench.store.state

    def state(key: str, now: float, *, verify: bool = False) -> State:
        """At the second look the other run has failed, and another one begins the job again, before anybody sees why."""
        looks.append(look(key, now, verify=verify))
        if len(looks) == 2:
            attempt.claim.release()
            return State.FAILED
        return looks[-1]

    looks: list[State] = []
    monkeypatch.setattr(queue.store, "state", state)
    queue.run(lambda _: None)
    assert queue.states[job.key] is QueueState.COMPLETE


def test_progress_is_read_as_the_job_published_it(bench: Any) -> None:
    job = bench.job("watched", steps=60, seconds=0.03)
    seen: set[str] = set()
    bench.queue(job).run(lambda _: seen.add(str(read_progress(bench.store.work(job.key)))))
    assert seen & {f"{step}/60 steps  loss {1 / step:.4g}" for step in range(1, 60)}


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"done": 1}'])
def test_a_progress_file_that_makes_no_sense_is_no_progress(tmp_path: Any, content: str) -> None:
    (tmp_path / "progress.json").write_text(content)
    assert read_progress(tmp_path) is None


def test_the_queue_starts_no_worker_when_everything_is_there(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [bench.job(str(number)) for number in range(3)]
    bench.run(*jobs)
    monkeypatch.setattr("xtra.execute.local.subprocess.Popen", None)
    assert set(bench.run(*jobs).values()) == {QueueState.COMPLETE}
