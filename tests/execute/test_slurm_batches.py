"""How jobs become arrays, what they wait for, and what is submitted. No SLURM needed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.execute.machine import NO_GPU
from xtra.execute.slurm.arrays import JobArray, kinds, submit_arrays
from xtra.execute.slurm.launch import SlurmLauncher
from xtra.execute.slurm.profile import SlurmProfile, parameters, sbatch_script
from xtra.execute.slurm.queue import QueueEntry, SlurmError, Submissions
from xtra.execute.slurm.task import SlurmTask
from xtra.execute.snapshot import take_snapshot
from xtra.store.job import Job, Resources
from xtra.store.store import State, Store
from xtra.suite.resources import SlurmSettings

from .pretended_slurm import put_program


def job(name: str, *before: Job, stage: str = "train", cpus: int = 1, sharers: int = 0) -> Job:
    resources = Resources(cpus=cpus, gpus=1, jobs_per_gpu=sharers) if sharers else Resources(cpus=cpus)
    return Job(stage, 1, {"name": name}, {"before": tuple(b.key for b in before)} if before else {}, resources)


def plan(*jobs: Job) -> dict[str, Job]:
    return {job.key: job for job in jobs}


def submitted(jobs: Sequence[Job], queued: Mapping[str, str], size: int) -> list[tuple[list[str], str | None]]:
    """For each call of sbatch, the names in each element and what the array waits for. New arrays are called A, B, ..."""
    found: list[tuple[list[str], str | None]] = []

    def sbatch(array: JobArray) -> list[str]:
        found.append((["+".join(job.config["name"] for job in element) for element in array.elements], array.dependency))
        return [f"{'ABCDEFGH'[len(found) - 1]}_{index}" for index in range(len(array.elements))]

    submit_arrays(plan(*jobs), queued, size, sbatch)
    return found


def test_a_kind_is_a_depth_a_stage_and_a_size() -> None:
    a, b, big, score = job("a"), job("b"), job("big", cpus=4), job("score", stage="evaluate")
    later = job("later", a, b)
    assert [len(kind) for kind in kinds(plan(a, b, big, score, later))] == [2, 1, 1, 1]
    assert list(kinds(plan(later))) == [[later]]  # its input is complete, so it is not in what is missing


def test_jobs_that_wait_for_nothing_are_one_array_cut_at_the_limit() -> None:
    jobs = [job(str(number)) for number in range(5)]
    assert submitted(jobs, {}, 2) == [(["0", "1"], None), (["2", "3"], None), (["4"], None)]


def test_jobs_that_read_the_same_inputs_are_one_array_behind_them() -> None:
    a, b, done = job("a"), job("b"), job("done")
    readers = [job(str(number), a, b, done) for number in range(3)]
    waiting = {a.key: "70", b.key: "80_1"}
    assert submitted(readers, waiting, 1001) == [(["0", "1", "2"], "afterok:70:80_1")]


def test_element_by_element_where_each_reads_one_of_an_array() -> None:
    trains = [job(str(number)) for number in range(3)]
    readers = [job(f"score {number}", trains[number]) for number in (2, 0, 1)]
    waiting = {train.key: f"70_{number}" for number, train in enumerate(trains)}
    assert submitted(readers, waiting, 1001) == [(["score 0", "score 1", "score 2"], "aftercorr:70")]


def test_readers_of_part_of_an_array_name_what_they_wait_for() -> None:
    trains = [job(str(number)) for number in range(3)]
    readers = [job(f"score {number}", trains[number]) for number in (0, 2)]
    waiting = {train.key: f"70_{number}" for number, train in enumerate(trains)}
    assert submitted(readers, waiting, 1001) == [(["score 0"], "afterok:70_0"), (["score 2"], "afterok:70_2")]


def test_many_different_waits_become_one_that_survives_single_failures() -> None:
    trains = [job(str(number)) for number in range(60)]
    readers = [job(f"score {number}", trains[number], trains[number + 1]) for number in range(59)]
    waiting = {train.key: f"{70 + number % 2}_{number // 2}" for number, train in enumerate(trains)}
    ((_, dependency),) = submitted(readers, waiting, 1001)
    assert dependency == "afterany:70:71"


def test_what_waits_for_nothing_does_not_wait_for_what_many_others_read() -> None:
    trains = [job(str(number)) for number in range(60)]
    readers = [job(f"score {number}", trains[number], trains[number + 1]) for number in range(59)]
    ready = [job(f"ready {number}", job("done")) for number in range(2)]
    waiting = {train.key: f"{70 + number % 2}_{number // 2}" for number, train in enumerate(trains)}
    first, second = submitted([*readers, *ready], waiting, 1001)
    assert first == (["ready 0", "ready 1"], None)
    assert (len(second[0]), second[1]) == (59, "afterany:70:71")


def test_what_different_stages_read_are_different_arrays_so_that_each_reader_waits_for_its_own_element() -> None:
    source, target = [job(f"source {n}") for n in range(2)], [job(f"target {n}") for n in range(2)]
    data = [job(f"data {n}", train, stage="dataset") for n, train in enumerate(source)]
    scores = [job(f"score {n}", train, stage="evaluate") for n, train in enumerate(target)]
    assert submitted([source[0], target[0], source[1], target[1], *data, *scores], {}, 1001) == [
        (["source 0", "source 1"], None),
        (["target 0", "target 1"], None),
        (["data 0", "data 1"], "aftercorr:A"),
        (["score 0", "score 1"], "aftercorr:B"),
    ]


def test_what_another_input_waits_for_anyway_is_not_waited_for_twice() -> None:
    data = job("data", stage="dataset")
    teacher = job("teacher", data, stage="teacher")
    label = job("label", data, teacher, stage="label")
    assert submitted([data, teacher, label], {}, 1001)[-1] == (["label"], "afterok:B_0")


def test_jobs_that_share_a_gpu_are_one_element() -> None:
    trains = [job(str(number), sharers=2) for number in range(5)]
    assert submitted(trains, {}, 2) == [(["0+1", "2+3"], None), (["4"], None)]
    waiting = {train.key: f"70_{number // 2}" for number, train in enumerate(trains)}
    readers = [job(f"s{number}", train, sharers=2) for number, train in enumerate(trains)]
    assert submitted(readers, waiting, 1001) == [(["s0+s1", "s2+s3", "s4"], "aftercorr:70")]


def test_sharers_wait_for_the_same_where_they_can_and_a_job_that_can_start_never_waits_for_its_neighbour() -> None:
    trains = [job(str(number)) for number in range(4)]
    waiting = {trains[0].key: "70", trains[1].key: "80", trains[2].key: "90"}
    readers = [job(f"{train} {number}", trains[train], sharers=2) for number in range(3) for train in range(4)]
    assert submitted(readers, waiting, 1001) == [
        (["0 0+0 1"], "afterok:70"),
        (["1 0+1 1"], "afterok:80"),
        (["2 0+2 1", "2 2"], "afterok:90"),
        (["3 0+3 1", "3 2"], None),
        (["0 2+1 2"], "afterok:70:80"),
    ]


def test_what_a_job_asks_for_reaches_sbatch() -> None:
    site = SlurmSettings(partition="gpu", qos="long", sbatch={"nice": 7}, setup=("module load cuda",))
    found = parameters(Resources(cpus=3, gpus=1, memory_gb=1.5, hours=0.01), 1, site, "afterok:7")
    assert found["mem"] == "1536M"
    assert found["time"] == 1
    assert found["gpus_per_node"] == 1
    assert found["srun_args"] == ["--cpus-per-task=3"]
    assert found["additional_parameters"] == {"kill-on-invalid-dep": "yes", "requeue": True, "nice": 7}
    assert "account" not in found


def test_sharers_have_cores_and_memory_of_their_own_and_one_gpu() -> None:
    found = parameters(Resources(cpus=2, gpus=1, memory_gb=3, jobs_per_gpu=4), 4, SlurmSettings(), None)
    assert (found["cpus_per_task"], found["mem"], found["gpus_per_node"]) == (8, "12288M", 1)


def run_task(bench: Any, *jobs: Job, environment: Mapping[str, str] = NO_GPU) -> None:
    """Runs one element as a SLURM job would."""
    task = SlurmTask([sys.executable, "-m", "xtra.execute.worker", "--stages", bench.stages], environment)
    task(str(bench.store.root), {each.key: str(bench.store.log_file(each.key)) for each in jobs})


def test_sharers_run_side_by_side_each_with_its_own_log_and_result(bench: Any) -> None:
    jobs = [bench.job(name, steps=20, seconds=0.05) for name in "ab"]
    run_task(bench, *jobs)
    steps = [line.split()[0] for line in bench.ledger.read_text().splitlines()]
    assert steps != sorted(steps)
    assert all(bench.state(each) is State.COMPLETE for each in jobs)
    assert all(each.key in bench.store.log_file(each.key).read_text() for each in jobs)


def test_one_that_fails_beside_another_leaves_the_readers_of_the_other_their_chance(
    bench: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    bad, good = bench.job("bad", fault="raise"), bench.job("good")
    run_task(bench, bad, good)
    assert f"{bad.key} ended with status 1" in capfd.readouterr().out
    assert [bench.state(bad), bench.state(good)] == [State.FAILED, State.COMPLETE]
    worse = bench.job("worse", fault="raise")
    with pytest.raises(RuntimeError, match=worse.key):
        run_task(bench, worse)


def test_a_worker_runs_on_the_snapshot_and_not_on_what_is_installed(tmp_path: Path) -> None:
    bootstrap = take_snapshot(tmp_path)
    assert take_snapshot(tmp_path) == bootstrap
    # A checkout has the published scores elsewhere, and reports are made by the copy.
    assert (bootstrap.parent / "xtra" / "protocol" / "reference" / "reference_scores.csv").is_file()
    assert len(list(tmp_path.iterdir())) == 1
    (bootstrap.parent / "xtra" / "execute" / "worker.py").write_text("def main():\n    print(__file__)\n    return 0\n")
    done = subprocess.run(
        [sys.executable, bootstrap, "xtra.execute.worker"], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == str(bootstrap.parent / "xtra" / "execute" / "worker.py")


def test_exactly_what_can_be_run_and_is_missing_would_be_submitted(
    bench: Any, slurm: SlurmLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("complete", "nan", "running", "queued", "missing")
    complete, nan, running, queued, missing = first = [
        bench.job(name, fault="diverge" if name == "nan" else "") for name in names
    ]
    after = [bench.job(f"after {name}", job) for name, job in zip(names, first, strict=True)]
    last = bench.job("last", after[1])
    bench.run(complete, nan)
    attempt = bench.store.begin(running.key)
    monkeypatch.setattr(Submissions, "entries", lambda self: [(queued.key, QueueEntry("7_1", "PENDING", "None"))])
    done = slurm.dry_run(plan(*first, *after, last))
    assert done.finished == [complete.key, nan.key]
    assert done.blocked == [after[1].key, last.key]
    assert done.held == [running.key, after[2].key]
    assert set(done.new) == {missing.key, after[0].key, after[3].key, after[4].key}
    assert done.calls == 4  # `missing`, which is read, what waits for nothing, for `queued`, and for `missing`
    assert attempt.claim.held()
    assert not slurm.directory.exists()


def test_what_suite_and_stage_ask_for_reaches_sbatch(slurm: SlurmLauncher, tmp_path: Path) -> None:
    asked = Resources(gpus=1, jobs_per_gpu=2, slurm={"partition": "gpu", "setup": ["module load cuda"], "sbatch": {"nice": 5}})
    jobs = [Job("count", 1, {"name": name}, resources=asked) for name in "abc"]
    done = slurm.submit(plan(*jobs))
    assert done.new == {jobs[0].key: "12_0", jobs[1].key: "12_0", jobs[2].key: "12_1"}
    script = (tmp_path / "script").read_text().splitlines()
    assert {"#SBATCH --partition=gpu", "#SBATCH --nice=5", "#SBATCH --cpus-per-task=2", "#SBATCH --array=0-1%2"} <= set(script)
    assert "module load cuda" in script


def test_what_would_be_submitted_is_what_is_submitted(bench: Any, slurm: SlurmLauncher, tmp_path: Path) -> None:
    put_program(tmp_path / "bin", "sbatch", f"cat $1 >> '{tmp_path}/scripts'; echo; echo Submitted batch job 12")
    asked = Resources(gpus=1, slurm={"gpu_type": "a100", "sbatch": {"reservation": "course"}})
    jobs = [Job("train", 1, {"name": name}, resources=asked) for name in "abc"]
    readers = [Job("evaluate", 1, {"name": job.config["name"]}, {"network": (job.key,)}) for job in jobs]
    planned = slurm.dry_run(plan(*jobs, *readers))
    assert [(array.stage, array.elements, array.num_jobs) for array in planned.arrays] == [
        ("train", 3, 3),
        ("evaluate", 3, 3),
        ("report", 1, 1),
    ]
    assert [array.request["dependency"] for array in planned.arrays[1:]] == ["aftercorr:new0", "afterany:new0:new1"]
    slurm.submit(plan(*jobs, *readers))
    submitted = (tmp_path / "scripts").read_text()
    printed = "\n".join(sbatch_script(array.request, 3, slurm.directory / "x", "x") for array in planned.arrays[:2])

    def stable(text: str) -> list[str]:
        changing = ("--job-name", "--output", "srun ", "--dependency")
        return [line for line in text.splitlines() if line and not any(word in line for word in changing)]

    assert stable(printed) == stable(submitted)
    assert "#SBATCH --gpus-per-node=a100:1" in stable(printed)
    assert "#SBATCH --reservation=course" in stable(printed)


def test_a_dry_run_shows_the_options_and_print_sbatch_the_scripts(
    slurm: SlurmLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    profile = tmp_path / "site.yaml"
    profile.write_text("default: {partition: long}\nstages: {report: {partition: short}}\n")
    asked = ["run", "catch", "--executor", "slurm", "--profile", str(profile), "--only", "EfficientZero", "--seeds", "0-2"]
    shown = CliRunner().invoke(app, [*asked, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    (train,) = [line for line in shown.output.splitlines() if line.startswith("new0: 3 elements of train: ")]
    assert {"--partition=long", "--cpus-per-task=1", "--array=0-2%3"} <= set(train.split())
    (report,) = [line for line in shown.output.splitlines() if " of report: " in line]
    assert {"--partition=short", "--dependency=afterany:new0:new1"} <= set(report.split())
    scripts = CliRunner().invoke(app, [*asked, "--print-sbatch"])
    assert scripts.exit_code == 0, scripts.output
    assert scripts.output.count("#!/bin/bash") == 3
    assert "#SBATCH --dependency=aftercorr:new0" in scripts.output.splitlines()
    assert not (tmp_path / "results").exists()
    refused = CliRunner().invoke(app, ["run", "catch", "--print-sbatch"])
    assert "--print-sbatch requires --executor slurm" in refused.output


def test_jobs_that_sbatch_refused_wait_and_what_it_took_before_is_told(bench: Any, slurm: SlurmLauncher, tmp_path: Path) -> None:
    first = bench.job("first")
    second = bench.job("second", first)
    taken = tmp_path / "taken"
    put_program(tmp_path / "bin", "sbatch", f"[ -e '{taken}' ] && echo no account >&2 && exit 1; touch '{taken}'; echo job 12")
    with pytest.raises(SlurmError, match=r"sbatch refused 1 job: .*no account.*; what was submitted before stays queued"):
        slurm.submit(plan(first, second))
    with pytest.raises(SlurmError, match=r"sbatch refused 1 job: .*no account.*; nothing was submitted"):
        slurm.submit(plan(first, second))
    assert [bench.state(each) for each in (first, second)] == [State.WAITING, State.WAITING]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("exit 1", "squeue failed: it said nothing"),
        ("echo 'squeue: fatal: Could not establish a configuration source' >&2; exit 1", "belongs to no SLURM cluster"),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller (x)' >&2; exit 1", "controller does not answer"),
        (None, "squeue is not on this machine"),
    ],
)
def test_a_silent_slurm_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, said: str) -> None:
    if program is not None:
        put_program(tmp_path / "bin", "squeue", program)
    Submissions(tmp_path).record("ours", [["train-1"]])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(SlurmError, match="SLURM's queue is unknown: ") as caught:
        Submissions(tmp_path).queued()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def listing(tmp_path: Path, *lines: str) -> None:
    put_program(tmp_path / "bin", "squeue", "".join(f"echo '{line}'\n" for line in lines))


def test_a_job_that_is_queued_twice_is_cancelled_twice(slurm: SlurmLauncher, tmp_path: Path) -> None:
    for identity in ("first", "second"):
        slurm.submissions.record(identity, [["train-1"]])
    listing(tmp_path, "70|xtra-first|PENDING|None", "71|xtra-second|PENDING|None", "72|xtra-of-another-store|PENDING|None")
    put_program(tmp_path / "bin", "scancel", f"echo $* > '{tmp_path / 'cancelled'}'")
    (tmp_path / "store").mkdir()
    answer = CliRunner().invoke(app, ["cancel", "--results", str(tmp_path)])
    assert answer.stdout == "cancelled 2 of 2 queued jobs\n"
    assert (tmp_path / "cancelled").read_text() == "--quiet 70 71\n"


def test_status_tells_what_pending_jobs_wait_for(slurm: SlurmLauncher, tmp_path: Path) -> None:
    jobs = [Job("count", 1, {"name": str(number)}) for number in range(4)]
    slurm.submissions.record("ours", [[job.key] for job in jobs])
    states = ("PENDING|Resources", "PENDING|Resources", "PENDING|None", "RUNNING|None")
    listing(tmp_path, *(f"70_{index}|xtra-ours|{state}" for index, state in enumerate(states)))
    store = Store(tmp_path / "store")
    for job in jobs:
        store.add(job)
    answer = CliRunner().invoke(app, ["status", "--results", str(tmp_path)])
    assert "SLURM: 1 pending, 2 pending (Resources), 1 running\n" in answer.stdout


def test_the_submit_limit_counts_the_jobs_that_report(slurm: SlurmLauncher, tmp_path: Path) -> None:
    jobs = [Job("count", 1, {"name": str(number)}) for number in range(9)]
    slurm.submissions.record("report", [])
    listing(tmp_path, "70|xtra-report|PENDING|Dependency")
    slurm.profile = SlurmProfile(max_queued=5)
    done = slurm.dry_run(plan(*jobs))
    assert (len(done.new), len(done.held)) == (3, 6)  # 5 but for the report's job that is queued, and the one to come


@pytest.mark.parametrize(
    "text", ["[]", "null", "7", '{"elements": 3}', '{"elements": [3, null]}', '{"elements": [[["a"]]]}', '{"keys": {}}', "\0\0\0"]
)
def test_a_record_of_another_shape_is_of_no_job(slurm: SlurmLauncher, tmp_path: Path, text: str) -> None:
    folder = slurm.submissions.record("odd", [["train-1"]])
    (folder / "submission.json").write_text(text)
    listing(tmp_path, "70|xtra-odd|RUNNING|None", "71_3|xtra-odd|RUNNING|None")
    assert slurm.submissions.queued() == {}
    assert slurm.submissions.logs("train-1") == []


def test_a_controller_that_takes_no_arrays_gets_single_jobs(slurm: SlurmLauncher, tmp_path: Path) -> None:
    put_program(tmp_path / "bin", "scontrol", "echo 'MaxArraySize            = 0'")
    done = slurm.dry_run(plan(*(Job("count", 1, {"name": str(number)}) for number in range(3))))
    assert done.calls == 3


@pytest.mark.parametrize("missing", ["sbatch", "srun"])
def test_a_run_refused_for_want_of_slurm_leaves_nothing(
    slurm: SlurmLauncher, tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / missing).unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # this machine may have a SLURM
    slurm.profile = SlurmProfile(max_array_size=100)
    job = Job("count", 1, {"name": "a"})
    for attempt in (slurm.submit, slurm.dry_run):
        with pytest.raises(SlurmError, match=f"^nothing was submitted: {missing} is not on this machine"):
            attempt({job.key: job})
    assert not slurm.directory.exists()
    assert not slurm.store.directory(job.key).exists()


def test_a_percent_sign_in_the_path_is_refused_before_anything_is_written(
    bench: Any, slurm: SlurmLauncher, tmp_path: Path
) -> None:
    launcher = SlurmLauncher(bench.store, tmp_path / "100%" / "slurm", SlurmProfile())
    job = Job("count", 1, {"name": "a"})
    with pytest.raises(SlurmError, match="SLURM replaces `%` in the paths of logs"):
        launcher.submit({job.key: job})
    assert not (tmp_path / "100%").exists()
    assert not bench.store.directory(job.key).exists()
