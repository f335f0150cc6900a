"""Rows hold what the jobs left, say by name what is missing, and nothing that changes between two equal runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xtra.results.collect import collect
from xtra.results.describe import RunDescription
from xtra.results.run_record import MethodRecord, RunFields, read_run_record
from xtra.store.job import Job
from xtra.store.rows import CURVES, DIAGNOSTICS, EPISODES, PLASTICITY, PROBES, SCORES, SOURCE_SCORES, TASK_WEIGHTS, Cell, read_csv
from xtra.store.store import Store

FIELDS = RunFields(
    suite="made-up",
    suite_version=1,
    question="?",
    protocol="catch",
    protocol_name="catch",
    protocol_summary="",
    proves="learning",
    normalization="maximum",
    games=("Catch",),
    seeds=(0,),
    methods=(),
    baseline=None,
    preset="small",
)
DESCRIPTION = RunDescription("suite: made-up\n", {"id": "0123"}, FIELDS)
IDENTITY = ("made-up", 1, "catch")
HARDWARE = {"cpu": "abacus", "cores": 2, "memory_gb": 1.0, "device": "cpu"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def finish(store: Store, job: Job, status: str = "complete", seconds: float = 2.0, **outputs: Any) -> None:
    store.add(job)
    attempt = store.begin(job.key)
    assert attempt is not None
    for name, content in outputs.items():
        (attempt.out / f"{name}.json").write_text(json.dumps(content))
    store.commit(attempt, status, seconds, {"hardware": HARDWARE, "packages": {"xtra-bench": "7"}, "git_commit": "c0ffee"})
    attempt.claim.release()


def planned(method: str, seed: int) -> tuple[Job, Job, Cell]:
    train = Job("train", 1, {"method": method, "seed": seed})
    evaluate = Job("evaluate", 1, {"seed": seed}, {"train": (train.key,)})
    return train, evaluate, Cell(*IDENTITY, method, "efficientzero", "Catch", seed, train.key, evaluate.key)


def finish_cell(store: Store, method: str = "EfficientZero", seed: int = 0, seconds: float = 2.0) -> Cell:
    train, evaluate, cell = planned(method, seed)
    curve = [{"env_steps": 10, "updates": 4, "score": 0.5, "num_episodes": 2}]
    weights = [{"source_game": "Pong", "updates": 4, "weight": 1.0, "gradient_similarity": 0.25}]
    plasticity = [{"env_steps": 10, "updates": 4, "dormant_fraction": 0.125, "effective_rank": 3}]
    diagnostics = [{"env_steps": 10, "updates": 4, "quantity": "search_agreement", "unroll_step": 0, "value": 0.75}]
    finish(
        store,
        train,
        seconds=seconds,
        diagnostics=diagnostics,
        summary={"env_steps": 10, "updates": 4},
        curve=curve,
        task_weights=weights,
        plasticity=plasticity,
    )
    episodes = [{"episode": i, "episode_return": i - 0.5, "episode_env_steps": 9, "truncated": i == 1} for i in range(2)]
    summary = {"score": 0.0, "score_rule": "mean_episode_return", "num_episodes": 2}
    finish(store, evaluate, seconds=seconds, summary=summary, episodes=episodes)
    return cell


def test_a_complete_cell_leaves_its_rows_in_every_table(store: Store, tmp_path: Path) -> None:
    cell = finish_cell(store)
    assert collect(store, [cell], DESCRIPTION, tmp_path / "run") == {cell: "complete"}
    lines = (tmp_path / "run" / "scores.csv").read_text().splitlines()
    keys = f"{cell.train_key},{cell.evaluate_key}"
    assert lines[1] == f"made-up,1,catch,EfficientZero,efficientzero,Catch,0,complete,0.0,mean_episode_return,2,10,4,{keys}"
    assert [row["truncated"] for row in read_csv(EPISODES, tmp_path / "run" / "episodes.csv")] == [False, True]
    assert [row["score"] for row in read_csv(CURVES, tmp_path / "run" / "curves.csv")] == [0.5]
    assert [row["gradient_similarity"] for row in read_csv(TASK_WEIGHTS, tmp_path / "run" / "task_weights.csv")] == [0.25]
    assert [row["effective_rank"] for row in read_csv(PLASTICITY, tmp_path / "run" / "plasticity.csv")] == [3]
    assert [row["value"] for row in read_csv(DIAGNOSTICS, tmp_path / "run" / "diagnostics.csv")] == [0.75]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["question"] == "?"
    assert record["provenance"]["suite_text"] == "suite: made-up\n"
    assert record["provenance"]["made_by"] == ["xtra-bench 7, torch not known, commit c0ffee, Python not known"]
    assert record["provenance"]["hardware"] == ["abacus, 2 cores, 1.0 GB, device cpu"]


def test_a_pretrained_networks_scores_stand_beside_those_of_the_runs_it_learned_from(store: Store, tmp_path: Path) -> None:
    run = Job("train", 1, {"game": "Pong"})
    finish(store, run, curve=[{"score": -20.0}, {"score": 3.5}])
    datasets = [Job("dataset", 1, {"game": game}, inputs) for game, inputs in (("Pong", {"train": (run.key,)}), ("Krull", {}))]
    pretrain = Job("pretrain", 1, {}, {"dataset": tuple(job.key for job in datasets)})
    scores = [{"source_game": game, "score": score, "num_episodes": 4} for game, score in (("Pong", 2.0), ("Krull", 7.0))]
    train = Job("train", 1, {"game": "Catch"}, {"pretrained": (pretrain.key,)})
    evaluate = Job("evaluate", 1, {}, {"network": (train.key,)})
    for job in (*datasets, train, evaluate):
        store.add(job)
    finish(store, pretrain, source_scores=scores)
    collect(store, [Cell(*IDENTITY, "XTRA", "efficientzero", "Catch", 0, train.key, evaluate.key)], DESCRIPTION, tmp_path)
    rows = read_csv(SOURCE_SCORES, tmp_path / "source_scores.csv")
    assert {(row["source_game"], row["score"], row["data_score"]) for row in rows} == {("Pong", 2.0, 3.5), ("Krull", 7.0, None)}
    assert {row["pretrain_key"] for row in rows} == {pretrain.key}


def test_what_was_measured_before_finetuning_stands_in_rows_of_its_own(store: Store, tmp_path: Path) -> None:
    cell, probe = finish_cell(store), Job("probe", 1, {"game": "Catch"})
    measured = [{"source_game": "Pong", "predictor": name, "value": value} for name, value in (("cka", 0.7), ("logme", None))]
    finish(store, probe, probes=measured, measured_seconds={"cka": 0.5, "logme": 0.25})
    collect(store, [replace(cell, probe_key=probe.key)], DESCRIPTION, tmp_path)
    rows = read_csv(PROBES, tmp_path / "probes.csv")
    assert [(row["method"], row["game"], row["source_game"], row["predictor"], row["value"], row["seconds"]) for row in rows] == [
        ("EfficientZero", "Catch", "Pong", "cka", 0.7, 0.5),
        ("EfficientZero", "Catch", "Pong", "logme", None, 0.25),
    ]


def test_cells_without_a_result_are_named_with_the_reason(store: Store, tmp_path: Path) -> None:
    cells = [finish_cell(store)]
    diverged_train, diverged_evaluate, diverged = planned("Diverged", 0)
    failed_train, failed_evaluate, failed = planned("Failed", 0)
    finish(store, diverged_train, "diverged")
    for job in (diverged_evaluate, failed_train, failed_evaluate):
        store.add(job)
    store.work(failed_train.key).mkdir()
    store.error_file(failed_train.key).write_text("boom")
    cells += [diverged, failed, planned("Missing", 0)[2]]
    assert list(collect(store, cells, DESCRIPTION, tmp_path).values()) == ["complete", "diverged", "failed", "missing"]
    rows = {row["method"]: (row["status"], row["score"]) for row in read_csv(SCORES, tmp_path / "scores.csv")}
    assert rows == {
        "EfficientZero": ("complete", 0.0),
        "Diverged": ("diverged", None),
        "Failed": ("failed", None),
        "Missing": ("missing", None),
    }


def test_a_damaged_result_does_not_count(store: Store, tmp_path: Path) -> None:
    cell = finish_cell(store)
    (store.out(cell.evaluate_key) / "summary.json").write_text('{"score": 1000}')
    assert collect(store, [cell], DESCRIPTION, tmp_path) == {cell: "missing"}


def test_rows_are_the_same_whatever_the_order_and_however_long_it_took(tmp_path: Path) -> None:
    for name, seeds, seconds in (("one", (0, 1), 2.0), ("two", (1, 0), 77.0)):
        store = Store(tmp_path / name / "store")
        collect(store, [finish_cell(store, seed=seed, seconds=seconds) for seed in seeds], DESCRIPTION, tmp_path / name / "run")
    for table in ("scores.csv", "episodes.csv", "curves.csv", "task_weights.csv"):
        assert (tmp_path / "one" / "run" / table).read_bytes() == (tmp_path / "two" / "run" / table).read_bytes()


def test_costs_say_how_many_cells_share_a_job(store: Store, tmp_path: Path) -> None:
    cell = finish_cell(store)
    twin = Cell(*IDENTITY, "Twin", "efficientzero", "Catch", 0, cell.train_key, cell.evaluate_key)
    collect(store, [cell, twin], DESCRIPTION, tmp_path)
    lines = (tmp_path / "costs.csv").read_text().splitlines()[1:]
    assert len(lines) == 4
    assert all(line.endswith(",2.0,cpu,2") for line in lines)


def test_collecting_again_keeps_the_time_of_the_run(store: Store, tmp_path: Path) -> None:
    cell = finish_cell(store)
    collect(store, [cell], DESCRIPTION, tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    record["provenance"]["created"] = "2020-01-01T00:00:00+00:00"
    (tmp_path / "run.json").write_text(json.dumps(record))
    collect(store, [cell], DESCRIPTION, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text()) == record


def test_seeds_that_were_added_to_a_run_are_recorded_as_a_look(store: Store, tmp_path: Path) -> None:
    fields = FIELDS.model_copy(update={"methods": (MethodRecord(name="EfficientZero", agent="efficientzero"),)})
    for seed, run in ((0, "first"), (1, "second")):
        own = fields.model_copy(update={"seeds": (seed,)})
        collect(store, [finish_cell(store, seed=seed)], RunDescription("suite: made-up\n", {"id": run}, own), tmp_path / run)
    assert read_run_record(tmp_path / "first").earlier_seeds == ()
    assert read_run_record(tmp_path / "second").earlier_seeds == ((0,),)
