"""What seeds and schedules decide, seen from outside: initial networks, targets of each game, and how greedily an agent acts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from xtra.agents.curl.config import CurlConfig
from xtra.agents.efficientzero.copies import inference_copy
from xtra.agents.interface import Learner, TrainingRun, make_learner
from xtra.config import Config
from xtra.protocol.games import NUM_ACTIONS
from xtra.replay.buffer import ReplayBuffer
from xtra.transfer.student import MultiTaskStudent
from xtra.transfer.tasks import Task

from ..tiny_agent import CATCH, tiny_config
from .plain_update import talking_network

CURL: dict[str, Any] = {"network": {"frame_stack": 2, "encoder": "small", "hidden": 8}, "contrastive": {"crop_margin": 1}}


def training_run(seed: int) -> TrainingRun:
    """Half of whose updates are made after its env steps."""
    return TrainingRun(num_updates=200, env_step_updates=100, seed=seed, num_threads=1, device=torch.device("cpu"))


@pytest.mark.parametrize("config", [tiny_config(), CurlConfig.model_validate(CURL)], ids=["efficientzero", "curl"])
def test_a_network_starts_from_the_weights_that_its_seed_draws(config: Config) -> None:
    def weights(seed: int) -> torch.Tensor:
        state = make_learner(config, CATCH, training_run(seed)).network_state()
        return torch.cat([tensor.flatten().double() for tensor in state.values()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def acting_learner(**acting: Any) -> Learner:
    config = tiny_config(search={"num_simulations": 12}, acting={"random_until_training": "never", **acting})
    learner = make_learner(config, CATCH, training_run(0))
    network = talking_network(config.network, 10, seed=0)
    learner.start_from(network.state_dict(), ["representation", "dynamics", "prediction", "projection"], [])
    return learner


@pytest.mark.parametrize(
    ("span", "updates", "temperature"),
    [("env_steps", 0, 1.0), ("env_steps", 50, 0.5), ("env_steps", 75, 0.25), ("updates", 75, 1.0), ("updates", 100, 0.5)],
)
def test_actions_follow_visits_to_the_power_of_one_over_the_temperature(span: str, updates: int, temperature: float) -> None:
    stacks = np.random.default_rng(0).integers(256, size=(600, 2, 10, 10, 3), dtype=np.uint8)
    decision = acting_learner(temperature_span=span).act(stacks, row=0, updates=updates)
    mass = decision.policies.astype(np.float64) ** (1 / temperature)
    chances = mass / mass.sum(1, keepdims=True)
    # Where two actions are visited equally often, either counts.
    most_visited = chances == chances.max(1, keepdims=True)
    expected = (chances * most_visited).sum(1)
    greedy = most_visited[np.arange(600), decision.actions].mean()
    assert greedy == pytest.approx(expected.mean(), abs=4 * np.sqrt((expected * (1 - expected)).sum()) / 600)


def one_step_games(config: Any, num_games: int) -> list[Task]:
    """Games of equal actions and equal data: one transition, after which the game is over."""
    tasks = []
    for game in ("Catch", "CatchInverted")[:num_games]:
        replay = ReplayBuffer(config.replay, 1, (10, 10, 3), NUM_ACTIONS, config.window, 10)
        nothing, policy = np.zeros(1, np.float32), np.full((1, NUM_ACTIONS), 1 / NUM_ACTIONS, np.float32)
        frame = np.full((1, 10, 10, 3), 100, np.uint8)
        replay.append(frame, np.zeros(1, np.int64), nothing, np.ones(1, bool), policy, nothing)
        tasks.append(Task(game, replay))
    return tasks


def padding_and_policies(seed: int, update: int) -> tuple[list[Any], list[Any]]:
    """Of two games with equal data: the actions that a student's batches are padded with, and the searched policies."""
    config = tiny_config()
    student = MultiTaskStudent(config, 10, one_step_games(config, 2), 40, training_run(seed))
    network = talking_network(config.network, 10, seed=0)
    copies = {"network": network, "next_target": network, "target": inference_copy(network, "float32")}
    student.restore(student.state() | {name: copied.state_dict() for name, copied in copies.items()})
    batches = [drawn.batch for drawn in student.take(update)]
    return [b.actions[:, 1:].tolist() for b in batches], [b.policies[:, 0].tolist() for b in batches]


def test_what_a_students_targets_draw_depends_on_the_seed_the_game_and_the_update() -> None:
    reference = padding_and_policies(0, 0)
    assert padding_and_policies(0, 0) == reference
    for drawn in reference:
        assert drawn[0] != drawn[1], "two games"
    for others in (padding_and_policies(1, 0), padding_and_policies(0, 1)):
        for drawn, other in zip(reference, others, strict=True):
            assert drawn[0] != other[0]
