"""How jobs become arrays, what they wait for, and what a site's profile may say. No SLURM needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xtra.execute.slurm import SlurmLauncher, parameters
from xtra.execute.slurm_arrays import Batch, batches, kinds
from xtra.execute.slurm_profile import ProfileError, SlurmProfile, StageProfile, load_profile
from xtra.execute.slurm_queue import Queued, Submissions
from xtra.execute.snapshot import take_snapshot
from xtra.store.job import Job, Resources


def job(name: str, *before: Job, stage: str = "train", cpus: int = 1) -> Job:
    return Job(stage, 1, {"name": name}, {"before": tuple(b.key for b in before)} if before else {}, Resources(cpus=cpus))


def plan(*jobs: Job) -> dict[str, Job]:
    return {job.key: job for job in jobs}


def shape(found: list[Batch]) -> list[tuple[list[object], str | None]]:
    return [([job.config["name"] for job in batch.jobs], batch.dependency) for batch in found]


def test_a_kind_is_a_depth_a_stage_and_a_size() -> None:
    a, b, big, score = job("a"), job("b"), job("big", cpus=4), job("score", stage="evaluate")
    later = job("later", a)
    assert [len(kind) for kind in kinds(plan(a, b, big, score, later))] == [2, 1, 1, 1]
    assert list(kinds(plan(later))) == [[later]]  # its input is complete, so it is not in what is missing


def test_jobs_that_wait_for_nothing_are_one_array_cut_at_the_limit() -> None:
    jobs = [job(str(number)) for number in range(5)]
    assert shape(list(batches(jobs, {}, 2))) == [(["0", "1"], None), (["2", "3"], None), (["4"], None)]


def test_jobs_that_read_the_same_inputs_are_one_array_behind_them() -> None:
    a, b, done = job("a"), job("b"), job("done")
    readers = [job(str(number), a, b, done) for number in range(3)]
    waiting = {a.key: "70", b.key: "80_1"}
    assert shape(list(batches(readers, waiting, 1001))) == [(["0", "1", "2"], "afterok:70:80_1")]


def test_element_by_element_where_each_reads_one_of_an_array() -> None:
    trains = [job(str(number)) for number in range(3)]
    readers = [job(f"score {number}", trains[number]) for number in (2, 0, 1)]
    waiting = {train.key: f"70_{number}" for number, train in enumerate(trains)}
    assert shape(list(batches(readers, waiting, 1001))) == [(["score 0", "score 1", "score 2"], "aftercorr:70")]


def test_readers_of_part_of_an_array_name_what_they_wait_for() -> None:
    trains = [job(str(number)) for number in range(3)]
    readers = [job(f"score {number}", trains[number]) for number in (0, 2)]
    waiting = {train.key: f"70_{number}" for number, train in enumerate(trains)}
    assert shape(list(batches(readers, waiting, 1001))) == [(["score 0"], "afterok:70_0"), (["score 2"], "afterok:70_2")]


def test_many_different_waits_become_one_that_survives_single_failures() -> None:
    trains = [job(str(number)) for number in range(60)]
    readers = [job(f"score {number}", trains[number], trains[number + 1]) for number in range(59)]
    waiting = {train.key: f"{70 + number % 2}_{number // 2}" for number, train in enumerate(trains)}
    found = list(batches(readers, waiting, 1001))
    assert len(found) == 1
    assert found[0].dependency == "afterany:70:71"


def test_what_a_job_asks_for_reaches_sbatch() -> None:
    site = StageProfile(partition="gpu", qos="long", sbatch={"nice": 7}, setup=("module load cuda",))
    found = parameters(Resources(cpus=3, gpus=1, memory_gb=1.5, hours=0.01), site, "afterok:7")
    assert found["mem"] == "1536M"
    assert found["time"] == 1
    assert found["gpus_per_node"] == 1
    assert found["srun_args"] == ["--cpus-per-task=3"]
    assert found["additional_parameters"] == {"kill-on-invalid-dep": "yes", "requeue": True, "nice": 7}
    assert "account" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: {partiton: gpu}", "default.partiton: .*valid keys here: partition, account"),
        ("stages: {trian: {}}", "stages.trian: no such stage; there are train"),
        ("max_queued: 0", "max_queued: "),
        ("default: [", "is not YAML"),
        ("- a", "the file: "),
    ],
)
def test_a_broken_profile_names_the_key_and_what_is_valid(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(ProfileError, match=f"site.yaml: {message}"):
        load_profile(path)


def test_a_profile_has_a_default_and_blocks_by_stage(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("default: {account: lab}\nstages: {evaluate: {partition: cpu, setup: [module load python]}}\n")
    profile = load_profile(path)
    assert profile.of("train") == StageProfile(account="lab")
    assert profile.of("evaluate") == StageProfile(partition="cpu", setup=("module load python",))
    assert load_profile(None) == SlurmProfile()


def test_an_absent_profile_is_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="No such file"):
        load_profile(tmp_path / "absent.yaml")


def test_a_worker_runs_on_the_snapshot_and_not_on_what_is_installed(tmp_path: Path) -> None:
    bootstrap = take_snapshot(tmp_path)
    assert take_snapshot(tmp_path) == bootstrap
    assert len(list(tmp_path.iterdir())) == 1
    (bootstrap.parent / "xtra" / "execute" / "worker.py").write_text("def main():\n    print(__file__)\n    return 0\n")
    done = subprocess.run(
        [sys.executable, bootstrap, "xtra.execute.worker"], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == str(bootstrap.parent / "xtra" / "execute" / "worker.py")


class NoCluster(SlurmLauncher):
    """Submits to nowhere."""

    def _submit_batch(self, batch: Batch, bootstrap: Path) -> dict[str, str]:
        return {job.key: str(number) for number, job in enumerate(batch.jobs)}


def test_exactly_what_can_be_run_and_is_missing_is_submitted(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("complete", "nan", "running", "queued", "missing")
    complete, nan, running, queued, missing = first = [
        bench.job(name, fault="diverge" if name == "nan" else "") for name in names
    ]
    after = [bench.job(f"after {name}", job) for name, job in zip(names, first, strict=True)]
    last = bench.job("last", after[1])
    bench.run(complete, nan)
    attempt = bench.store.begin(running.key)
    monkeypatch.setattr(Submissions, "queued", lambda self: {queued.key: Queued("7_1", "PENDING", "None")})
    monkeypatch.setattr("xtra.execute.slurm.max_array_size", lambda: 1001)
    launcher = NoCluster(bench.store, bench.store.root.parent / "slurm", SlurmProfile())
    done = launcher.submit(plan(*first, *after, last))
    assert done.finished == [complete.key, nan.key]
    assert done.blocked == [after[1].key, last.key]
    assert done.held == [running.key, after[2].key]
    assert set(done.new) == {missing.key, after[0].key, after[3].key, after[4].key}
    assert attempt.claim.held()
