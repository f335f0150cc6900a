"""Suite `controls`: equal compute is equal by hand, no two arms are one job, and every arm runs on the small game."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from ruamel.yaml import YAML

from xtra.execute.worker import Exit, run_job
from xtra.stages.config import TrainConfig
from xtra.stages.train import TrainingBudget
from xtra.store.store import Store
from xtra.suite.load import load_suite
from xtra.suite.method import configure
from xtra.suite.plan import closure, plan

CONTROLS = Path(__file__).parents[2] / "suites" / "controls.yaml"
EQUAL_COMPUTE = ("Scratch, pretraining's updates after", "Scratch, pretraining's updates throughout")


def test_scratch_at_equal_compute_makes_the_updates_of_pretraining_and_finetuning() -> None:
    made = plan(load_suite(CONTROLS))
    updates: dict[str, int] = {}
    for cell in made.cells:
        config = TrainConfig.model_validate_json(json.dumps(made.jobs[cell.train_key or ""].config))
        training = config.training
        budget = TrainingBudget(training.env_steps, training.final_updates, training.updates_per_env_step, 2_000)
        updates[cell.method] = budget.num_updates
        if cell.method == EQUAL_COMPUTE[1]:
            # 2.44897 x (100,000 - 2,000): all but one of them while the target is played.
            assert budget.collecting_updates == 239_999
    (pretraining,) = {job.config["pretraining"]["updates"] for job in made.jobs.values() if job.stage == "pretrain"}
    assert (updates["XTRA"], pretraining) == (120_000, 120_000)
    assert {updates[method] for method in EQUAL_COMPUTE} == {240_000}
    assert {count for method, count in updates.items() if method not in EQUAL_COMPUTE} == {120_000}


def test_version_2_is_an_agent_like_any_other_that_plays_the_sources_teaches_and_learns() -> None:
    made = plan(load_suite(CONTROLS))
    (cell,) = [cell for cell in made.cells if (cell.method, cell.game, cell.seed) == ("XTRA on EfficientZero V2", "Hero", 0)]
    trained = made.jobs[cell.train_key or ""]
    jobs = [made.jobs[key] for key in closure(made.jobs, [trained.key])]
    agents = {job.stage: job.config["agent"] for job in jobs if job.stage != "dataset"}
    assert set(agents) == {"train", "teacher", "label", "pretrain"}
    assert {agent["network"]["support"] for agent in agents.values()} == {25}  # 51 bins
    assert {agent["optimizer"]["consistency_weight"] for agent in agents.values()} == {5.0}
    search = {name: agents["train"]["search"][name] for name in ("policy", "num_simulations", "max_considered_actions")}
    assert search == {"policy": "gumbel", "num_simulations": 16, "max_considered_actions": 4}
    assert all(agents[stage]["targets"]["value_target"] == "mixed" for stage in ("train", "teacher"))
    # A student follows its teachers: how it would make targets of its own is no part of it.
    assert "value_target" not in agents["pretrain"]["targets"]


def test_every_arm_is_a_job_of_its_own() -> None:
    made = plan(load_suite(CONTROLS))
    keys = [cell.train_key for cell in made.cells if (cell.game, cell.seed) == ("Hero", 0)]
    assert len(keys) == len(set(keys)) == 17


def test_an_arm_reads_of_the_sources_what_it_needs_and_nothing_else() -> None:
    made = plan(load_suite(CONTROLS))
    roles = {
        cell.method: set(made.jobs[cell.train_key or ""].inputs) for cell in made.cells if (cell.game, cell.seed) == ("Hero", 0)
    }
    assert roles["Scratch, cross-tasks' share from the target"] == roles["EfficientZero"] == set()
    assert roles["Pretrained, L2-SP"] == roles["Pretrained, kickstarting"] == roles["Pretrained"] == {"pretrained"}
    # The Fisher information is of the sources' transitions; nobody's labels enter it.
    assert roles["Pretrained, EWC"] == {"pretrained", "dataset"}
    assert roles["XTRA, heads reset"] == {"pretrained", "dataset", "label"}


@pytest.mark.parametrize(
    ("agent", "settings", "message"),
    [
        ("efficientzero", {"transfer.start.retained": 0.5}, "transfer.start.retained is set, but nothing is pretrained"),
        ("efficientzero", {"transfer.retention.method": "l2_sp"}, "transfer.retention.method is set, but nothing is pretrained"),
        (
            "curl",
            {"transfer.pretraining.method": "multi_task", "transfer.start.reset_heads": True},
            "transfer.start.reset_heads is set; agent curl does not read it",
        ),
        ("curl", {"transfer.learning_rates.dynamics": 0.5}, "transfer.learning_rates is set; agent curl does not read it"),
    ],
)
def test_a_setting_that_would_change_nothing_is_refused(agent: str, settings: dict[str, Any], message: str) -> None:
    view = {"environment.frame_size": 84, "environment.color": "gray"} if agent == "curl" else {}
    with pytest.raises(ValidationError, match=message):
        configure(agent, view | settings)


@pytest.mark.slow
def test_every_arm_runs_and_learns_something_else(tmp_path: Path) -> None:
    suite = YAML(typ="safe").load(CONTROLS)
    here = {"protocol": "catch", "preset": "tiny", "size": "smoke", "seeds": [0], "targets": ["Catch"], "sources": ["CatchSlow"]}
    faster = {"transfer.cross_tasks.anneal_updates": 8, "transfer.retention.fisher_samples": 4, "training.curve_interval": 48}
    faster |= {"environment.frame_size": 10, "agent.network.num_halvings": 1}  # also of arms with a preset of their own
    path = tmp_path / "controls.yaml"
    path.write_text(json.dumps(suite | here | {"set": faster}), encoding="utf-8")
    made, store = plan(load_suite(path)), Store(tmp_path / "store")
    for job in made.jobs.values():
        store.add(job)
        assert run_job(str(store.root), job.key) == Exit.DONE, job.key
    networks: dict[str, bytes] = {}
    for cell in made.cells:
        out = store.out(cell.train_key or "")
        weights = torch.load(out / "network.pt", weights_only=True)
        networks[cell.method] = np.concatenate([value.double().numpy().ravel() for value in weights.values()]).tobytes()
        measured = json.loads((out / "plasticity.json").read_text())
        assert [row["env_steps"] for row in measured] == [48, 96]
        assert all(0 <= row["dormant_fraction"] <= 1 and row["effective_rank"] >= 1 for row in measured)
        assert json.loads((store.out(cell.evaluate_key) / "summary.json").read_text())["num_episodes"] == 2
    # Of size smoke nothing is learned after the last env step: that arm is EfficientZero's own job.
    assert networks.pop(EQUAL_COMPUTE[0]) == networks["EfficientZero"]
    assert len(set(networks.values())) == len(networks) == 16
