"""Behaviour cloning learns whom it is shown, leaves the rest of the network alone, and plays what it learned."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from xtra.agents.config import CloningConfig
from xtra.agents.efficientzero.agent import EfficientZeroLearner, make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.evaluation import mean_episode_return, play_episodes
from xtra.agents.interface import TrainingRun, make_player
from xtra.envs.config import EnvironmentConfig
from xtra.transfer.behaviour_cloning import BehaviourCloning, CloningPlayer
from xtra.transfer.tasks import Task

from .catch_play import CATCH, labelled_catch
from .small_tasks import AGENT

CONFIG = CloningConfig.model_validate(
    {
        "network": AGENT["network"] | {"channels": 8, "head_channels": 4, "head_hidden": 16},
        "optimizer": {"method": "adam", "learning_rate": 0.01, "warmup_updates": 0, "augmentation": "none"},
    }
)
RUN = TrainingRun(num_updates=100, env_step_updates=100, seed=0, num_threads=1, device=torch.device("cpu"))


@pytest.mark.parametrize("target", ["actions", "teacher"])
def test_it_learns_a_deterministic_policy_and_catches_with_it(target: str) -> None:
    catch = labelled_catch(400, 0)
    shown: Task = catch
    if target == "actions":
        # The dataset itself was played perfectly; nobody labelled it.
        catch.replay.actions[:400, 0] = catch.labels.teacher_policies.argmax(1)
        shown = Task(catch.game, catch.replay)
    cloning = BehaviourCloning(CONFIG, 10, [shown], 64, RUN)
    metrics: dict[str, float] = {}
    for update in range(100):
        metrics = cloning.update(update)
    assert metrics["agreement/Catch"] > 0.95
    assert metrics["policy_loss/Catch"] == pytest.approx(metrics["loss"], rel=1e-5)
    player = make_player(CONFIG, CATCH, cloning.network_state(), seed=0, num_threads=1)
    assert isinstance(player, CloningPlayer)
    assert mean_episode_return(play_episodes(player, CATCH, num_episodes=20, max_episode_env_steps=20, seed=1)) > 0.7


def test_it_goes_on_from_its_state_bit_for_bit() -> None:
    first, second = (BehaviourCloning(CONFIG, 10, [labelled_catch(60, 0)], 16, RUN) for _ in range(2))
    for update in range(3):
        first.update(update)
    second.restore(copy.deepcopy(first.state()))
    for update in range(3, 5):
        assert second.update(update) == first.update(update)
    for name, weights in first.network_state().items():
        assert torch.equal(second.network_state()[name], weights), name


def test_only_what_the_policy_needs_is_trained_and_efficientzero_can_start_from_it() -> None:
    cloning = BehaviourCloning(CONFIG, 10, [labelled_catch(60, 0)], 16, RUN)
    drawn = dict(make_network(CONFIG.network, 10, RUN.seed, RUN.device).named_parameters())
    for update in range(3):
        cloning.update(update)
    weights = cloning.network_state()
    changed = {name for name, value in drawn.items() if not torch.equal(value, weights[name])}
    assert {name.split(".")[0] for name in changed} == {"representation", "prediction"}
    assert not any("value" in name for name in changed)
    settings: dict[str, Any] = AGENT | {"network": CONFIG.network.model_dump()}
    learner = EfficientZeroLearner(EfficientZeroConfig.model_validate(settings), CATCH, dataclasses.replace(RUN, seed=9))
    learner.start_from(weights, ["representation", "prediction"], [])
    started = learner.network_state()
    assert all(torch.equal(started[n], weights[n]) for n in weights if n.startswith(("representation.", "prediction.")))
    assert any(not torch.equal(started[n], weights[n]) for n in weights if n.startswith("dynamics."))


def test_the_player_never_leaves_its_games_actions() -> None:
    network = make_network(CONFIG.network, 10, 0, RUN.device)
    with torch.no_grad():
        # Everything but UPFIRE looks bad, which Pong does not have; of its own, LEFTFIRE is best.
        network.prediction.policy_head[-1].bias[:] = torch.arange(18.0)
        network.prediction.policy_head[-1].bias[17] = 99.0
    stacks = np.random.default_rng(0).integers(256, size=(3, 2, 10, 10, 3), dtype=np.uint8)
    for game, best in {"Pong": 12, "Catch": 4, "Alien": 17}.items():
        player = CloningPlayer(CONFIG, EnvironmentConfig(game=game, frame_size=10), network)
        assert player.play(stacks, 0).tolist() == [best] * 3
