"""Estimates: learned from finished jobs of the same kind, added up over what is left to run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from xtra.store.job import Job
from xtra.store.store import Store
from xtra.suite.load import load_suite
from xtra.suite.plan import Plan, plan
from xtra.suite.summary import Cost, Estimate, estimate, estimate_sentence, finished_costs, kind

CATCH = Path(__file__).parents[2] / "suites" / "catch.yaml"


def finish(store: Store, job: Job, seconds: float, size: int) -> None:
    store.add(job)
    attempt = store.begin(job.key)
    assert attempt is not None
    (attempt.out / "network").write_bytes(bytes(size))
    store.commit(attempt, "complete", seconds, {})


@pytest.fixture
def two_seeds() -> Plan:
    shared = ["resources.train.gpus=4", "resources.train.jobs_per_gpu=2"]
    return plan(load_suite(CATCH, shared, seeds=[0, 1])).only(["EfficientZero"])


def test_jobs_of_one_kind_differ_in_game_and_seed_alone() -> None:
    jobs = [job for job in plan(load_suite(CATCH)).only(["EfficientZero"]).jobs.values() if job.stage == "train"]
    reproduce = load_suite(CATCH.with_name("reproduce.yaml"))
    games = [job for job in plan(reproduce).only([reproduce.methods[0].name]).jobs.values() if job.stage == "train"]
    shooters = plan(load_suite(CATCH.with_name("similar_shooter.yaml"))).only(["XTRA"]).jobs.values()
    finetunings = [job for job in shooters if job.stage == "train" and job.config["finetuning"]]
    other = [
        job
        for job in plan(load_suite(CATCH, ["agent.search.num_simulations=2"])).only(["EfficientZero"]).jobs.values()
        if job.stage == "train"
    ]
    assert len({kind(job) for job in jobs}) == 1
    assert len({kind(job) for job in games}) == 1 < len({job.config["environment"]["game"] for job in games})
    assert len({kind(job) for job in finetunings}) == 1 < len(finetunings)
    assert kind(jobs[0]) != kind(other[0])


def test_the_rest_costs_what_finished_jobs_of_its_kind_cost(two_seeds: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = two_seeds.cells[0]
    finish(store, two_seeds.jobs[str(first.train_key)], 7200.0, 1_000)
    finish(store, two_seeds.jobs[first.evaluate_key], 1800.0, 10)
    found = estimate(two_seeds, set(first.keys), finished_costs(store))
    assert found == Estimate(job_hours=2.5, gpu_hours=4.0, longest_hours=2.5, disk_gb=1.01e-6, unknown=0, unknown_gpu_hours=0)


def test_the_mean_of_finished_jobs_is_taken_and_damaged_records_are_passed_over(two_seeds: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    trains = [two_seeds.jobs[str(cell.train_key)] for cell in two_seeds.cells]
    for job, seconds in zip(trains, (10.0, 30.0), strict=True):
        finish(store, job, seconds, 0)
    assert finished_costs(store) == {kind(trains[0]): Cost(20.0, 0.0)}
    (store.directory(trains[0].key) / "manifest.json").write_text("{", encoding="utf-8")
    assert finished_costs(store) == {kind(trains[0]): Cost(30.0, 0.0)}


def test_a_job_waits_for_the_slowest_of_its_inputs(two_seeds: Plan) -> None:
    inputs = [Job("slow", 1, {}), Job("fast", 1, {})]
    last = Job("last", 1, {}, {"in": tuple(job.key for job in inputs)})
    graph = replace(two_seeds, jobs={job.key: job for job in (*inputs, last)})
    costs = {kind(job): Cost(seconds, 0) for job, seconds in zip((*inputs, last), (7200, 3600, 3600), strict=True)}
    assert estimate(graph, (), costs).longest_hours == 3.0


def test_unknown_kinds_are_counted_and_not_guessed(two_seeds: Plan, tmp_path: Path) -> None:
    found = estimate(two_seeds, (), finished_costs(Store(tmp_path / "absent")))
    assert found == Estimate(job_hours=0, gpu_hours=0, longest_hours=0, disk_gb=0, unknown=4, unknown_gpu_hours=2 * 24 * 4 / 2)
    assert estimate_sentence(found, 4) == "No job of these kinds has finished here yet; their time limits add up to 96 GPU-hours."
    assert estimate_sentence(replace(found, unknown_gpu_hours=0), 4).endswith("so there is no estimate.")


def test_the_sentence_gives_units() -> None:
    assert estimate_sentence(Estimate(2.5, 4.0, 0.5, 0.25, 3, 6.0), 9) == (
        "To run: about 2.5 hours of jobs, 4 GPU-hours, at least 30 minutes from start to end on any number of machines, 250 MB; "
        "3 jobs are of kinds that have not finished here yet; their time limits add up to 6 GPU-hours."
    )
    assert estimate_sentence(Estimate(2.5, 0.0, 0.5, 0.25, 1, 3.0), 9).endswith(
        "; 1 job is of a kind that has not finished here yet; its time limit is 3 GPU-hours."
    )


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (0.0, "0 seconds"),
        (1 / 3600, "1 second"),
        (0.005, "18 seconds"),
        (0.05, "3 minutes"),
        (1.04, "1 hour"),
        (1234.4, "1,234 hours"),
    ],
)
def test_durations_are_told_in_the_unit_that_fits(hours: float, words: str) -> None:
    assert estimate_sentence(Estimate(hours, 0.0, 0.0, 0.0, 0, 0.0), 1).startswith(f"To run: about {words} of jobs, ")
