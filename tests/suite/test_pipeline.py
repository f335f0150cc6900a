"""The jobs of transfer: what exists, what reads what, and what is shared."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from xtra.store.job import Job
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.plan import Plan, plan
from xtra.suite.spec import SuiteSpec
from xtra.transfer.config import CrossTaskConfig

XTRA = {"transfer.pretraining.method": "distillation", "transfer.cross_tasks.enabled": True}


def suite(*methods: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "suite": "example", "version": 1, "question": "?", "protocol": "atari100k", "preset": "small", "seeds": [0, 1],
        "targets": ["Pong"], "sources": ["Breakout", "Boxing"], "source_method": "EfficientZero",
        "methods": [{"name": "EfficientZero"}, *methods],
    } | changes  # fmt: skip


def planned(*methods: dict[str, Any], **changes: Any) -> Plan:
    return plan(SuiteSpec.model_validate_json(json.dumps(suite(*methods, **changes))))


def stages(made: Plan) -> Counter[str]:
    return Counter(job.stage for job in made.jobs.values())


def jobs_of(made: Plan, method: str, seed: int = 0) -> dict[str, Job]:
    """The training and the network that it starts from."""
    (cell,) = [c for c in made.cells if c.method == method and c.seed == seed]
    assert cell.train_key is not None
    train = made.jobs[cell.train_key]
    return {"train": train} | {role: made.jobs[key] for role, (key, *_) in train.inputs.items()}


def problems(tmp_path: Path, data: dict[str, Any]) -> str:
    path = tmp_path / "suite.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    return str(caught.value)


def test_the_whole_of_xtra_is_one_chain_whose_sources_are_computed_once() -> None:
    made = planned({"name": "XTRA", "set": XTRA})
    # 2 from scratch, 2 finetuned, 2 source runs; everything up to the pretrained network is shared by the two seeds.
    assert stages(made) == {"train": 6, "dataset": 2, "teacher": 2, "label": 2, "pretrain": 1, "evaluate": 4}
    train = jobs_of(made, "XTRA")["train"]
    pretrain = made.jobs[train.inputs["pretrained"][0]]
    assert {role: train.inputs[role] for role in ("dataset", "label")} == dict(pretrain.inputs)
    games = [made.jobs[key].config["environment"]["game"] for key in train.inputs["dataset"]]
    assert games == list(train.config["finetuning"]["sources"]) == ["Breakout", "Boxing"]
    for key in train.inputs["label"]:
        label = made.jobs[key]
        (teacher,) = label.inputs["teacher"]
        assert made.jobs[teacher].inputs["dataset"] == label.inputs["dataset"]


def test_a_source_run_is_the_baseline_run_of_another_suite() -> None:
    baseline = planned(targets=["Breakout"], sources=None, source_method=None)
    transfer = planned({"name": "XTRA", "set": XTRA})
    assert {job.key for job in baseline.jobs.values() if job.stage == "train" and job.config["seed"] == 0} <= transfer.jobs.keys()


def test_leaving_one_out_never_shows_a_target_its_own_data() -> None:
    games = ["Pong", "Breakout", "Boxing"]
    made = planned({"name": "XTRA", "set": XTRA}, targets=games, sources=["other_targets"])
    for cell in made.cells:
        if cell.method == "XTRA" and cell.train_key is not None:
            assert made.jobs[cell.train_key].config["finetuning"]["sources"] == [game for game in games if game != cell.game]
    assert stages(made)["dataset"] == 3


def test_ablations_of_finetuning_share_everything_before_it() -> None:
    made = planned(
        {"name": "XTRA", "set": XTRA},
        {"name": "Uniform weights", "base": "XTRA", "set": {"transfer.task_weights.method": "uniform"}},
        {"name": "Representation", "base": "XTRA", "set": {"transfer.start.components": ["representation"]}},
        {"name": "No cross-tasks", "base": "XTRA", "set": {"transfer.cross_tasks.enabled": False}},
    )
    assert stages(made)["pretrain"] == 1
    assert (
        len({jobs_of(made, method)["train"].key for method in ("XTRA", "Uniform weights", "Representation", "No cross-tasks")})
        == 4
    )
    assert "label" not in jobs_of(made, "No cross-tasks")


def test_settings_of_what_is_not_used_do_not_make_another_job() -> None:
    unused = {"transfer.cross_tasks.batch_size": 8, "transfer.data.part": "late", "transfer.task_weights.window": 3}
    made = planned({"name": "Same", "set": unused})
    assert jobs_of(made, "Same")["train"].key == jobs_of(made, "EfficientZero")["train"].key


def test_how_an_agent_acts_and_searches_does_not_make_another_student() -> None:
    other = {"agent.search.policy": "gumbel", "agent.acting.num_envs": 8, "agent.optimizer.average_decay": 0.9}
    made = planned(
        {"name": "XTRA", "set": XTRA},
        {"name": "Gumbel", "base": "XTRA", "set": other},
        {"name": "Smaller", "base": "XTRA", "set": {"agent.network.channels": 8}},
    )
    students = [jobs_of(made, method)["pretrained"].key for method in ("XTRA", "Gumbel", "Smaller")]
    assert students[0] == students[1] != students[2]


def test_zero_shot_evaluates_the_pretrained_network_and_no_pretraining_reads_labels_alone() -> None:
    made = planned(
        {"name": "Zero-shot", "set": {"transfer.pretraining.method": "distillation", "transfer.zero_shot": True}},
        {"name": "No pretraining", "set": {"transfer.cross_tasks.enabled": True}},
    )
    (zero_shot, *_) = [cell for cell in made.cells if cell.method == "Zero-shot"]
    assert zero_shot.train_key is not None
    assert made.jobs[zero_shot.train_key].stage == "pretrain"
    assert set(jobs_of(made, "No pretraining")) == {"train", "dataset", "label"}


def test_a_random_policy_needs_no_source_run_and_online_teachers_no_teacher() -> None:
    random = planned({"name": "XTRA", "set": {**XTRA, "transfer.data.policy": "random"}})
    assert stages(random) == {"train": 4, "dataset": 2, "teacher": 2, "label": 2, "pretrain": 1, "evaluate": 4}
    online = planned({"name": "XTRA", "set": {**XTRA, "transfer.teacher.training": "online"}})
    assert stages(online)["teacher"] == 0
    (label,) = {made.inputs["teacher"] for made in online.jobs.values() if made.stage == "label"} & {
        (job.key,) for job in online.jobs.values() if job.config.get("environment", {}).get("game") == "Breakout"
    }
    assert online.jobs[label[0]].stage == "train"


def test_pretraining_seeds_are_apart_from_those_of_finetuning() -> None:
    made = planned({"name": "XTRA", "set": XTRA}, seeds=[0, 1, 2], pretrain_seeds=[5, 6])
    used = [jobs_of(made, "XTRA", seed)["pretrained"].config["seed"] for seed in (0, 1, 2)]
    assert used == [5, 6, 5]


def test_cloning_serves_its_zero_shot_arm_and_the_finetuned_one() -> None:
    finetuned = {"transfer.pretraining.method": "cloning", "transfer.start.components": ["representation", "prediction"]}
    made = planned({"name": "Cloning", "agent": "cloning"}, {"name": "Finetuned", "set": finetuned})
    assert stages(made)["pretrain"] == 1
    assert jobs_of(made, "Finetuned")["pretrained"].key == jobs_of(made, "Cloning")["train"].key


def test_mistakes_about_sources_are_told_with_a_remedy(tmp_path: Path) -> None:
    xtra = {"name": "XTRA", "set": XTRA}
    cases = {
        "and none are named": suite(xtra) | {"sources": None},
        "Pong is a target": suite(xtra) | {"sources": ["Pong", "Boxing"]},
        "no other target": suite(xtra) | {"sources": ["other_targets"]},
        "nobody plays them": suite(xtra) | {"source_method": None},
        "not EfficientZero from scratch": suite(xtra) | {"source_method": "XTRA"},
        "unknown game": suite(xtra) | {"sources": ["Breakot"]},
        "unknown method": suite(xtra) | {"source_method": "Nobody"},
        "Catch is a game of family catch": suite(xtra) | {"sources": ["Catch"]},
        "environment.noop_max is 0": suite(xtra | {"set": XTRA | {"environment.noop_max": 0}}),
        "nothing is pretrained": suite({"name": "X", "set": {"transfer.start.frozen": ["dynamics"]}}),
        "is not loaded": suite(
            xtra | {"set": XTRA | {"transfer.start.frozen": ["dynamics"], "transfer.start.components": ["prediction"]}}
        ),
        "longer than its interval": suite(xtra | {"set": XTRA | {"transfer.task_weights.window": 6_000}}),
        "transfer.start.components: [] is not": suite(xtra | {"set": XTRA | {"transfer.start.components": []}}),
        "stands beside named games": suite(xtra) | {"sources": ["Boxing", "other_targets"]},
    }
    for expected, data in cases.items():
        told = problems(tmp_path, {key: value for key, value in data.items() if value is not None})
        assert expected in told, (expected, told)


@pytest.mark.parametrize(
    ("settings", "is_refused"),
    [
        ({"batch_size": 4, "final_share": 0.5, "anneal_updates": 8}, True),  # 3 samples at update 3: 2 and 1
        ({"batch_size": 3}, True),
        ({"batch_size": 4}, False),
        ({"batch_size": 4, "final_share": 0.5, "anneal_updates": 8, "forward": "joint"}, False),
        ({"batch_size": 256, "final_share": 0.0}, False),
        ({"batch_size": 8, "final_share": 0.0, "filled_by": "target"}, True),  # 1 sample after seven of eight steps
        ({"batch_size": 8, "final_share": 0.25, "filled_by": "target"}, False),
    ],
)
def test_no_sample_is_alone_in_a_forward_pass_whatever_the_share_that_is_left(
    settings: dict[str, Any], is_refused: bool, tmp_path: Path
) -> None:
    block = {f"transfer.cross_tasks.{name}": value for name, value in ({"forward": "separate"} | settings).items()}
    data = suite({"name": "XTRA", "set": XTRA | block})
    if is_refused:
        assert "one is alone in its pass: batch norm needs two" in problems(tmp_path, data)
    else:
        (tmp_path / "suite.yaml").write_text(json.dumps(data), encoding="utf-8")
        load_suite(tmp_path / "suite.yaml")


@pytest.mark.parametrize("anneal_updates", [1, 3, 8, 13, 100])
def test_the_sizes_of_the_mixed_batch_are_those_of_all_its_updates(anneal_updates: int) -> None:
    cross = CrossTaskConfig(batch_size=20, final_share=0.1, anneal_updates=anneal_updates)
    assert cross.batch_sizes == {round(20 * cross.share(update)) for update in range(anneal_updates + 2)}


def test_a_smoke_run_asks_for_little_wherever_the_study_would_run() -> None:
    asked = {"train": {"cpus": 8, "gpus": 2, "memory_gb": 64, "slurm": {"partition": "long"}}}
    job = jobs_of(planned(resources=asked, size="smoke"), "EfficientZero")["train"]
    assert (job.resources.cpus, job.resources.gpus, job.resources.memory_gb) == (1, 0, 4.0)
    assert job.resources.slurm["partition"] == "long"
