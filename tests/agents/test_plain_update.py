"""Whole updates of the learner against the plain ones of plain_update.py: losses, gradients, statistics, priorities, weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.interface import Learner, TrainingRun, make_learner
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import find_game
from xtra.replay.buffer import ReplayBuffer

from .plain_targets import Memory, fill
from .plain_update import AdamW, PlainEfficientZero, Sgd, talking_network

NUM_UPDATES = 10
EPISODE = {"unroll_batch_norm": "episode"}
SEED = 1
SETTINGS: dict[str, dict[str, Any]] = {
    "network": {
        "frame_stack": 2, "channels": 4, "num_halvings": 1, "head_channels": 3, "head_hidden": 8, "lstm_hidden": 6, "support": 6,
        "projection_hidden": 8, "projection_size": 7, "predictor_hidden": 5,
    },
    "search": {"num_simulations": 6, "discount": 0.9, "lstm_horizon": 2},
    # The oldest transition is 78 others old: horizons of 3 steps, 2 and 1.
    "targets": {
        "num_unroll_steps": 3, "td_steps": 3, "td_steps_decay": 25, "target_update_interval": 1, "reanalyze_fraction": 0.5,
    },
    "optimizer": {
        "batch_size": 8, "learning_rate": 0.02, "warmup_updates": 2, "decay_interval": 2, "weight_decay": 0.01,
        "augmentation_shift": 2,
    },
}  # fmt: skip


def configure(**blocks: dict[str, Any]) -> EfficientZeroConfig:
    return EfficientZeroConfig.model_validate(
        {name: SETTINGS.get(name, {}) | blocks.get(name, {}) for name in {*SETTINGS, *blocks}}
    )


def pair(config: EfficientZeroConfig, game: str = "CatchWide") -> tuple[Learner, ReplayBuffer, PlainEfficientZero, Memory]:
    """The learner and the plain one, with equal networks and equal data."""
    environment = EnvironmentConfig(game=game, frame_size=10)
    run = TrainingRun(num_updates=NUM_UPDATES, env_step_updates=NUM_UPDATES, seed=SEED, num_threads=1, device=torch.device("cpu"))
    learner, network = make_learner(config, environment, run), talking_network(config.network, 10, seed=1)
    learner.start_from(network.state_dict(), ["representation", "dynamics", "prediction", "projection"], [])
    replay, memory = learner.make_replay(2, (10, 10, 3), 100), Memory(config.window)
    fill(replay, memory, 40, find_game(game).action_ids, seed=5)
    return learner, replay, PlainEfficientZero(network, config, find_game(game).action_ids, SEED), memory


def assert_equal_states(learner: Learner, plain: PlainEfficientZero) -> None:
    """Weights, statistics, and the momentum, which after the first update is the clipped gradient and the decay.

    Float32 decides some activations near 0 one way or the other, which moves single entries of a gradient; losses, weights and
    statistics are continuous there.
    """
    buffers = {i: state["momentum_buffer"] for i, state in learner.state()["optimizer"]["state"].items()}
    assert isinstance(plain.optimizer, Sgd)
    for i, (name, expected) in enumerate(plain.optimizer.momentum.items()):
        assert_close(buffers.get(i, torch.zeros_like(expected)), expected, 0.05, f"momentum of {name}")
    for name, expected in plain.network.state_dict().items():
        assert_close(learner.network_state()[name], expected, 2e-3, name)


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float, name: str) -> None:
    """tolerance: of the norm of the difference, relative to the tensor's."""
    error = (actual.double() - expected.double()).norm().item() / (expected.double().norm().item() + 1e-4)
    assert error < tolerance, f"{name}: {error}"


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param({}, id="as released"),
        pytest.param({"optimizer": {"max_gradient_norm": 0.3}}, id="clipped gradients"),
        pytest.param({"optimizer": {"max_gradient_norm": 1e6, "augmentation": "none"}}, id="unclipped gradients"),
        pytest.param({"targets": {"mask_past_end": "consistency", "clip_rewards": False}}, id="losses past the end, raw rewards"),
        pytest.param({"optimizer": {"consistency_weight": 0.0}, "targets": {"target_update_interval": 2}}, id="no consistency"),
        pytest.param({"search": {"policy": "gumbel"}}, id="policies of sequential halving"),
        pytest.param({"optimizer": EPISODE}, id="batch norm of what happened"),
        pytest.param({"optimizer": EPISODE, "targets": {"mask_past_end": "consistency"}}, id="of what happened, past the end"),
        pytest.param({"optimizer": EPISODE | {"batch_size": 2}}, id="of what happened, few samples"),
    ],
)
def test_four_updates_are_those_of_the_plain_version(blocks: dict[str, dict[str, Any]]) -> None:
    learner, replay, plain, memory = pair(configure(**blocks))
    for update in range(4):
        expected = plain.update(memory, update, NUM_UPDATES)
        metrics = learner.update(replay, update)
        assert metrics == pytest.approx(expected, rel=5e-3), update
        assert_equal_states(learner, plain)
        np.testing.assert_allclose(replay.priorities[:40], memory.priorities(), rtol=1e-3, atol=1e-3)


def test_four_updates_by_adam_are_those_of_the_plain_version() -> None:
    """As preset `small` trains. Adam's steps are of one size whatever the gradient, so what is compared are its moments, and how
    far those weights have moved whose gradients are more than rounding."""
    learner, replay, plain, memory = pair(
        configure(optimizer=EPISODE | {"method": "adam", "learning_rate": 0.002, "weight_decay": 2.0})
    )
    initial = {name: weight.clone() for name, weight in plain.network.named_parameters()}
    optimizer = plain.optimizer
    assert isinstance(optimizer, AdamW)
    for update in range(4):
        expected = plain.update(memory, update, NUM_UPDATES)
        metrics = learner.update(replay, update)
        # A sum of three cosines, which happens to be near 0 here.
        assert metrics.pop("consistency_loss") == pytest.approx(expected.pop("consistency_loss"), abs=5e-3), update
        assert metrics == pytest.approx(expected, rel=5e-3), update
        states, weights = learner.state()["optimizer"]["state"], learner.network_state()
        moved = 0
        for i, (name, weight) in enumerate(plain.network.named_parameters()):
            assert_close(states[i]["exp_avg"], optimizer.mean[name], 0.05, f"mean of {name}")
            assert_close(states[i]["exp_avg_sq"].sqrt(), optimizer.square[name].sqrt(), 0.05, f"root mean square of {name}")
            meant = optimizer.square[name].sqrt() > 1e-5
            moved += int(meant.sum())
            assert_close((weights[name] - initial[name])[meant], (weight - initial[name]).detach()[meant], 0.05, name)
        assert moved > 1_000
