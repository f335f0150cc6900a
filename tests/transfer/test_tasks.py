"""Targets of offline data against cases worked out by hand, and where they come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.planning import Planner
from xtra.protocol.games import NUM_ACTIONS
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.transfer.config import TeacherConfig
from xtra.transfer.tasks import LabelledTask, Labels, TeacherTargets


def config(**targets: Any) -> EfficientZeroConfig:
    return EfficientZeroConfig.model_validate(
        {
            "network": {"frame_stack": 2},
            "search": {"discount": 0.5},
            "targets": {"num_unroll_steps": 2, "td_steps": 2} | targets,
        }
    )


def made_task(agent: EfficientZeroConfig) -> LabelledTask:
    """Two trajectories, rows 0 to 4 and 5 on. Row i earns i, its teacher says action i for certain and the value 10 i."""
    replay = ReplayBuffer(agent.replay, 1, (2, 2, 3), NUM_ACTIONS, agent.window, expected_transitions=20)
    for row in range(12):
        frame = np.full((1, 2, 2, 3), 10 * row, np.uint8)
        policy = np.zeros((1, NUM_ACTIONS), np.float32)
        replay.append(frame, np.array([3]), np.array([row], np.float32), np.array([row == 4]), policy, np.zeros(1, np.float32))
    labels = Labels(np.eye(NUM_ACTIONS, dtype=np.float32)[:12], 10 * np.arange(12, dtype=np.float32))
    return LabelledTask("Catch", replay, labels)


SAMPLE = Sample(np.array([0, 3]), np.array([0, 0]), np.array([1.0, 0.25], np.float32))


@pytest.mark.parametrize(
    ("value_target", "clip", "expected"),
    [
        # discount 1/2, 2 steps, rewards' signs 0 1 1 1 1 and the end. Row 0: 0 + 1/2 + 20/4; row 3: 1 + 1/2 + nothing.
        ("n_step_teacher", True, [[5.5, 9.0, 11.5], [1.5, 1.0, 0.0]]),
        # Raw rewards. Row 2: 2 + 3/2 + 40/4; row 3: 3 + 4/2.
        ("n_step_teacher", False, [[5.5, 9.5, 13.5], [5.0, 4.0, 0.0]]),
        ("teacher", True, [[0.0, 10.0, 20.0], [30.0, 40.0, 0.0]]),
        # The same rewards with the value of the state itself, undiscounted. Row 3: 1 + 1/2 + 30; row 4: 1 + 40.
        ("released", True, [[0.5, 11.5, 21.5], [31.5, 41.0, 0.0]]),
    ],
)
def test_each_value_target_is_its_formula_up_to_the_end_of_the_episode(
    value_target: Any, clip: bool, expected: list[list[float]]
) -> None:
    agent = config(clip_rewards=clip)
    batch = TeacherTargets(agent, TeacherConfig(value_target=value_target), 0).make(made_task(agent), SAMPLE, 0)
    assert batch.values.tolist() == expected


def test_everything_else_is_the_datas_own_and_the_teachers_policies() -> None:
    agent = config()
    targets = TeacherTargets(agent, TeacherConfig(), 0)
    batch = targets.make(made_task(agent), SAMPLE, 0)
    assert batch.frames[..., 0, 0, 0].tolist() == [[0, 0, 10, 20], [20, 30, 40, 40]]
    assert batch.alive.tolist() == [[True, True, True], [True, True, False]]
    assert batch.value_prefixes.tolist() == [[0, 1], [1, 2]]
    assert batch.policies.argmax(-1)[0].tolist() == [0, 1, 2]
    assert batch.policies.argmax(-1)[1, :2].tolist() == [3, 4]
    assert batch.policies.sum(-1).tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.weights.tolist() == [1.0, 0.25]


def test_actions_past_the_end_are_uniform_over_the_games_own() -> None:
    agent = config(num_unroll_steps=5)
    task = made_task(agent)
    last = Sample(np.full(200, 4), np.zeros(200, np.int64), np.ones(200, np.float32))
    targets = TeacherTargets(agent, TeacherConfig(), 0)
    actions = targets.make(task, last, 7).actions
    assert (actions[:, 0] == 3).all()
    found, counts = np.unique(actions[:, 1:], return_counts=True)
    assert found.tolist() == [0, 3, 4]
    assert counts.min() > 200
    assert (targets.make(task, last, 7).actions == actions).all()
    assert (targets.make(task, last, 8).actions != actions).any()
    assert (targets.make(task, last, 7, 1).actions != actions).any()


def test_offline_targets_are_never_searched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("offline data are never reanalysed")

    monkeypatch.setattr(Planner, "explore", refuse)
    monkeypatch.setattr(Planner, "exploit", refuse)
    agent = config(reanalyze_fraction=1.0, value_source="search")
    batch = TeacherTargets(agent, TeacherConfig(), 0).make(made_task(agent), SAMPLE, 0)
    assert batch.policies[0, 0, 0] == 1.0
