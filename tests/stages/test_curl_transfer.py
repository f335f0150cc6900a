"""CURL from another agent's episodes to a score: rendered in its own view, pretrained, finetuned whole or in part, zero-shot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from xtra.agents.interface import load_weights
from xtra.replay.offline import OfflineData
from xtra.stages import dataset, evaluate, pretrain, train
from xtra.stages.config import DatasetConfig, EvaluateConfig, PretrainConfig, TrainConfig

from .small_offline import AGENT, COMMON, Killed, context, kill_after, outputs

GAMES = ("CatchInverted", "CatchSlow")
CURL: dict[str, Any] = {
    "name": "curl",
    "network": {"frame_stack": 2, "encoder": "small", "hidden": 8, "num_atoms": 11},
    "acting": {"num_envs": 2},
    "targets": {"td_steps": 4, "target_update_interval": 5},
    "optimizer": {"batch_size": 8},
    "contrastive": {"crop_margin": 1, "padding": 1},
    "replay": {"min_transitions": 40},
}
CPU = torch.device("cpu")
TRAINING = {"env_steps": 60, "final_updates": 0, "curve_interval": 60, "curve_episodes": 1}
PRETRAIN = PretrainConfig.model_validate(
    {
        "games": GAMES,
        "environment": {"game": "", "frame_size": 20, "color": "gray"},
        "agent": CURL,
        "pretraining": {"method": "multi_task", "updates": 22, "batch_size": 7},
        "teacher": None,
        "evaluation": {"num_episodes": 2, "max_episode_env_steps": 20},
        **COMMON,
    }
)


def view(game: str, **changes: Any) -> dict[str, Any]:
    return {"game": game, "frame_size": 20, "color": "gray"} | changes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """EfficientZero's runs in colour, as CURL sees them."""
    directory, datasets = tmp_path_factory.mktemp("data"), []
    for game in GAMES:
        agent = AGENT | {"acting": {"num_envs": 4}, "replay": {"min_transitions": 56}}
        seen = view(game, frame_size=10, color="rgb")
        run = context(directory / game / "run")
        train.run(TrainConfig.model_validate({"environment": seen, "agent": agent, "training": TRAINING, "seed": 3}), run)
        rendered = context(directory / game / "data", train=(run.out,))
        dataset.run(DatasetConfig.model_validate({"environment": view(game), "data": {}, "seed": 0}), rendered)
        assert OfflineData.open(rendered.out).frame_shape == (20, 20, 1)
        datasets.append(rendered.out)
    return tuple(datasets)


@pytest.fixture(scope="module")
def pretrained(data: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pretrained")
    pretrain.run(PRETRAIN, context(directory, dataset=data))
    return directory


def test_a_pretraining_killed_between_any_two_updates_ends_as_if_it_had_not_been(
    data: tuple[Path, ...], pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moves in (2, 12, 4):
        with monkeypatch.context() as patched:
            kill_after(moves, patched)
            with pytest.raises(Killed):
                pretrain.run(PRETRAIN, context(tmp_path, dataset=data))
    pretrain.run(PRETRAIN, context(tmp_path, dataset=data))
    whole = outputs(pretrained)
    assert outputs(tmp_path) == whole
    assert {name for name in json.loads(whole["metrics.jsonl"]) if "/" in name} == {f"value_loss/{game}" for game in GAMES}


def test_a_run_starts_from_the_parts_that_are_asked_for(pretrained: Path, tmp_path: Path) -> None:
    ended = {}
    for components in (("representation",), ("representation", "prediction", "projection")):
        start = {"components": components, "frozen": ("representation",)}
        settings = {"environment": view("Catch"), "agent": CURL, "training": TRAINING, "finetuning": {"start": start}, "seed": 1}
        made = context(tmp_path / str(len(components)), pretrained=(pretrained / "out",))
        train.run(TrainConfig.model_validate(settings), made)
        ended[components] = load_weights(made.out, CPU)
    theirs = load_weights(pretrained / "out", CPU)
    encoder_alone, whole = ended.values()
    for name, value in theirs.items():
        is_frozen = name.startswith("representation.")
        assert torch.equal(encoder_alone[name], value) == torch.equal(whole[name], value) == is_frozen, name
    for name in ("prediction.value_hidden.weight_mean", "projection.similarity"):
        # 15 updates of 1e-4 lead nowhere far.
        assert (whole[name] - theirs[name]).abs().max() < 0.002 < (encoder_alone[name] - theirs[name]).abs().max()


def test_the_pretrained_network_plays_a_game_that_it_never_saw(pretrained: Path, tmp_path: Path) -> None:
    settings = {"environment": view("Catch"), "agent": CURL, "evaluation": {"num_episodes": 2}, "seed": 0}
    made = context(tmp_path, network=(pretrained / "out",))
    evaluate.run(EvaluateConfig.model_validate(settings), made)
    assert [episode["episode_env_steps"] for episode in json.loads((made.out / "episodes.json").read_text())] == [9, 9]
