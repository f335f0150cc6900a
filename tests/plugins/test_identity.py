"""What a plugin computes with is part of a job's identity; where it lies, and what does not run on it, is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from xtra import plugins
from xtra.execute.worker import Exit, run_job
from xtra.plugins import PluginError, plugins_of
from xtra.results.describe import describe
from xtra.store.job import Job, digest
from xtra.store.store import Store
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

GOLDEN = Path(__file__).parent / "golden_identities.json"
"""Of every kind of job that ours alone plan: a digest of its configuration and inputs, without the stages' versions. They were
the same before there were plugins. Who changes one changes the keys of jobs that people have computed."""

OURS = """
suite: golden
version: 1
question: Are keys what they were?
protocol: catch
preset: tiny
seeds: [0]
targets: [Catch]
sources: [CatchWide, CatchRising]
source_method: EfficientZero
methods:
  - name: EfficientZero
  - name: XTRA
    set: {transfer.pretraining.method: distillation, transfer.cross_tasks.enabled: true}
  - name: multi-task with retention
    set: {transfer.pretraining.method: multi_task, transfer.retention.method: ewc, transfer.start.retained: 0.8}
  - name: uniform
    set: {transfer.pretraining.method: distillation, transfer.cross_tasks.enabled: true, transfer.task_weights.method: uniform}
  - name: CURL
    agent: curl
    set: {transfer.pretraining.method: multi_task}
  - name: cloning
    agent: cloning
  - name: finetuned cloning
    set: {transfer.pretraining.method: cloning, transfer.pretraining.cloning_target: teacher}
  - name: Random
    agent: random
"""


def identities(jobs: dict[str, Job]) -> dict[str, str]:
    """Label → digest, by topological order, with the versions left out that developers raise."""
    names: dict[str, str] = {}
    for key, job in jobs.items():
        inputs = {role: [names[one] for one in keys] for role, keys in job.inputs.items()}
        names[key] = f"{job.stage}-{digest({**replace(job, version=0).to_record(), 'inputs': inputs, 'resources': None})[:24]}"
    return dict.fromkeys(sorted(names.values()), "")


def test_jobs_that_no_plugin_takes_part_in_are_keyed_as_before_there_were_any(tmp_path: Path, directory: Path) -> None:
    (tmp_path / "golden.yaml").write_text(OURS)
    load_suite(directory / "suite.yaml", trust_plugins=True)  # a plugin that is loaded changes nothing of others' jobs
    assert list(identities(dict(plan(load_suite(tmp_path / "golden.yaml")).jobs))) == json.loads(GOLDEN.read_text())


def test_the_source_is_part_of_the_key_and_its_place_is_not(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = plan(load_suite(directory / "suite.yaml", trust_plugins=True))
    assert {tuple(job.plugins) for job in first.jobs.values()} == {("my_games.py",)}
    sha256 = plugins.LOADED["my_games.py"].sha256
    assert {job.plugins["my_games.py"] for job in first.jobs.values()} == {f"source sha256:{sha256}"}
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("my_games.py", "suite.yaml"):
        shutil.copy(directory / name, elsewhere / name)
    assert plan(load_suite(elsewhere / "suite.yaml")).jobs == first.jobs
    job = next(iter(first.jobs.values()))
    assert replace(job, plugins={"my_games.py": "source sha256:0"}).key != job.key
    assert plugins_of({"environment": {"game": "Catch"}}) == {}


def test_a_worker_loads_the_file_that_the_store_keeps_and_no_other(directory: Path) -> None:
    planned = plan(load_suite(directory / "suite.yaml", trust_plugins=True)).only(["Random"])
    (key, job), store = next(iter(planned.jobs.items())), Store(directory / "store")
    store.add(job)
    assert run_job(str(store.root), key) is Exit.FAILED
    assert "no file" in store.error_file(key).read_text()
    plugins.keep(store.root, [job])
    kept = next(store.root.glob("plugins/*/my_games.py"))
    assert kept.parent.name == plugins.LOADED["my_games.py"].sha256
    kept.write_text(kept.read_text() + "# changed\n")
    assert run_job(str(store.root), key) is Exit.FAILED
    assert "is not the file that its directory is named after" in store.error_file(key).read_text()
    assert store.keys() == [key]


def test_a_method_is_another_where_the_plugin_of_any_of_its_games_has_another_source(directory: Path) -> None:
    text = (directory / "suite.yaml").read_text()
    text = text.replace("protocol: corridor", "protocol: mixed").replace("[Corridor]", "[Catch, Corridor]")
    (directory / "suite.yaml").write_text(text)
    planned = plan(load_suite(directory / "suite.yaml", trust_plugins=True))
    jobs = {key: replace(job, plugins=dict.fromkeys(job.plugins, "source sha256:0")) for key, job in planned.jobs.items()}
    plain, other = (describe(one, "").fields.methods for one in (planned, replace(planned, jobs=jobs)))
    for method, changed in zip(plain, other, strict=True):
        assert method.identity is not None and changed.identity is not None
        assert method.identity.facts["plugin my_games.py"] == f"source sha256:{plugins.LOADED['my_games.py'].sha256}"
        assert method.identity.digest != changed.identity.digest


def test_the_file_that_a_suite_names_may_lie_beside_the_script_that_loads_its_agents(directory: Path) -> None:
    job = next(iter(plan(load_suite(directory / "suite.yaml", trust_plugins=True)).jobs.values()))
    plugins.keep(directory / "store", [job])
    script = f"from pathlib import Path; from xtra.plugins import load_kept; load_kept(Path('store'), {job.plugins!r})"
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stderr == ""
    (directory / "my_games.py").write_text("another = 1\n")
    refused = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False).stderr
    assert f"my_games.py has the name of the module my_games ({directory}/my_games.py), whose source is another" in refused


def test_somebody_elses_store_runs_no_code_that_was_not_consented_to(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = next(iter(plan(load_suite(directory / "suite.yaml", trust_plugins=True)).jobs.values()))
    plugins.keep(directory / "store", [job])
    monkeypatch.setattr(plugins, "LOADED", {})  # as in a process of its own
    monkeypatch.delitem(sys.modules, "my_games")
    monkeypatch.setattr(plugins, "is_trusted", lambda plugin: False)
    with pytest.raises(PluginError, match="is code that you have not trusted: none of it was run"):
        plugins.load_kept(directory / "store", job.plugins, only_trusted=True)
    assert not plugins.LOADED
