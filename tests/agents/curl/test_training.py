"""CURL through the stages that every agent trains and is scored by."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from xtra.stages import evaluate, train
from xtra.stages.config import EvaluateConfig, TrainConfig
from xtra.stages.context import StageContext
from xtra.telemetry import Telemetry

CONFIG: dict[str, Any] = {
    "environment": {"game": "Catch", "frame_size": 10, "color": "gray"},
    "agent": {
        "name": "curl",
        "network": {"frame_stack": 2, "encoder": "small", "hidden": 8, "num_atoms": 11},
        "acting": {"num_envs": 2},
        "targets": {"td_steps": 4, "target_update_interval": 7},
        "optimizer": {"batch_size": 8},
        "contrastive": {"crop_margin": 1, "padding": 1},
        "replay": {"min_transitions": 40},
    },
    "training": {"env_steps": 80, "final_updates": 0, "curve_interval": 40, "curve_episodes": 2, "checkpoint_interval": 9},
    "seed": 0,
}


def run(directory: Path, stage: Any, config: Any, **inputs: tuple[Path, ...]) -> dict[str, Any]:
    for name in ("work", "out"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    stage.run(config, StageContext(directory / "work", directory / "out", inputs, Telemetry(directory / "work")))
    return {path.name: path.read_bytes() for path in (directory / "out").glob("*.json*")}


class Killed(BaseException):
    """Not an Exception: nothing may catch it."""


def test_a_killed_run_goes_on_to_the_same_end_and_its_network_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig.model_validate(CONFIG)
    straight = run(tmp_path / "straight", train, config)
    assert json.loads(straight["summary.json"]) == {"env_steps": 80, "updates": 40}
    move = train.OnlineTraining.move

    def stopping(training: train.OnlineTraining) -> bool:
        if training.updates == 23:
            raise Killed
        return move(training)

    monkeypatch.setattr(train.OnlineTraining, "move", stopping)
    with pytest.raises(Killed):
        run(tmp_path / "killed", train, config)
    monkeypatch.undo()
    assert run(tmp_path / "killed", train, config) == straight
    networks = [torch.load(tmp_path / name / "out" / "network.pt", weights_only=True) for name in ("straight", "killed")]
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])

    settings = {key: CONFIG[key] for key in ("environment", "agent", "seed")} | {"evaluation": {"num_episodes": 3}}
    scored = run(tmp_path / "score", evaluate, EvaluateConfig.model_validate(settings), network=(tmp_path / "straight" / "out",))
    assert [episode["episode_env_steps"] for episode in json.loads(scored["episodes.json"])] == [9, 9, 9]
