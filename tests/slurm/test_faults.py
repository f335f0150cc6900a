"""On a real SLURM: whatever goes wrong, the next `run` brings all to the undisturbed result, and computes nothing twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from xtra.execute.slurm.profile import SlurmProfile
from xtra.execute.slurm.queue import SlurmError, cancel
from xtra.execute.snapshot import take_snapshot
from xtra.store.job import Job, Resources
from xtra.store.store import State
from xtra.suite.resources import SlurmSettings

pytestmark = pytest.mark.slurm
Undisturbed = Callable[[str, int], str]
HERE = Path(__file__).parent


@pytest.fixture
def once(cluster: Any) -> None:
    """For faults whose outcome cannot depend on accounting: they are tried on one of the two clusters."""
    if not cluster.accounting:
        pytest.skip("tried on the other cluster")


def worker_of(bench: Any, job: Job) -> psutil.Process:
    """The process that computes the job; it runs on this host."""
    found = [p for p in psutil.process_iter(["cmdline"]) if {job.key, "--parent"} <= set(p.info["cmdline"] or ())]
    assert len(found) == 1
    return found[0]


def launcher(bench: Any, *jobs: Job, max_array_size: int = 1001, code: Path | None = None) -> subprocess.Popen[bytes]:
    arguments = [bench.store.root, str(max_array_size), *(job.key for job in jobs)]
    environment = {**os.environ, "XTRA_TEST_CODE": str(code or "")}
    return subprocess.Popen([sys.executable, HERE / "launcher.py", *arguments], env=environment)


def test_a_graph_runs_as_arrays_behind_each_other(bench: Any) -> None:
    trains = [bench.job(f"t{number}", steps=2) for number in range(3)]
    scores = [bench.job(f"s{number}", train) for number, train in enumerate(trains)]
    last = bench.job("last", *scores)
    submitted = bench.submit(*trains, *scores, last)
    assert submitted.calls == 3
    assert set(bench.wait(*trains, *scores, last)) == {State.COMPLETE}
    assert set(bench.computed().values()) == {1}
    again = bench.submit(*trains, *scores, last)
    assert (len(again.finished), again.calls) == (7, 0)


def test_a_failure_cancels_what_needs_it_and_nothing_else(bench: Any) -> None:
    trains = [bench.job("bad", fault="raise"), bench.job("good")]
    scores = [bench.job(f"after {train.config['name']}", train) for train in trains]
    bench.submit(*trains, *scores)
    assert bench.wait(*trains, *scores) == [State.FAILED, State.COMPLETE, State.WAITING, State.COMPLETE]
    assert "the ball went through the floor" in bench.error(trains[0])
    assert set(bench.submit(*trains, *scores).new) == {trains[0].key, scores[0].key}


@pytest.mark.parametrize("fault", ["SIGKILL", "scancel"])
def test_a_killed_job_is_submitted_again_and_goes_on(bench: Any, undisturbed: Undisturbed, fault: str) -> None:
    job, other = bench.job("a", steps=40, seconds=0.1), bench.job("b")
    bench.submit(job, other)
    bench.wait_for_steps("a", 5)
    if fault == "SIGKILL":
        worker_of(bench, job).kill()
    else:
        cancel([bench.slurm().submissions.queued()[job.key]])
    assert bench.wait(job, other)[0] in (State.INTERRUPTED, State.FAILED)
    assert set(bench.submit(job, other).new) == {job.key}
    assert bench.wait(job, other) == [State.COMPLETE, State.COMPLETE]
    assert bench.result(job) == undisturbed("a", 40)
    assert max(bench.computed().values()) == 1


def test_jobs_that_share_a_gpu_run_side_by_side_and_a_job_without_one_sees_none(
    bench: Any, undisturbed: Undisturbed, once: None
) -> None:
    sharers = [bench.job(name, steps=120, seconds=0.1, sharers=2) for name in "ab"]
    alone = bench.job("c", steps=20, seconds=0.1)
    submitted = bench.submit(*sharers, alone)
    assert submitted.new[sharers[0].key] == submitted.new[sharers[1].key]
    seen = []
    for job in (*sharers, alone):
        bench.wait_for_steps(job.config["name"])
        seen.append(worker_of(bench, job).environ())
    assert seen[0]["SLURM_JOB_ID"] == seen[1]["SLURM_JOB_ID"] != seen[2]["SLURM_JOB_ID"]
    assert seen[0]["CUDA_VISIBLE_DEVICES"] == seen[1]["CUDA_VISIBLE_DEVICES"] in ("0", "1")
    assert seen[2]["CUDA_VISIBLE_DEVICES"] == ""
    worker_of(bench, sharers[0]).kill()
    assert bench.wait(*sharers, alone)[1:] == [State.COMPLETE] * 2
    assert set(bench.submit(*sharers, alone).new) == {sharers[0].key}
    assert bench.wait(*sharers) == [State.COMPLETE] * 2
    assert bench.result(sharers[0]) == undisturbed("a", 120)
    assert max(bench.computed().values()) == 1


def test_sharers_are_requeued_together_and_go_on_one_by_one(bench: Any, once: None) -> None:
    first, second = (bench.job(name, steps=60, seconds=0.1, sharers=2) for name in "ab")
    bench.submit(first, second)
    for name in "ab":
        bench.wait_for_steps(name, 3)
    element = bench.slurm().submissions.queued()[first.key].slurm_id
    subprocess.run(["scontrol", "requeue", element], check=True)
    assert bench.wait(first, second, seconds=90) == [State.COMPLETE, State.COMPLETE]
    for job in (first, second):
        assert bench.store.log_file(job.key).read_text().count(f"UTC: {job.key}") == 2


def test_two_launches_at_once_submit_and_compute_each_job_once(bench: Any) -> None:
    jobs = [bench.job(f"j{number}", steps=2) for number in range(4)]
    jobs += [bench.job(f"k{number}", job) for number, job in enumerate(jobs)]
    both = [launcher(bench, *jobs), launcher(bench, *jobs)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert len(list((bench.store.root.parent / "slurm").glob("*/submission.json"))) == 2
    assert set(bench.wait(*jobs)) == {State.COMPLETE}
    assert set(bench.computed().values()) == {1}


def test_a_preempted_job_requeues_itself_and_goes_on(bench: Any, undisturbed: Undisturbed, once: None) -> None:
    bench.use("spot", nodelist="sim1")
    job = bench.job("a", cpus=2, steps=60, seconds=0.1)
    bench.submit(job)
    bench.wait_for_steps("a", 3)
    subprocess.run(["sbatch", "-p", "main", "-w", "sim1", "-c2", "-o", "/dev/null", "--wrap", "sleep 1"], check=True)
    assert bench.wait(job, seconds=90) == [State.COMPLETE]
    assert bench.store.log_file(job.key).read_text().count("UTC: count-") == 2
    assert bench.result(job) == undisturbed("a", 60)
    assert max(bench.computed().values()) == 1


def test_the_jobs_of_a_lost_node_run_elsewhere(bench: Any, undisturbed: Undisturbed, once: None) -> None:
    job = bench.job("a", steps=60, seconds=0.1)
    bench.submit(job)
    bench.wait_for_steps("a", 3)
    node = subprocess.check_output(["squeue", "--noheader", "--format", "%N"], text=True).strip()
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=test"], check=True)
    assert bench.wait(job, seconds=90) == [State.COMPLETE]
    assert bench.store.log_file(job.key).read_text().count("UTC: count-") == 2
    assert bench.result(job) == undisturbed("a", 60)


def test_a_controller_that_is_away_is_unknown_and_stops_nothing(bench: Any, cluster: Any, once: None) -> None:
    first = bench.job("a", steps=50, seconds=0.1)
    second = bench.job("b", first)
    bench.submit(first, second)
    bench.wait_for_steps("a", 5)
    cluster.stop_controller()
    try:
        assert bench.state(first) is State.RUNNING
        with pytest.raises(SlurmError, match=r"squeue|scontrol"):
            bench.submit(first, second)
    finally:
        cluster.up()
    assert bench.wait(first, second) == [State.COMPLETE, State.COMPLETE]
    assert set(bench.computed().values()) == {1}


def test_a_launcher_killed_half_way_through_submitting_loses_and_repeats_nothing(bench: Any, once: None) -> None:
    jobs = [bench.job(f"j{number}") for number in range(8)]
    process = launcher(bench, *jobs, max_array_size=2)
    folder = bench.store.root.parent / "slurm"
    while len(list(folder.glob("*/submission.json"))) < 2:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    submitted = bench.submit(*jobs)
    assert submitted.new
    assert len(submitted.new) < 8
    states = bench.wait(*jobs, seconds=120)
    if set(states) != {State.COMPLETE}:  # killed between sbatch and the pickles: those tasks found nothing to run
        bench.submit(*jobs)
        states = bench.wait(*jobs)
    assert set(states) == {State.COMPLETE}
    assert set(bench.computed().values()) == {1}


def test_queued_jobs_run_the_code_they_were_submitted_with(bench: Any, tmp_path: Path, once: None) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(take_snapshot(tmp_path / "copies").parent, checkout)
    (checkout / "snapshot.json").unlink()
    first = bench.job("a", steps=20, seconds=0.1)
    second = bench.job("b", first)
    assert launcher(bench, first, second, code=checkout).wait() == 0
    for module in ("worker", "slurm/task"):
        (checkout / "xtra" / "execute" / f"{module}.py").write_text("half a li")
    assert bench.wait(first, second) == [State.COMPLETE, State.COMPLETE]


def test_a_full_queue_holds_the_rest_back_until_the_next_run(bench: Any, once: None) -> None:
    bench.profile = SlurmProfile(max_queued=3)  # two jobs, and the one that makes the report
    jobs = [bench.job(f"j{number}") for number in range(3)]
    assert bench.submit(*jobs).held == [jobs[2].key]
    bench.wait(*jobs)
    assert list(bench.submit(*jobs).new) == [jobs[2].key]
    assert set(bench.wait(*jobs)) == {State.COMPLETE}


@pytest.mark.slow
def test_a_job_longer_than_its_time_limit_runs_as_a_chain(bench: Any, undisturbed: Undisturbed, once: None) -> None:
    light = bench.job("a", steps=900, seconds=0.1)
    job = Job(light.stage, light.version, light.config, resources=Resources(memory_gb=0.1, hours=1 / 60))
    bench.submit(job)
    assert bench.wait(job, seconds=300) == [State.COMPLETE]
    assert bench.store.log_file(job.key).read_text().count("UTC: count-") >= 2
    assert bench.result(job) == undisturbed("a", 900)
    assert max(bench.computed().values()) == 1


def test_the_logs_of_a_job_whose_worker_never_started_are_slurms(bench: Any, once: None) -> None:
    bench.profile = SlurmProfile(default=SlurmSettings(setup=("echo no such module >&2; exit 3",)))
    job = bench.job("a")
    bench.submit(job)
    assert bench.wait(job) == [State.WAITING]
    assert "no such module" in bench.slurm().submissions.logs(job.key)[-1].read_text()
