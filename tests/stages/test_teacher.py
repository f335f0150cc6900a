"""Teachers from data alone: repeatable, resumable between any two updates, or not trained at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from xtra.agents.efficientzero.agent import EfficientZeroLearner, make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.rng import derive_seed
from xtra.stages import teacher
from xtra.stages.config import TrainTeacherConfig
from xtra.stages.context import Diverged

from ..tiny_agent import merged
from .small_offline import AGENT, COMMON, Killed, context, kill_after, make_dataset, outputs, view


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data"), "Catch")


def config(**changes: Any) -> TrainTeacherConfig:
    settings = {"environment": view("Catch"), "agent": AGENT, "updates": 22, **COMMON}
    return TrainTeacherConfig.model_validate(settings | changes)


def test_a_teacher_killed_between_any_two_updates_ends_as_if_it_had_not_been(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher.run(config(), context(tmp_path / "whole", dataset=(data,)))
    # Before any checkpoint (every 7 updates), just before the second, and again soon after it was resumed from.
    for moves in (3, 14, 4):
        with monkeypatch.context() as patched:
            kill_after(moves, patched)
            with pytest.raises(Killed):
                teacher.run(config(), context(tmp_path / "killed", dataset=(data,)))
    teacher.run(config(), context(tmp_path / "killed", dataset=(data,)))
    whole = outputs(tmp_path / "whole")
    assert outputs(tmp_path / "killed") == whole
    assert json.loads(whole["summary.json"]) == {"updates": 22}
    (line,) = whole["metrics.jsonl"].splitlines()
    assert json.loads(line)["updates"] == 20


@pytest.mark.parametrize("average_decay", [0.0, 0.9])
def test_a_teacher_of_no_updates_is_a_network_as_drawn_whose_policy_is_not_uniform(
    average_decay: float, data: Path, tmp_path: Path
) -> None:
    agent = merged(AGENT, {"optimizer": {"average_decay": average_decay}})
    teacher.run(config(updates=0, seed=3, agent=agent), context(tmp_path, dataset=(data,)))
    left = torch.load(tmp_path / "out" / "network.pt", weights_only=True)
    drawn = make_network(
        EfficientZeroConfig.model_validate(AGENT).network, 10, derive_seed(3, "teacher"), torch.device("cpu")
    ).state_dict()
    assert left.keys() == drawn.keys()
    # Heads start at zero, which would make the control a teacher that says nothing.
    redrawn = {name for name in drawn if not torch.equal(left[name], drawn[name])}
    assert any("policy_head" in name for name in redrawn)
    assert all(name.startswith("prediction.") and not drawn[name].any() for name in redrawn)
    assert (tmp_path / "out" / "metrics.jsonl").read_bytes() == b""


def test_a_teacher_whose_loss_is_not_finite_stops_and_leaves_what_it_has(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = EfficientZeroLearner.update

    def poisoned(learner: EfficientZeroLearner, replay: Any, number: int) -> dict[str, float]:
        if number == 3:
            learner.network_state()["representation.stages.0.weight"].fill_(float("nan"))
        return update(learner, replay, number)

    monkeypatch.setattr(EfficientZeroLearner, "update", poisoned)
    with pytest.raises(Diverged, match="update 3: the loss is nan"):
        teacher.run(config(), context(tmp_path, dataset=(data,)))
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == {"updates": 3}
