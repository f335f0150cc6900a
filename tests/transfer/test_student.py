"""The student: its loss by hand, one pass over all games, its teachers' imitation; and the one that has no teachers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.copies import inference_copy
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.interface import TrainingRun
from xtra.agents.observation import to_observations
from xtra.protocol.games import NUM_ACTIONS, find_game
from xtra.replay.buffer import ReplayBuffer
from xtra.transfer import student
from xtra.transfer.config import TeacherConfig
from xtra.transfer.student import DistilledStudent, MultiTaskStudent
from xtra.transfer.tasks import LabelledTask, Labels

from .catch_play import labelled_catch
from .small_tasks import AGENT, task

RUN = TrainingRun(num_updates=200, env_step_updates=200, seed=1, num_threads=1, device=torch.device("cpu"))


def config(**blocks: dict[str, Any]) -> EfficientZeroConfig:
    settings: dict[str, Any] = AGENT
    return EfficientZeroConfig.model_validate({name: settings.get(name, {}) | blocks.get(name, {}) for name in {*AGENT, *blocks}})


def endless(agent: EfficientZeroConfig, game: str, policy: dict[int, float]) -> LabelledTask:
    """A game that never ends and never pays; its teacher always has this policy, and values every state 0."""
    replay = ReplayBuffer(agent.replay, 1, (10, 10, 3), NUM_ACTIONS, agent.window, 40)
    frames = np.random.default_rng(len(game)).integers(256, size=(40, 1, 10, 10, 3), dtype=np.uint8)
    nothing = np.zeros(1, np.float32)
    for row in range(40):
        replay.append(frames[row], np.zeros(1, np.int64), nothing, np.zeros(1, bool), np.zeros((1, NUM_ACTIONS)), nothing)
    policies = np.zeros((40, NUM_ACTIONS), np.float32)
    policies[:, list(policy)] = list(policy.values())
    return LabelledTask(game, replay, Labels(policies, np.zeros(40, np.float32)))


def test_the_distillation_loss_is_the_four_terms_with_the_teachers_targets() -> None:
    agent = config(optimizer={"consistency_weight": 0.0}, targets={"num_unroll_steps": 2, "td_steps": 2})
    tasks = [endless(agent, "Catch", {0: 0.25, 3: 0.75}), endless(agent, "CatchSlow", {4: 1.0})]
    made = DistilledStudent(agent, 10, tasks, 6, RUN, TeacherConfig())
    with torch.no_grad():
        # Whatever it sees, its policy is 4/21 on action 3 and 1/21 on the others; all its other guesses are uniform over 11 bins.
        made._network.prediction.policy_head[-1].bias[3] = math.log(4)
    metrics = made.update(0)
    policy = {"Catch": 0.25 * math.log(21) + 0.75 * math.log(21 / 4), "CatchSlow": math.log(21)}
    for game, step in policy.items():
        # K = 2 steps after the first: 3 policies, 3 values, 2 value prefixes.
        assert metrics[f"policy_loss/{game}"] == pytest.approx(3 * step, rel=1e-5)
        assert metrics[f"value_loss/{game}"] == pytest.approx(3 * math.log(11), rel=1e-5)
        assert metrics[f"value_prefix_loss/{game}"] == pytest.approx(2 * math.log(11), rel=1e-5)
    mean_policy = 3 * (policy["Catch"] + policy["CatchSlow"]) / 2
    assert metrics["loss"] == pytest.approx((2 * math.log(11) + mean_policy + 0.25 * 3 * math.log(11)) / 2, rel=1e-5)


def test_all_games_go_through_the_network_in_one_pass_and_its_search_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr(Planner, "explore", refuse)
    agent = config()
    tasks = [task(agent, game, seed) for seed, game in enumerate(("Catch", "CatchSlow", "CatchWide"))]
    sizes, unroll_losses = [], student.unroll_losses

    def counted(network: Any, batch: Any, settings: Any) -> Any:
        sizes.append(len(batch.weights))
        return unroll_losses(network, batch, settings)

    monkeypatch.setattr(student, "unroll_losses", counted)
    made = DistilledStudent(agent, 10, tasks, 8, RUN, TeacherConfig())
    for update in range(2):
        made.update(update)
    assert sizes == [8, 8]
    with pytest.raises(AssertionError, match="searched"):
        MultiTaskStudent(agent, 10, tasks, 8, RUN).update(0)


def test_without_teachers_each_game_is_searched_over_its_own_actions_with_a_delayed_copy() -> None:
    agent = config(targets={"target_update_interval": 2, "reanalyze_fraction": 1.0})
    games = ("Pong", "MsPacman")
    made = MultiTaskStudent(agent, 10, [task(agent, game, seed) for seed, game in enumerate(games)], 6, RUN)
    first = inference_copy(made._network, "float32").state_dict()
    for update in range(3):
        for drawn in made.take(update):
            used = drawn.batch.policies.sum((0, 1))
            assert set(np.flatnonzero(used).tolist()) == set(find_game(games[drawn.task]).action_ids)
        made.update(update)
    target = made._target.network.state_dict()
    # A snapshot was taken after update 2, and is used from update 4 on.
    assert all(torch.equal(target[name], first[name]) for name in first)
    made.update(3)
    assert any(not torch.equal(made._target.network.state_dict()[name], first[name]) for name in first)


def agreement(network: EfficientZeroNetwork, task: LabelledTask) -> float:
    """How often the network's most probable action is the teacher's."""
    rows = np.arange(task.replay.num_rows)
    observations = to_observations(task.replay.stacks(rows, np.zeros_like(rows), 2), RUN.device)
    with torch.no_grad():
        logits = network.eval().initial_inference(observations).policy_logits
    return float((logits.argmax(1).numpy() == task.labels.teacher_policies.argmax(1)).mean())


def test_a_student_comes_to_act_as_its_teacher_though_the_data_act_at_random() -> None:
    agent = config(
        network={"channels": 8, "head_channels": 4, "head_hidden": 16, "latent_scaling": "min_max"},
        optimizer={"method": "adam", "learning_rate": 0.005, "consistency_weight": 0.0, "unroll_batch_norm": "episode"},
        targets={"num_unroll_steps": 1, "td_steps": 2},
    )
    catch = labelled_catch(300, agent.window)
    made = DistilledStudent(agent, 10, [catch], 64, RUN, TeacherConfig())
    before = agreement(made._network, catch)
    for update in range(140):
        made.update(update)
    after = agreement(made._network, catch)
    assert before < 0.6
    assert after > 0.9
