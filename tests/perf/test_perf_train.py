"""`xtra-bench perf train`, in small; its arithmetic by hand."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from xtra.cli.perf import app
from xtra.perf.flops import count_flops
from xtra.perf.train import (
    Seconds,
    abbreviated,
    cross_tasks,
    keep_frames_as_in_a_study,
    make_inputs,
    projected_hours,
    whole_periods,
)
from xtra.replay.frames import BlockFrames
from xtra.stages.config import TrainConfig
from xtra.transfer.config import FinetuningConfig
from xtra.transfer.tasks import load_labelled_tasks

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
    # Measuring gradients costs another half of each update.
    parts = {"seconds": seconds, "env_steps": 100, "updates": 100}
    assert projected_hours(config, parts, 0.5) == pytest.approx((4000 + 1.5 * 7200) / 3600)


def config_with(**targets: Any) -> TrainConfig:
    agent = {"name": "efficientzero", "targets": targets}
    return TrainConfig.model_validate({"environment": {"game": "Pong"}, "agent": agent, "training": {}, "seed": 0})


def test_whole_periods_are_measured_where_reanalysis_is_kept_for_one() -> None:
    kept = config_with(reanalysis="per_period", target_update_interval=20)
    assert [whole_periods(kept, updates) for updates in (1, 20, 21)] == [20, 20, 40]
    assert whole_periods(config_with(target_update_interval=20), 21) == 21


def test_the_replay_is_filled_by_random_play_before_the_first_update() -> None:
    config = abbreviated(config_with(), transitions=5_000)
    assert (config.agent.replay.min_transitions, config.agent.acting.random_until_training) == (5_000, "always")
    assert abbreviated(config_with(), transitions=1).agent.replay.min_transitions == config.agent.optimizer.batch_size


class Nested:
    def outer(self) -> None:
        self.inner()
        self.inner()

    def inner(self) -> None:
        pass


def test_a_part_is_without_the_parts_that_it_calls() -> None:
    ticks = count()
    seconds, timed = Seconds(lambda: float(next(ticks))), Nested()
    with seconds.of("inner", timed, "inner"), seconds.of("outer", timed, "outer"):
        timed.outer()
        timed.inner()
    # The clock ticks at each reading: 0 to 5 around outer, whose two inners take one tick each; then one more.
    assert seconds.own == {"inner": 3, "outer": 3}
    timed.outer()
    assert seconds.own == {"inner": 3, "outer": 3}


def test_measuring_gradients_costs_its_share_of_an_interval() -> None:
    seconds = {
        "environment": 5.0,
        "search": 5.0,
        "reanalysis": 1.0,
        "batch": 1.0,
        "update": 2.0,
        "offline data": 1.0,
        "other": 5.0,
    }
    weights: dict[str, Any] = {"interval": 50, "window": 5}
    found = cross_tasks(FinetuningConfig.model_validate({"sources": ("Boxing",), "task_weights": weights}), seconds, 4.0)
    # Five seconds are of updates, one of them the wait; every tenth update takes four times as long again.
    assert (found["data_wait_fraction"], found["mean_measurement_cost"]) == pytest.approx((0.2, 0.4))
    never = FinetuningConfig.model_validate({"sources": ("Boxing",), "task_weights": {**weights, "method": "uniform"}})
    assert cross_tasks(never, seconds, 4.0)["mean_measurement_cost"] == 0


def test_offline_frames_are_decoded_when_read_where_full_games_would_not_fit(tmp_path: Path) -> None:
    config = TrainConfig.model_validate(
        {
            "environment": {"game": "Catch", "frame_size": 10},
            "agent": {"name": "efficientzero"},
            "training": {},
            "finetuning": {"sources": ("CatchRising", "CatchRising")},
            "seed": 0,
        }
    )
    inputs = make_inputs(config, tmp_path)
    tasks = load_labelled_tasks(("CatchRising",) * 2, inputs["dataset"], inputs["label"], config.agent.replay, window=10)
    places = np.arange(0, 4_000, 7), np.zeros(572, np.int64)
    raw, kept = tasks[0].replay.frames, tasks[0].replay.frames.read(*places)
    # A game of 100,000 transitions takes 30 MB.
    keep_frames_as_in_a_study(list(tasks), inputs["dataset"], memory_gb=0.061)
    assert tasks[0].replay.frames is raw
    keep_frames_as_in_a_study(list(tasks), inputs["dataset"], memory_gb=0.059)
    assert all(isinstance(task.replay.frames, BlockFrames) for task in tasks)
    np.testing.assert_array_equal(tasks[1].replay.frames.read(*places), kept)


def measured(*arguments: str, changes: list[str] = SMALLEST) -> dict[str, Any]:
    settings = [argument for change in changes for argument in ("--set", change)]
    short = ["--json", "--updates", "3", "--warm-up", "1", "--transitions", "50", "--peak-tflops", "1"]
    result = CliRunner().invoke(app, ["train", "tiny", *short, *arguments, *settings])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert sum(found["fractions"].values()) == pytest.approx(1)
    return found


def test_the_command_splits_a_real_run_into_its_parts() -> None:
    found = measured()
    assert (found["game"], found["cross_tasks"], found["transitions"]) == ("Catch", None, 50)
    # 0.2 updates per env step: one update a row of 5.
    assert found["env_steps"] == 5 * found["updates"] == 15
    assert found["env_steps_per_second"] == pytest.approx(5 * found["updates_per_second"])
    assert list(found["seconds"]) == ["environment", "search", "reanalysis", "batch", "update", "other"]
    assert all(seconds > 0 for part, seconds in found["seconds"].items() if part != "other")
    assert 0 < found["torch_kernel_fraction"] < 1
    assert found["model_flop_utilisation"] == pytest.approx(
        (5 * found["flops"]["per_env_step"] + found["flops"]["per_update"]) * found["updates_per_second"] / 1e12
    )


def test_the_command_measures_finetuning_with_offline_tasks() -> None:
    found = measured("--cross-tasks", "4", "--updates", "9")  # medians of several: a stall in one must not decide
    crossed, seconds = found["cross_tasks"], found["seconds"]
    assert crossed["games"] == ["CatchInverted", "CatchWide", "CatchRising", "CatchInverted"]
    updates = sum(seconds[part] for part in ("reanalysis", "batch", "offline data", "update"))
    assert 0 < crossed["data_wait_fraction"] == pytest.approx(seconds["offline data"] / updates)
    # Five gradients more, of the target and of each task; the preset measures 20 of every 200 updates.
    assert crossed["measurement_cost"] > 0
    assert crossed["mean_measurement_cost"] == pytest.approx(crossed["measurement_cost"] / 10)


def test_the_command_measures_curl() -> None:
    found = measured("--agent", "curl", changes=["agent.optimizer.batch_size=8", "agent.acting.num_envs=2"])
    assert (found["agent"], found["env_steps"]) == ("curl", 2 * found["updates"])
    assert list(found["seconds"]) == ["environment", "acting", "batch", "update", "other"]
    assert all(seconds > 0 for part, seconds in found["seconds"].items() if part != "other")
    assert found["flops"]["per_env_step"] > 0


def test_offline_tasks_are_refused_for_an_agent_without_them() -> None:
    result = CliRunner().invoke(app, ["train", "tiny", "--agent", "curl", "--cross-tasks", "2"])
    assert result.exit_code == 2
    assert "efficientzero" in result.output


def test_neither_a_suite_nor_a_preset_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "smal"])
    assert result.exit_code == 2
    assert "small" in result.output
