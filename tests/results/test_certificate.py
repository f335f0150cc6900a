"""`xtra-bench certify` and `verify` on a study of Catch that takes seconds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import xtra
from xtra.cli.main import app
from xtra.execute import verification
from xtra.execute.verification import Draw, draw
from xtra.results.certificate import (
    FILE_NAME,
    Certificate,
    CertificateError,
    CertifiedJob,
    ComputedOn,
    altered_files,
    certify,
    read_certificate,
)
from xtra.stages.registry import STAGES
from xtra.store.files import sha256, write_json
from xtra.store.job import Job
from xtra.store.manifest import FileRecord
from xtra.store.rows import CELL, PROBES, SCORES, Cell, to_csv
from xtra.store.store import Store

SUITE: dict[str, Any] = {
    "suite": "certified", "version": 1, "question": "?", "protocol": "catch", "preset": "tiny", "seeds": [0],
    "targets": ["Catch"], "sources": ["CatchSlow"], "source_method": "EfficientZero",
    "set": {
        "training.env_steps": 96, "training.updates_per_env_step": 0.05, "training.curve_episodes": 1,
        "training.curve_interval": 48, "transfer.pretraining.updates": 2, "transfer.pretraining.batch_size": 4,
        "evaluation.num_episodes": 3, "agent.acting.num_envs": 4, "agent.replay.min_transitions": 32,
        "agent.search.num_simulations": 2,
    },
    "methods": [
        {"name": "EfficientZero"},
        {"name": "Pooled", "set": {"transfer.pretraining.method": "multi_task", "transfer.data.policy": "random"}},
        {"name": "Random", "agent": "random"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run that is complete."""
    root = tmp_path_factory.mktemp("certified")
    (root / "suite.yaml").write_text(json.dumps(SUITE))
    assert xtra.run(root / "suite.yaml", results=root / "results", workers=2).complete
    return root / "results"


def keep(results: Path, study: Path) -> Path:
    """The run's directory as a study is kept: without suite and plan, with a word on how it was made."""
    (run,) = (results / "runs").iterdir()
    shutil.copytree(run, study, ignore=shutil.ignore_patterns("plan.json", "suite.yaml"))
    (study / "HOW.md").write_text("by hand")
    return study


@pytest.fixture
def study(results: Path, tmp_path: Path) -> Path:
    """A certified study."""
    kept = keep(results, tmp_path / "study")
    done = command("certify", kept, "--results", results)
    assert done.exit_code == 0, done.output
    return kept


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "500"})


def edit(study: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the certificate as someone would who does not know this code."""
    record = json.loads((study / FILE_NAME).read_text())
    change(record)
    (study / FILE_NAME).write_text(json.dumps(record))


def only(stage: str) -> Callable[[dict[str, Any]], None]:
    """Makes jobs of every other stage too dear to be drawn."""

    def change(record: dict[str, Any]) -> None:
        for job in record["jobs"]:
            if job["job"]["stage"] != stage or "network" in job["job"]["inputs"]:
                job["seconds"] = 7_200.0

    return change


def test_a_certificate_names_every_job_what_it_left_and_what_made_it(study: Path, results: Path) -> None:
    certificate = read_certificate(study)
    store = Store(results / "store")
    assert {job.key for job in certificate.jobs} == set(store.keys([]))
    assert certificate.unfinished == ()
    for job in certificate.jobs:
        assert job.files == {
            path.relative_to(store.out(job.key)).as_posix(): sha256(path)
            for path in store.out(job.key).rglob("*")
            if path.is_file()
        }
        assert job.to_job() == store.job(job.key)
    (machine,) = certificate.computed_on
    assert machine.packages["torch"]
    assert machine.instruction_set
    assert set(certificate.files) >= {"scores.csv", "run.json", "costs.csv"}
    (study / "report.html").write_text("made anew")
    (study / "figures").mkdir(exist_ok=True)
    (study / "figures" / "curves.svg").write_text("made anew")
    assert list(altered_files(study, certificate)) == []
    text = (study / FILE_NAME).read_text()
    assert sum(line.startswith('{"computed_on"') for line in text.splitlines()) == len(certificate.jobs)


def test_all_of_a_study_is_made_again_to_the_byte(study: Path) -> None:
    done = command("verify", study, "--share", 1)
    assert done.exit_code == 0, done.output
    jobs = len(read_certificate(study).jobs)
    assert f"{jobs} of {jobs} jobs equal to the byte, 3 of 3 scores equal" in done.output
    assert "excluded" not in done.output


def test_a_byte_that_was_flipped_before_the_study_was_certified_is_found(results: Path, tmp_path: Path) -> None:
    forged = tmp_path / "results"
    shutil.copytree(results, forged)
    store, kept = Store(forged / "store"), keep(forged, tmp_path / "study")
    (key,) = [key for key in store.keys([]) if key.startswith("dataset-")]
    manifest = store.manifest(key)
    assert manifest is not None
    name = max(manifest.files, key=lambda one: manifest.files[one].size)
    path = store.out(key) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused = command("certify", kept, "--results", forged)
    assert (refused.exit_code, name in refused.output) == (2, True)
    files = {**manifest.files, name: FileRecord(sha256(path), len(data))}
    write_json(store.directory(key) / "manifest.json", replace(manifest, files=files).to_record())
    assert command("certify", kept, "--results", forged).exit_code == 0
    edit(kept, only("dataset"))
    done = command("verify", kept, "--share", 1)
    assert done.exit_code == 1, done.output
    assert f"DIFFERENT: {key}: {name}" in done.output
    assert "0 of 1 job equal to the byte" in done.output


def test_an_altered_score_is_found_and_what_is_too_dear_is_named(study: Path, tmp_path: Path) -> None:
    edit(study, only("evaluate"))
    text = (study / "scores.csv").read_text()
    (line,) = [line for line in text.splitlines() if ",Random," in line]
    cells = line.split(",")
    cells[8] = "0.5"
    (study / "scores.csv").write_text(text.replace(line, ",".join(cells)))
    done = command("verify", study, "--share", 1, "--into", tmp_path / "kept")
    assert done.exit_code == 1, done.output
    assert "scores.csv was altered since" in done.output
    assert "0.5 in the study" in done.output
    assert "0 of 1 score equal" in done.output
    assert "1 of 1 job equal to the byte" in done.output
    excluded = [line for line in done.output.splitlines() if line.startswith("excluded: ")]
    assert len(excluded) == len(read_certificate(study).jobs) - 1
    assert any("(pretrain" in line and "with its ancestors it takes 4 hours" in line for line in excluded)
    again = command("verify", study, "--into", tmp_path / "kept")
    assert (again.exit_code, "already exists" in again.output) == (2, True)


def test_other_bits_of_another_processor_are_told_from_a_forgery_and_scores_compared(study: Path) -> None:
    def elsewhere(record: dict[str, Any]) -> None:
        only("evaluate")(record)
        record["computed_on"][0]["instruction_set"] = "vector9000"
        for job in record["jobs"]:
            job["files"] = {name: "0" * 64 if name == "episodes.json" else digest for name, digest in job["files"].items()}

    edit(study, elsewhere)
    done = command("verify", study, "--share", 1)
    assert done.exit_code == 3, done.output
    assert "DIFFERENT: evaluate-" in done.output
    assert "computed elsewhere, which may be why: instruction set vector9000 there, " in done.output
    assert "1 of 1 score equal" in done.output


def test_an_altered_setting_is_found_before_anything_runs(study: Path) -> None:
    def change(record: dict[str, Any]) -> None:
        record["jobs"][0]["job"]["config"]["seed"] = 99

    in_no_time = command("verify", study, "--hours", 0)
    assert (in_no_time.exit_code, "no job can be drawn; raise --hours" in in_no_time.output) == (2, True)
    edit(study, change)
    done = command("verify", study)
    assert done.exit_code == 2
    assert "was altered: what it computes has the key" in done.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has no certificate.json"),
        ("{", "is not JSON"),
        ('{"schema_version": 7}', "schema_version 7, this release reads 1"),
        ('{"schema_version": 1}', "files: Field required"),
    ],
)
def test_what_is_no_certificate_is_refused_in_a_sentence(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / FILE_NAME).write_text(text)
    done = command("verify", tmp_path)
    assert (done.exit_code, message in done.output, "Traceback" in done.output) == (2, True, False)


def test_without_rows_nothing_is_run_again(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "run_again", lambda *_: pytest.fail("hours of work before the fault is told"))
    (study / "scores.csv").write_text("")
    done = command("verify", study)
    assert (done.exit_code, done.stderr) == (2, f"error: {study / 'scores.csv'}: is empty\n")
    (study / "scores.csv").unlink()
    done = command("verify", study)
    assert (done.exit_code, "it has no scores.csv" in done.stderr) == (2, True)


def without_inputs(record: dict[str, Any]) -> None:
    del record["jobs"][0]["job"]["inputs"]


def with_a_resource_of_no_job(record: dict[str, Any]) -> None:
    record["jobs"][0]["job"]["resources"]["cups"] = 2


def on_a_machine_that_is_not_listed(record: dict[str, Any]) -> None:
    record["jobs"][0]["computed_on"] = 7


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_inputs, "was altered: it is no record of a job ('inputs')"),
        (with_a_resource_of_no_job, "unexpected keyword argument 'cups'"),
        (on_a_machine_that_is_not_listed, "jobs.0.computed_on is 7, and there are 1 in the list of that name, counted from 0"),
    ],
)
def test_a_damaged_certificate_is_told_before_anything_runs(
    study: Path, damage: Callable[[dict[str, Any]], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "run_again", lambda *_: pytest.fail("hours of work before the fault is told"))
    edit(study, damage)
    done = command("verify", study)
    assert (done.exit_code, message in done.stderr) == (2, True), done.output


def test_a_result_that_is_gone_is_not_certified(results: Path, tmp_path: Path) -> None:
    poorer = tmp_path / "results"
    shutil.copytree(results, poorer)
    kept = keep(poorer, tmp_path / "study")
    (manifest, *_) = sorted(poorer.glob("store/evaluate/*/manifest.json"))
    manifest.unlink()
    done = command("certify", kept, "--results", poorer)
    assert (done.exit_code, "has a score in scores.csv, and no result" in done.output) == (2, True)
    assert command("certify", tmp_path, "--results", poorer).exit_code == 2


def test_jobs_that_measured_probes_are_certified_too_and_the_plan_alone_names_them(tmp_path: Path) -> None:
    store, study = Store(tmp_path / "store"), tmp_path / "study"
    evaluate, dataset = Job("evaluate", 1, {}), Job("dataset", 1, {})
    probe = Job("probe", 1, {}, {"target_data": (dataset.key,)})
    hardware = {"cpu": "c", "device": "cpu"}
    provenance = {"hardware": hardware, "python": "3", "packages": {}, "git_commit": None, "git_dirty": None}
    for job in (evaluate, dataset, probe):
        store.add(job)
        attempt = store.begin(job.key)
        assert attempt is not None
        store.commit(attempt, "complete", 1.0, provenance)
        attempt.claim.release()
    cell = Cell("s", 1, "catch", "m", "a", "Catch", 0, None, evaluate.key, probe.key)
    unmeasured = replace(cell, seed=1, probe_key="probe-never-run")
    scores = {
        "status": "complete", "score": 1.0, "score_rule": "mean", "num_episodes": 1, "env_steps": None, "updates": None,
        "train_key": None, "evaluate_key": evaluate.key,
    }  # fmt: skip
    measured = {"source_game": "Catch", "predictor": "cka", "value": 0.5, "seconds": 1.0}
    name = {column: getattr(cell, column) for column in CELL}
    study.mkdir()
    (study / "scores.csv").write_text(to_csv(SCORES, [name | scores]))
    assert [job.key for job in certify(study, store).jobs] == [evaluate.key]
    (study / "probes.csv").write_text(to_csv(PROBES, [name | measured]))
    with pytest.raises(CertificateError, match=r"probes\.csv has rows, and there is no plan\.json"):
        certify(study, store)
    (study / "plan.json").write_text(json.dumps({"cells": [asdict(unmeasured)]}))
    with pytest.raises(CertificateError, match=r"has rows of cells that plan\.json beside it does not name"):
        certify(study, store)
    (study / "plan.json").write_text(json.dumps({"cells": [asdict(cell), asdict(unmeasured)]}))
    certificate = certify(study, store)
    assert [job.key for job in certificate.jobs] == [evaluate.key, dataset.key, probe.key]
    assert certificate.unfinished == ()
    (store.directory(probe.key) / "manifest.json").unlink()
    with pytest.raises(CertificateError, match=rf"{probe.key} has a score in probes\.csv, and no result"):
        certify(study, store)


MACHINE = ComputedOn(
    cpu="c", instruction_set="avx2", device="cpu", python="3", packages={"torch": "1"}, git_commit=None, git_dirty=None
)


def certificate_of(*priced: tuple[Job, float]) -> Certificate:
    jobs = tuple(
        CertifiedJob(
            key=job.key, status="complete", seconds=seconds, computed_on=0, files={}, dropped=(), job=job.to_record()
        )
        for job, seconds in priced
    )  # fmt: skip
    return Certificate(schema_version=1, files={}, computed_on=(MACHINE,), unfinished=(), jobs=jobs)


def chain() -> tuple[Certificate, list[Job]]:
    """A training of 30 s, its evaluation of 20 s, one of 100 s, and nine evaluations of 10 s each that read nothing."""
    version = STAGES["evaluate"].version
    train = Job("train", STAGES["train"].version, {"seed": 0})
    reads = Job("evaluate", version, {"seed": 1}, {"network": (train.key,)})
    dear = Job("evaluate", version, {"seed": 2})
    cheap = [Job("evaluate", version, {"seed": seed}) for seed in range(3, 12)]
    return certificate_of((train, 30), (reads, 20), (dear, 100), *((job, 10) for job in cheap)), [train, reads, dear, *cheap]


def drawn(seconds: float, share: float, seed: int = 0) -> Draw:
    return draw(chain()[0], seconds=seconds, share=share, seed=seed)


def test_a_job_is_priced_with_its_ancestors_and_what_does_not_fit_is_excluded() -> None:
    _, (_, reads, dear, *_) = chain()
    assert drawn(1_000, 1.0).excluded == {}
    assert drawn(99, 1.0).excluded == {dear.key: "with its ancestors it takes 1.7 minutes"}
    assert set(drawn(49, 1.0).excluded) == {dear.key, reads.key}


def test_the_share_is_of_those_that_fit_and_the_whole_fits_too() -> None:
    prices = {job.key: job.seconds for job in chain()[0].jobs}
    for seed in range(20):
        some = drawn(99, 0.25, seed)
        assert len(some.drawn) == 3  # of 11, rounded up
        assert some.eligible == 11
        assert some.seconds <= 99
        assert some.seconds == sum(prices[key] for key in some.jobs)
        assert set(some.drawn) <= set(some.jobs)
    assert drawn(45, 1.0).seconds <= 45
    assert len(drawn(99, 0.0).drawn) == 1


def test_the_draw_follows_from_the_seed() -> None:
    assert drawn(1_000, 0.3, seed=1) == drawn(1_000, 0.3, seed=1)
    assert len({drawn(1_000, 0.3, seed=seed).drawn for seed in range(10)}) > 1


def test_what_this_code_would_make_otherwise_or_not_at_all_is_excluded_by_name() -> None:
    old = Job("train", 0, {"seed": 0})
    imported = Job("imported", 1, {"sha256": "x"})
    evaluate = STAGES["evaluate"].version
    reads_old = Job("evaluate", evaluate, {"seed": 0}, {"network": (old.key,)})
    reads_imported = Job("train", STAGES["train"].version, {"seed": 1}, {"pretrained": (imported.key,)})
    orphan = Job("evaluate", evaluate, {"seed": 5}, {"network": ("train-gone",)})
    certificate = certificate_of(*((job, 1.0) for job in (old, imported, reads_old, reads_imported, orphan)))
    excluded = draw(certificate, seconds=100, share=1.0, seed=0).excluded
    assert f"{old.key} was made by version 0 of stage train" in excluded[reads_old.key]
    assert "trained elsewhere" in excluded[reads_imported.key]
    assert "train-gone, on which it stands, is not certified" in excluded[orphan.key]
    assert len(excluded) == 5


def test_differences_between_machines_are_those_that_can_change_bits() -> None:
    assert MACHINE.differences(MACHINE) == []
    other = MACHINE.model_copy(update={"cpu": "d", "git_commit": "e", "packages": {"torch": "2", "xtra-bench": "9"}})
    assert MACHINE.differences(other) == ["processor c there, d here", "torch 1 there, 2 here"]
    old = MACHINE.model_copy(update={"instruction_set": None})
    assert old.differences(other) == ["processor c there, d here", "torch 1 there, 2 here"]


def test_how_long_parts_of_a_job_took_is_not_compared() -> None:
    files = {"probes.json": "aa", "measured_seconds.json": "bb"}
    certified = CertifiedJob(key="k", status="complete", seconds=1.0, computed_on=0, files=files, dropped=(), job={})
    assert verification._differing(certified, files | {"measured_seconds.json": "cc"}) == ()
    assert verification._differing(certified, files | {"probes.json": "cc"}) == ("probes.json",)
