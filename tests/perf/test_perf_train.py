"""`xtra-bench perf train`, in small; its arithmetic by hand."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from xtra.cli.perf import app
from xtra.perf.flops import count_flops
from xtra.perf.train import projected_hours
from xtra.stages.config import TrainConfig

SMALLEST = [
    "agent.network.channels=4",
    "agent.search.num_simulations=2",
    "agent.optimizer.batch_size=8",
    "agent.acting.num_envs=5",
]


def test_operations_are_counted_forward_and_backward_lstms_included() -> None:
    lstm = torch.nn.LSTM(3, 5)
    linear = torch.nn.Linear(5, 7)
    x = torch.rand(2, 4, 3)
    # Two steps of four samples: 4 gates of 5 from 3 + 5 numbers, then 7 outputs from 5.
    forward = 2 * 2 * 4 * (4 * 5 * (3 + 5) + 7 * 5)
    assert count_flops(lambda: linear(lstm(x)[0])) == forward
    assert count_flops(lambda: linear(lstm(x)[0]).sum().backward()) == 3 * forward


def test_a_full_game_is_projected_from_seconds_per_env_step_and_per_update() -> None:
    config = TrainConfig.model_validate(
        {"environment": {"game": "Pong"}, "agent": {"name": "efficientzero"}, "training": {"final_updates": 120_000}, "seed": 0}
    )
    seconds = {"environment": 1.0, "search": 2.0, "other": 1.0, "reanalysis": 3.0, "batch": 1.0, "update": 2.0}
    # 0.04 s for each of 100,000 env steps, 0.06 s for each of 120,000 updates.
    assert projected_hours(config, {"seconds": seconds, "env_steps": 100, "updates": 100}) == pytest.approx((4000 + 7200) / 3600)


def test_the_command_splits_a_real_run_into_its_parts() -> None:
    changes = [argument for change in SMALLEST for argument in ("--set", change)]
    result = CliRunner().invoke(
        app, ["train", "tiny", "--json", "--updates", "3", "--warm-up", "1", "--peak-tflops", "1", *changes]
    )
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert measured["game"] == "Catch"
    # 0.2 updates per env step: one update a row of 5.
    assert measured["env_steps"] == 5 * measured["updates"] == 15
    assert measured["env_steps_per_second"] == pytest.approx(5 * measured["updates_per_second"])
    assert sum(measured["fractions"].values()) == pytest.approx(1)
    assert all(measured["seconds"][part] > 0 for part in ("environment", "search", "reanalysis", "batch", "update"))
    assert 0 < measured["torch_kernel_fraction"] < 1
    assert measured["model_flop_utilisation"] == pytest.approx(
        (5 * measured["flops"]["per_env_step"] + measured["flops"]["per_update"]) * measured["updates_per_second"] / 1e12
    )


def test_neither_a_suite_nor_a_preset_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "smal"])
    assert result.exit_code == 2
    assert "small" in result.output
