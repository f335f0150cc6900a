"""A small agent and small datasets, for the tests of the stages that learn from data alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from xtra.stages import dataset, offline_training
from xtra.stages.config import DatasetConfig
from xtra.stages.context import StageContext
from xtra.telemetry import Telemetry

from ..tiny_agent import NETWORK

AGENT: dict[str, Any] = {
    "name": "efficientzero",
    "network": {**NETWORK, "num_halvings": 1},
    "search": {"num_simulations": 4},
    "targets": {"target_update_interval": 5},
    "optimizer": {"batch_size": 6, "learning_rate": 0.02, "warmup_updates": 5},
}
COMMON = {"checkpoint_interval": 7, "num_threads": 1, "seed": 0}
ENV_STEPS = 100
"""25 rows of 4 environments: two whole games of 9 steps and a piece of 7 in each."""


def view(game: str) -> dict[str, Any]:
    return {"game": game, "frame_size": 10}


def context(directory: Path, **inputs: tuple[Path, ...]) -> StageContext:
    for name in ("work", "out"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    return StageContext(directory / "work", directory / "out", inputs, Telemetry(directory / "work"))


def make_dataset(directory: Path, game: str) -> Path:
    """Random play."""
    config = {"environment": view(game), "data": {"policy": "random"}, "env_steps": ENV_STEPS, "seed": 0}
    dataset.run(DatasetConfig.model_validate(config), context(directory))
    return directory / "out"


def outputs(directory: Path) -> dict[str, Any]:
    """Everything an offline training leaves, comparable."""
    out = directory / "out"
    network = torch.load(out / "network.pt", weights_only=True)
    tensors = {name: (value.dtype, value.numpy().tobytes()) for name, value in network.items()}
    return tensors | {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in {".json", ".jsonl"}}


class Killed(BaseException):
    """Not an Exception: nothing may catch it."""


def kill_after(moves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies instead of making move number `moves`."""
    move = offline_training.OfflineTraining.move
    left = iter(range(moves - 1))

    def counted(training: offline_training.OfflineTraining) -> bool:
        if next(left, None) is None:
            raise Killed
        return move(training)

    monkeypatch.setattr(offline_training.OfflineTraining, "move", counted)
