"""Pretraining by every method: repeatable, resumable between any two updates, and told apart by their targets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.interface import TrainingRun
from xtra.envs.config import EnvironmentConfig
from xtra.stages import label, pretrain
from xtra.stages.config import LabelConfig, PretrainConfig
from xtra.transfer.config import FinetuningConfig
from xtra.transfer.finetuning import FinetuningLearner, make_finetuning_learner
from xtra.transfer.tasks import LabelledTask, Task

from .small_offline import AGENT, COMMON, Killed, context, kill_after, make_dataset, outputs, view

GAMES = ("Catch", "CatchSlow")
CLONING = {"name": "cloning", "network": AGENT["network"], "optimizer": AGENT["optimizer"]}
METHODS: dict[str, dict[str, Any]] = {
    "distillation": {"agent": AGENT, "pretraining": {"method": "distillation"}, "teacher": {}},
    "multi_task": {"agent": AGENT, "pretraining": {"method": "multi_task"}, "teacher": None},
    "cloning": {"agent": CLONING, "pretraining": {"method": "cloning"}, "teacher": None},
    "cloned_teacher": {
        "agent": CLONING,
        "pretraining": {"method": "cloning", "cloning_target": "teacher"},
        "teacher": {},
    },
}
LOSSES = {
    "distillation": {"value_prefix_loss", "policy_loss", "value_loss", "consistency_loss"},
    "multi_task": {"value_prefix_loss", "policy_loss", "value_loss", "consistency_loss"},
    "cloning": {"policy_loss", "agreement"},
    "cloned_teacher": {"policy_loss", "agreement"},
}


def config(method: str, **changes: Any) -> PretrainConfig:
    chosen = METHODS[method]
    pretraining = chosen["pretraining"] | {"updates": 22, "batch_size": 7}
    scoring = {"num_episodes": 3, "max_episode_env_steps": 20}
    settings = {"games": GAMES, "environment": view(""), **chosen, "pretraining": pretraining, "evaluation": scoring, **COMMON}
    return PretrainConfig.model_validate(settings | changes)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ...]]:
    directory = tmp_path_factory.mktemp("inputs")
    datasets, labels = [], []
    teacher = make_network(EfficientZeroConfig.model_validate(AGENT).network, 10, 0, torch.device("cpu"))
    torch.save(teacher.state_dict(), directory / "network.pt")
    for game in GAMES:
        datasets.append(make_dataset(directory / game / "data", game))
        settings = {"environment": view(game), "agent": AGENT, "policy": "network", "num_threads": 1, "seed": 0}
        made = context(directory / game / "labels", dataset=(datasets[-1],), teacher=(directory,))
        label.run(LabelConfig.model_validate(settings), made)
        labels.append(made.out)
    return {"dataset": tuple(datasets), "label": tuple(labels)}


@pytest.mark.parametrize("method", list(METHODS))
def test_a_pretraining_killed_between_any_two_updates_ends_as_if_it_had_not_been(
    method: str, inputs: dict[str, tuple[Path, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrain.run(config(method), context(tmp_path / "whole", **inputs))
    for moves in (2, 12, 4):
        with monkeypatch.context() as patched:
            kill_after(moves, patched)
            with pytest.raises(Killed):
                pretrain.run(config(method), context(tmp_path / "killed", **inputs))
    pretrain.run(config(method), context(tmp_path / "killed", **inputs))
    whole = outputs(tmp_path / "whole")
    assert outputs(tmp_path / "killed") == whole
    metrics = json.loads(whole["metrics.jsonl"])
    by_game = {name for name in metrics if "/" in name}
    assert by_game == {f"{name}/{game}" for name in LOSSES[method] for game in GAMES}
    scores = json.loads(whole["source_scores.json"])
    assert [row["source_game"] for row in scores] == [*GAMES]
    assert all(row["num_episodes"] == 3 and -1 <= row["score"] <= 1 for row in scores)
    # What is left is a network that EfficientZero can start from, whatever taught it.
    network = make_network(EfficientZeroConfig.model_validate(AGENT).network, 10, 1, torch.device("cpu"))
    network.load_state_dict(torch.load(tmp_path / "whole" / "out" / "network.pt", weights_only=True))


def test_methods_teachers_and_seeds_all_make_a_difference(inputs: dict[str, tuple[Path, ...]], tmp_path: Path) -> None:
    variants: dict[str, PretrainConfig] = {name: config(name) for name in METHODS}
    variants["teacher's own value"] = config("distillation", teacher={"value_target": "teacher"})
    variants["another seed"] = config("distillation", seed=1)
    for name, settings in variants.items():
        short = settings.pretraining.model_copy(update={"updates": 3})
        pretrain.run(settings.model_copy(update={"pretraining": short}), context(tmp_path / name, **inputs))
    left = [json.dumps({k: str(v) for k, v in outputs(tmp_path / name).items()}) for name in variants]
    assert len(set(left)) == len(variants)


def test_data_or_labels_of_something_else_are_refused(inputs: dict[str, tuple[Path, ...]], tmp_path: Path) -> None:
    swapped = {**inputs, "dataset": inputs["dataset"][::-1]}
    with pytest.raises(ValueError, match="the data are of CatchSlow, and Catch was expected"):
        pretrain.run(config("distillation"), context(tmp_path, **swapped))
    with pytest.raises(TypeError, match="agent cloning cannot be pretrained by distillation"):
        pretrain.run(config("cloning", pretraining={"method": "distillation"}), context(tmp_path, **inputs))


def test_a_finetuning_reads_its_sources_with_labels_or_without(
    inputs: dict[str, tuple[Path, ...]],
) -> None:
    agent, finetuning = EfficientZeroConfig.model_validate(AGENT), FinetuningConfig(sources=GAMES)
    run = TrainingRun(num_updates=5, env_step_updates=5, seed=0, num_threads=1, device=torch.device("cpu"))
    kinds: list[tuple[dict[str, tuple[Path, ...]], type[Task]]] = [(inputs, LabelledTask), ({"dataset": inputs["dataset"]}, Task)]
    for given, kind in kinds:
        learner = make_finetuning_learner(agent, EnvironmentConfig.model_validate(view("CatchFast")), finetuning, given, run)
        assert isinstance(learner, FinetuningLearner)
        assert [(task.game, type(task)) for task in learner.tasks] == [(game, kind) for game in GAMES]
