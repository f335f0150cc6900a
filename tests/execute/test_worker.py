"""One job: killed and started again it ends as if it had not been killed; what cannot be run says why."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from xtra.execute.worker import Exit, run_job
from xtra.stages import context as stage_context
from xtra.stages.context import Stopped, StopRequest
from xtra.store.job import Job
from xtra.store.store import State

WaitUntil = Callable[[Callable[[], object]], None]


def run_here(bench: Any, job: Job) -> Exit:
    return run_job(str(bench.store.root), job.key, bench.stages)


@pytest.fixture(autouse=True)
def light_stages_importable(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def test_a_worker_killed_at_random_moments_ends_with_the_undisturbed_result(bench: Any, wait_until: WaitUntil) -> None:
    undisturbed = bench.job("chain", steps=60)
    assert run_here(bench, undisturbed) is Exit.DONE
    disturbed = bench.job("chain", steps=60, seconds=0.03)
    moments = random.Random(7)
    for _ in range(4):
        size = bench.ledger.stat().st_size
        worker = bench.worker(disturbed)
        wait_until(partial(lambda size: bench.ledger.stat().st_size > size, size))
        time.sleep(moments.uniform(0, 0.1))
        worker.kill()
        worker.wait()
    assert bench.worker(disturbed).wait() == Exit.DONE
    assert bench.result(disturbed) == bench.result(undisturbed)
    assert sum(bench.computed().values()) <= 120 + 4  # a kill repeats at most the step it interrupted


def test_a_finished_job_is_never_run_again(bench: Any) -> None:
    job = bench.job("once", steps=3)
    assert [run_here(bench, job), run_here(bench, job)] == [Exit.DONE, Exit.DONE]
    assert set(bench.computed().values()) == {1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_worker_gives_its_claim_back_at_once(bench: Any, wait_until: WaitUntil, number: signal.Signals) -> None:
    job = bench.job("long", steps=1000, seconds=0.02)
    worker = bench.worker(job)
    wait_until(bench.computed)
    assert bench.state(job) is State.RUNNING
    worker.send_signal(number)
    worker.send_signal(signal.SIGTERM)  # SLURM and a dying launcher each send one: the second must not interrupt the saving
    assert worker.wait(timeout=30) == 128 + number
    assert bench.state(job) is State.INTERRUPTED


def test_a_stopped_worker_has_saved_every_step_and_says_where_the_next_run_goes_on(bench: Any, wait_until: WaitUntil) -> None:
    job = bench.job("long", steps=8, seconds=0.3)
    worker = bench.worker(job, stdout=subprocess.PIPE)
    wait_until(bench.computed)
    worker.send_signal(signal.SIGTERM)
    said = worker.communicate(timeout=30)[0].decode()
    step = len(bench.computed())
    assert f"stopped; the next run goes on from step {step}\n" in said
    assert bench.worker(job).wait() == Exit.DONE
    assert set(bench.computed().values()) == {1}


def test_a_stage_that_saves_for_too_long_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_context, "SAVE_SECONDS", 0.2)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    stop = StopRequest()
    try:
        stop.listen()
        stop.defer()
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        with pytest.raises(Stopped) as stopped:
            time.sleep(20)
        assert time.monotonic() - began < 5
        assert (stopped.value.signal_number, stopped.value.resumes_from) == (signal.SIGTERM, "its beginning")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_failing_stage_leaves_its_traceback_and_can_be_run_again(bench: Any, capfd: pytest.CaptureFixture[str]) -> None:
    job = bench.job("bad", fault="raise")
    assert run_here(bench, job) is Exit.FAILED
    assert bench.state(job) is State.FAILED
    assert bench.error(job).startswith("RuntimeError: the ball went through the floor\n\nTraceback")
    assert run_here(bench, job) is Exit.FAILED


def test_a_diverged_run_is_committed_as_such_and_not_retried(bench: Any) -> None:
    job = bench.job("nan", fault="diverge")
    assert [run_here(bench, job), run_here(bench, job)] == [Exit.DONE, Exit.DONE]
    assert bench.state(job) is State.DIVERGED
    assert bench.computed() == {"nan 1": 1}


def test_inputs_must_be_complete_and_whole(bench: Any) -> None:
    first = bench.job("first")
    second = bench.job("second", first)
    assert run_here(bench, second) is Exit.FAILED
    assert f"its input {first.key} is not finished" in bench.error(second)
    run_here(bench, first)
    (bench.store.out(first.key) / "result.txt").write_text("0" * 64)
    assert run_here(bench, second) is Exit.FAILED
    assert "result.txt: does not match its checksum; `xtra-bench run` computes it again" in bench.error(second)
    assert run_here(bench, first) is run_here(bench, second) is Exit.DONE


def test_inputs_arrive_in_the_order_of_the_job(bench: Any) -> None:
    a, b = bench.job("a"), bench.job("b")
    ab, ba = bench.job("c", a, b), bench.job("c", b, a)
    for job in (a, b, ab, ba):
        run_here(bench, job)
    assert bench.result(ab) != bench.result(ba)


def test_a_configuration_that_does_not_fit_names_the_field(bench: Any) -> None:
    job = bench.job("typo", stepz=3)
    assert run_here(bench, job) is Exit.FAILED
    assert "stepz" in bench.error(job)
    assert "Traceback" not in bench.error(job)


@pytest.mark.parametrize(
    ("stage", "version", "message"), [("cuont", 1, "no stage 'cuont'"), ("count", 2, "planned for version 2")]
)
def test_a_job_of_another_release_says_so(bench: Any, stage: str, version: int, message: str) -> None:
    job = Job(stage, version, bench.job("x").config)
    bench.store.add(job)
    assert run_here(bench, job) is Exit.FAILED
    assert message in bench.error(job)


def test_a_job_planned_with_a_plugin_that_is_not_here_says_so(bench: Any) -> None:
    plain = bench.job("x")
    job = Job(plain.stage, plain.version, plain.config, plugins={"corridor": "corridor-games 1.2"})
    assert job.key != plain.key
    bench.store.add(job)
    assert bench.store.job(job.key).plugins == {"corridor": "corridor-games 1.2"}
    assert run_here(bench, job) is Exit.FAILED
    assert f"{job.key} was planned with plugin corridor (corridor-games 1.2), but here is none" in bench.error(job)
    assert not bench.computed()


def test_a_job_claimed_by_a_live_process_is_left_alone(bench: Any) -> None:
    job = bench.job("shared")
    assert bench.store.begin(job.key) is not None
    assert run_here(bench, job) is Exit.CLAIMED_ELSEWHERE
    assert not bench.computed()


def test_a_zombie_notices_that_it_was_replaced_and_ends(
    bench: Any, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import xtra.store.store as s, xtra.execute.worker as w; s.Store.begin.__defaults__ = (0.5,); raise SystemExit(w.main())"
    )
    job = bench.job("zombie", steps=1000, seconds=0.05)
    arguments = [sys.executable, "-c", code, bench.store.root, job.key, "--stages", bench.stages]
    zombie = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_until(bench.computed)
    zombie.send_signal(signal.SIGSTOP)
    wait_until(lambda: bench.store.begin(job.key))
    zombie.send_signal(signal.SIGCONT)
    assert zombie.wait(timeout=30) == Exit.CLAIM_LOST
    assert bench.state(job) is State.RUNNING


def test_threads_come_from_the_configuration(bench: Any) -> None:
    run_here(bench, bench.job("threads", num_threads=3))
    assert bench.ledger.read_text().split()[-1] == "3"


def test_the_manifest_says_what_made_the_result(bench: Any) -> None:
    job = bench.job("a")
    run_here(bench, job)
    record = json.loads((bench.store.directory(job.key) / "manifest.json").read_text())
    assert record["provenance"]["hardware"]["device"] == "cpu"
    assert record["provenance"]["packages"]["numpy"]
    assert list(record["files"]) == ["result.txt"]
