"""Plans: which jobs and cells a suite comes to, and that keys depend on what is computed and on nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xtra.stages.config import EvaluateConfig, TrainConfig
from xtra.store.job import Job
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.plan import Plan, closure, plan, topological
from xtra.suite.spec import SuiteSpec

SUITES = Path(__file__).parents[2] / "suites"


TRANSFER: dict[str, Any] = {
    "sources": ["Freeway"],
    "source_method": "EfficientZero",
    "methods": [
        {"name": "EfficientZero"},
        {"name": "XTRA", "set": {"transfer.pretraining.method": "distillation", "transfer.cross_tasks.enabled": True}},
    ],
}


def planned(**changes: Any) -> Plan:
    data = {
        "suite": "example", "version": 1, "question": "?", "protocol": "atari100k", "preset": "small", "seeds": [0, 1],
        "targets": ["Pong", "Breakout"], "methods": [{"name": "EfficientZero"}, {"name": "Random", "agent": "random"}],
    } | changes  # fmt: skip
    return plan(SuiteSpec.model_validate_json(json.dumps(data)))


def test_every_cell_has_its_evaluation_and_trained_agents_their_training() -> None:
    made = planned()
    assert [cell.name for cell in made.cells] == [
        f"{method}/{game}/{seed}" for method in ("EfficientZero", "Random") for game in ("Pong", "Breakout") for seed in (0, 1)
    ]
    for cell in made.cells:
        evaluate = made.jobs[cell.evaluate_key]
        config = EvaluateConfig.model_validate_json(json.dumps(evaluate.config))
        assert (config.environment.game, config.seed, config.agent.name) == (cell.game, cell.seed, cell.agent)
        if cell.method == "Random":
            assert (cell.train_key, evaluate.inputs) == (None, {})
        else:
            assert evaluate.inputs == {"network": (cell.train_key,)}
            trained = TrainConfig.model_validate_json(json.dumps(made.jobs[str(cell.train_key)].config))
            assert (trained.environment.game, trained.seed) == (cell.game, cell.seed)
    assert len(made.jobs) == 12


def test_names_are_in_no_key() -> None:
    renamed = planned(
        suite="other", version=7, question="Another?", notes="n", baseline="B",
        methods=[{"name": "A", "description": "d"}, {"name": "B", "agent": "random"}],
    )  # fmt: skip
    assert renamed.jobs.keys() == planned().jobs.keys()
    assert renamed.id != planned().id


def test_methods_with_equal_settings_share_their_jobs() -> None:
    twice = planned(methods=[{"name": "A"}, {"name": "B", "base": "A", "set": {"agent.network.channels": 16}}])
    assert len(twice.cells) == 8
    assert len(twice.jobs) == 8


def test_a_setting_of_the_evaluation_leaves_the_training_as_it_was() -> None:
    more = planned(set={"evaluation.num_episodes": 5})
    assert {cell.train_key for cell in more.cells} == {cell.train_key for cell in planned().cells}
    assert not {cell.evaluate_key for cell in more.cells} & {cell.evaluate_key for cell in planned().cells}


def test_resources_reach_the_jobs_and_leave_their_keys() -> None:
    slurm = {"partition": "gpu", "setup": ["module load cuda"]}
    made = planned(resources={"train": {"cpus": 3, "gpus": 1, "memory_gb": 16, "hours": 2.5, "slurm": slurm}})
    assert made.jobs.keys() == planned().jobs.keys()
    asked = {job.stage: (job.resources.cpus, job.resources.gpus, job.resources.hours) for job in made.jobs.values()}
    assert asked == {"train": (3, 1, 2.5), "evaluate": (1, 0, 24.0)}
    assert all(job.resources.slurm == slurm for job in made.jobs.values() if job.stage == "train")


def test_a_preset_says_what_jobs_ask_for_and_a_suite_overrides_it_field_by_field() -> None:
    by_preset = planned(preset="xtra")
    overridden = planned(preset="xtra", resources={"train": {"hours": 48}})
    assert overridden.jobs.keys() == by_preset.jobs.keys()
    requests = {
        job.stage: (job.resources.cpus, job.resources.gpus, job.resources.memory_gb, job.resources.hours)
        for job in overridden.jobs.values()
    }
    assert requests == {"train": (4, 1, 24.0, 48.0), "evaluate": (4, 1, 16.0, 1.0)}
    smoke = planned(preset="xtra", size="smoke", resources={"train": {"hours": 48, "slurm": {"partition": "gpu"}}})
    assert {(job.resources.cpus, job.resources.gpus) for job in smoke.jobs.values()} == {(1, 0)}
    assert {job.resources.slurm.get("partition") for job in smoke.jobs.values() if job.stage == "train"} == {"gpu"}


def test_a_written_default_is_the_same_job_as_an_unwritten_one() -> None:
    assert planned(set={"agent.search.discount": 0.997**4}).jobs.keys() == planned().jobs.keys()


def test_the_key_of_a_fixed_job_never_changes() -> None:
    job = Job("train", 1, {"b": [1, 2.5, True, None], "a": {"é": "x"}}, {"train": ("train-0",)})
    assert job.key == "train-17da4c4abce4dd27eb58ec58"


def test_keys_are_the_same_in_another_process() -> None:
    program = (
        "import sys; from xtra.suite.load import load_suite; from xtra.suite.plan import plan;"
        "made = plan(load_suite(sys.argv[1])); print(made.id, *made.jobs)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, str(SUITES / "catch.yaml")],
            env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(printed) == 1


def test_rows_of_a_changed_protocol_carry_its_label() -> None:
    made = planned(methods=[{"name": "A"}, {"name": "Half", "base": "A", "set": {"training.env_steps": 50_000}}])
    assert {(cell.method, cell.protocol) for cell in made.cells} == {
        ("A", "atari100k"),
        ("Half", "atari100k+training.env_steps=50000"),
    }


def test_a_seed_alone_is_the_same_cell_as_among_others() -> None:
    three = planned(seeds=[0, 1, 2], pretrain_seeds=[5, 6, 7], **TRANSFER)
    alone = planned(seeds=[1], pretrain_seeds=[5, 6, 7], **TRANSFER)
    assert alone.cells == three.only(["*/*/1"]).cells
    assert {job.config["seed"] for job in alone.jobs.values() if job.stage == "pretrain"} == {6}
    backwards = planned(seeds=[2, 1, 0], pretrain_seeds=[5, 6, 7], **TRANSFER)
    assert set(backwards.cells) == set(three.cells)


def test_a_method_named_like_a_glob_is_chosen_by_its_name_and_nothing_else_is() -> None:
    made = planned(methods=[{"name": "C [x]"}, {"name": "C x"}, {"name": "*"}, {"name": "Random", "agent": "random"}])
    assert {cell.method for cell in made.only(["C [x]"]).cells} == {"C [x]"}
    assert [cell.name for cell in made.only(["C [x]/Pong/1"]).cells] == ["C [x]/Pong/1"]
    assert {cell.method for cell in made.only(["*/Pong"]).cells} == {"*"}
    assert {cell.method for cell in made.only(["C *"]).cells} == {"C [x]", "C x"}


def test_only_keeps_the_cells_that_match_and_the_jobs_they_stand_on() -> None:
    made = planned()
    kept = made.only(["Eff*/Pong", "*/Breakout/1"])
    assert [cell.name for cell in kept.cells] == [
        "EfficientZero/Pong/0", "EfficientZero/Pong/1", "EfficientZero/Breakout/1", "Random/Breakout/1",
    ]  # fmt: skip
    assert set(kept.jobs) == {key for cell in kept.cells for key in cell.keys}
    assert kept.id != made.id
    assert made.only([]) is made
    assert (made.left_out, set(kept.left_out)) == ((), set(made.cells) - set(kept.cells))
    assert set(kept.only(["*/Breakout"]).left_out) == set(made.cells) - set(kept.only(["*/Breakout"]).cells)


def test_what_depends_on_a_job_is_selected_with_it_and_nothing_else() -> None:
    made = planned(seeds=[0, 1], **TRANSFER)
    (pretrain,) = [key for key, job in made.jobs.items() if job.stage == "pretrain"]
    selected = made.selected_with_dependents(["pretrain-*"], "--rerun")
    of_xtra = {key for cell in made.cells if cell.method == "XTRA" for key in cell.keys}
    assert set(selected) == {pretrain, *of_xtra}
    assert set(made.selected_with_dependents(["XTRA/Pong/1"], "--rerun")) == {
        key for cell in made.cells if cell.name == "XTRA/Pong/1" for key in cell.keys
    }
    assert made.selected_with_dependents([], "--rerun") == {}


def test_only_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(SuiteError) as caught:
        planned().only(["Random", "efficientzero/*", "*/Pong/2", "*/*/*/*"])
    assert [problem.location.text for problem in caught.value.problems] == ["efficientzero/*", "*/Pong/2", "*/*/*/*"]


@pytest.mark.parametrize(
    ("glob", "remedy"),
    [
        ("efficientzero", "did you mean 'EfficientZero'?"),
        ("EfficientZro/pong", "did you mean 'EfficientZero/Pong'?"),
        ("Other", "method/game/seed, for example 'EfficientZero/Pong/0'"),
    ],
)
def test_only_that_matches_nothing_names_what_was_probably_meant(glob: str, remedy: str) -> None:
    with pytest.raises(SuiteError) as caught:
        planned().only([glob])
    assert caught.value.problems[0].remedy == remedy


def test_a_graph_is_ordered_and_complete_or_refused() -> None:
    first, absent = Job("a", 1, {}), Job("z", 1, {})
    second = Job("b", 1, {}, {"in": (first.key,)})
    assert list(topological({second.key: second, first.key: first})) == [first.key, second.key]
    both = {first.key: first, second.key: second}
    assert closure(both, [first.key]) == {first.key: first}
    assert closure(both, [second.key]) == both
    orphan = Job("b", 1, {}, {"in": (absent.key,)})
    with pytest.raises(ValueError, match=f"{orphan.key} reads {absent.key}"):
        topological({orphan.key: orphan})
    with pytest.raises(ValueError, match="wait for one another: x -> y -> x"):
        topological({"x": Job("a", 1, {}, {"in": ("y",)}), "y": Job("b", 1, {}, {"in": ("x",)})})
