"""Whole updates over several games against the plain ones of plain_transfer.py: finetuning with offline tasks, distillation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.copies import inference_copy
from xtra.agents.interface import TrainingRun
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import NUM_ACTIONS, find_game
from xtra.replay.buffer import ReplayBuffer
from xtra.transfer.config import CrossTaskConfig, FinetuningConfig, TaskWeightConfig, TeacherConfig
from xtra.transfer.finetuning import FinetuningLearner
from xtra.transfer.student import DistilledStudent, MultiTaskStudent
from xtra.transfer.tasks import LabelledTask, Labels

from ..agents.plain_targets import Memory, fill
from ..agents.plain_update import PlainEfficientZero, talking_network
from ..agents.test_plain_update import NUM_UPDATES, SEED, assert_equal_states, configure
from .plain_transfer import PlainCrossTasks, PlainMultiTask, PlainStudent, PlainTask

NUM_ROWS = 40
GAMES_BY_SEED = {"CatchInverted": 11, "Pong": 12, "CatchWide": 13}
RUN = TrainingRun(num_updates=NUM_UPDATES, env_step_updates=NUM_UPDATES, seed=SEED, num_threads=1, device=torch.device("cpu"))
COMPONENTS = ("representation", "dynamics", "prediction", "projection")


def sources(config: EfficientZeroConfig) -> tuple[list[LabelledTask], list[PlainTask]]:
    """Three games, each with a teacher of its own; the same twice."""
    labelled, plain = [], []
    for game, seed in GAMES_BY_SEED.items():
        rng, ids = np.random.default_rng(seed), find_game(game).action_ids
        replay = ReplayBuffer(config.replay, 1, (10, 10, 3), NUM_ACTIONS, config.window, NUM_ROWS)
        memory = Memory(config.window)
        fill(replay, memory, NUM_ROWS, ids, seed)
        policies, values = np.zeros((NUM_ROWS, NUM_ACTIONS), np.float32), rng.normal(size=NUM_ROWS).astype(np.float32)
        policies[:, ids] = rng.dirichlet(np.ones(len(ids)), NUM_ROWS)
        labelled.append(LabelledTask(game, replay, Labels(policies, values)))
        plain.append(PlainTask(game, ids, memory, policies, values))
    return labelled, plain


def assert_equal_metrics(actual: dict[str, float], expected: dict[str, float]) -> None:
    assert {name: actual[name] for name in expected} == pytest.approx(expected, rel=5e-3, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss_normalization": "per_task", "batch_size": 8},
        {"loss_normalization": "released", "batch_size": 8},
        {"loss_normalization": "paper_sum", "batch_size": 9},
        {"loss_normalization": "released", "batch_size": 9, "composition": "shared_queue"},
        {"loss_normalization": "per_task", "batch_size": 12, "forward": "separate"},
    ],
    ids=lambda settings: "-".join(str(value) for value in settings.values()),
)
def test_updates_with_offline_tasks_are_those_of_the_plain_version(settings: dict[str, Any]) -> None:
    """Of five updates the second and third measure gradients, and the fourth and fifth go by the new weights.

    Games that pass alone have four samples each: batch norm over three makes a change of 1e-7 in the weights one of 0.003 in
    the priorities, and then which processor it is decides.
    """
    config = configure(targets={"reanalyze_fraction": 0.0})
    cross = CrossTaskConfig(enabled=True, **settings)
    threshold = 0.05 if "forward" in settings else -0.05  # between the cosines that these tasks happen to have
    task_weights = TaskWeightConfig(initial=0.7, start=1, interval=50, window=2, threshold=threshold, gradient_clamp=0.05)
    labelled, plain_tasks = sources(config)
    environment = EnvironmentConfig(game="Catch", frame_size=10)
    finetuning = FinetuningConfig(cross_tasks=cross, task_weights=task_weights, teacher=TeacherConfig())
    learner = FinetuningLearner(config, environment, RUN, finetuning, labelled)
    network = talking_network(config.network, 10, seed=1)
    learner.start_from(network.state_dict(), COMPONENTS, [])
    replay, memory = learner.make_replay(2, (10, 10, 3), 100), Memory(config.window)
    fill(replay, memory, NUM_ROWS, find_game("Catch").action_ids, seed=5)
    own = PlainEfficientZero(network, config, find_game("Catch").action_ids, SEED)
    plain = PlainCrossTasks(own, plain_tasks, cross, task_weights)
    for update in range(5):
        expected = plain.update(memory, update, NUM_UPDATES)
        assert_equal_metrics(learner.update(replay, update), expected)
        assert_equal_states(learner, own)
        np.testing.assert_allclose(replay.priorities[:NUM_ROWS], memory.priorities(), rtol=1e-3, atol=1e-3)
        for task, plain_task in zip(labelled, plain_tasks, strict=True):
            np.testing.assert_allclose(task.replay.priorities[:NUM_ROWS], plain_task.memory.priorities(), rtol=1e-3, atol=1e-3)
    assert len(set(plain.weights)) > 1, "the measurements tell the tasks apart"


@pytest.mark.parametrize("value_target", ["n_step_teacher", "teacher", "released"])
def test_a_distillations_updates_are_those_of_the_plain_version(value_target: Any) -> None:
    config, teacher = configure(), TeacherConfig(value_target=value_target)
    labelled, plain_tasks = sources(config)
    student = DistilledStudent(config, 10, labelled, 10, RUN, teacher)
    network = talking_network(config.network, 10, seed=1)
    student.restore(student.state() | {"network": network.state_dict()})
    own = PlainEfficientZero(network, config, (), SEED)
    plain = PlainStudent(own, plain_tasks, 10, teacher)
    for update in range(4):
        expected = plain.update(update, NUM_UPDATES)
        assert_equal_metrics(student.update(update), expected)
        assert_equal_states(student, own)
        for task, plain_task in zip(labelled, plain_tasks, strict=True):
            np.testing.assert_allclose(task.replay.priorities[:NUM_ROWS], plain_task.memory.priorities(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batch_norm", ["per_step", "episode"])
def test_multi_task_updates_are_those_of_the_plain_version(batch_norm: str) -> None:
    config = configure(optimizer={"unroll_batch_norm": batch_norm}, targets={"target_update_interval": 2})
    labelled, plain_tasks = sources(config)
    student = MultiTaskStudent(config, 10, labelled, 10, RUN)
    network = talking_network(config.network, 10, seed=1)
    weights, acting = network.state_dict(), inference_copy(network, "float32").state_dict()
    student.restore(student.state() | {"network": weights, "target": acting, "next_target": weights})
    own = PlainEfficientZero(network, config, (), SEED)
    plain = PlainMultiTask(own, plain_tasks, 10)
    for update in range(5):
        expected = plain.update(update, NUM_UPDATES)
        assert_equal_metrics(student.update(update), expected)
        assert_equal_states(student, own)
        for task, plain_task in zip(labelled, plain_tasks, strict=True):
            np.testing.assert_allclose(task.replay.priorities[:NUM_ROWS], plain_task.memory.priorities(), rtol=1e-3, atol=1e-3)
