"""CURL on the pooled data of several games: what an update is made of, and that one network learns each game's own actions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xtra.agents.curl.batch import CurlBatch, NStepTransitions, transitions
from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.learning import CurlNetworks
from xtra.agents.interface import TrainingRun, make_player
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import NUM_ACTIONS, find_game
from xtra.replay.buffer import ReplayBuffer
from xtra.transfer.offline_batches import TaskSampler
from xtra.transfer.pooled_curl import PooledCurl
from xtra.transfer.tasks import Task

RUN = TrainingRun(num_updates=60, env_step_updates=60, seed=0, num_threads=1, device=torch.device("cpu"))
VIEW = EnvironmentConfig(game="", frame_size=10, color="gray")
NUM_ROWS = 120
PAID = {"Pong": 3, "Catch": 4, "Breakout": 1}
"""Of each game the one action that earns something."""


def configure(**blocks: dict[str, Any]) -> CurlConfig:
    small: dict[str, dict[str, Any]] = {
        "network": {"frame_stack": 2, "encoder": "small", "hidden": 16},
        "targets": {"td_steps": 2, "target_update_interval": 10},
        "optimizer": {"learning_rate": 0.003},
        "contrastive": {"crop_margin": 1, "padding": 1},
    }
    return CurlConfig.model_validate({name: small.get(name, {}) | blocks.get(name, {}) for name in {*small, *blocks}})


def stripes(game: str) -> NDArray[np.uint8]:
    """How a game looks, always: `[1, 10, 10, 1]`."""
    frame = np.zeros((1, 10, 10, 1), np.uint8)
    frame[:, :: 2 + list(PAID).index(game)] = 255
    return frame


def bandit(game: str, config: CurlConfig) -> Task:
    """Trajectories of three steps, played at random."""
    rng = np.random.default_rng(0)
    replay = ReplayBuffer(config.replay, 1, (10, 10, 1), NUM_ACTIONS, config.window, NUM_ROWS)
    for row in range(NUM_ROWS):
        actions = rng.choice(find_game(game).action_ids, 1)
        rewards, ends = (actions == PAID[game]).astype(np.float32), np.array([row % 3 == 2])
        replay.append(stripes(game), actions, rewards, ends, np.zeros((1, NUM_ACTIONS)), np.zeros(1, np.float32))
    return Task(game, replay)


def test_the_first_weights_follow_from_the_seed() -> None:
    runs = [dataclasses.replace(RUN, seed=seed) for seed in (0, 0, 1)]
    states = [PooledCurl(configure(), VIEW, [bandit("Pong", configure())], 8, run).network_state() for run in runs]
    first, same, other = (torch.cat([tensor.flatten().double() for tensor in state.values()]) for state in states)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_an_update_is_one_step_on_all_games_samples_each_with_its_own_actions_and_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    config, batches = configure(), []
    update = CurlNetworks.update

    def remembered(networks: CurlNetworks, batch: CurlBatch, number: int) -> Any:
        batches.append(batch)
        return update(networks, batch, number)

    monkeypatch.setattr(CurlNetworks, "update", remembered)
    tasks = [bandit(game, config) for game in PAID]
    sampler = TaskSampler(tasks, 8, config.replay, num_updates=RUN.num_updates, seed=RUN.seed)
    drawn = [(tasks[d.task], d.sample) for d in sampler.draw(0)]
    metrics = PooledCurl(config, VIEW, tasks, 8, RUN).update(0)
    (batch,) = batches
    wanted = NStepTransitions.joined([transitions(task.replay, sample, config) for task, sample in drawn])
    games = [task.game for task, sample in drawn for _ in sample.rows]
    assert games == ["Pong"] * 3 + ["Catch"] * 3 + ["Breakout"] * 2
    for name in ("actions", "returns", "discounts", "weights"):
        assert np.array_equal(getattr(batch, name).numpy(), getattr(wanted, name)), name
    assert np.array_equal(batch.observations[:, 1].numpy() * 255, wanted.stacks[:, 1, :, :, 0])
    for valid, game in zip(batch.tasks.valid.numpy(), games, strict=True):
        assert tuple(np.flatnonzero(valid)) == find_game(game).action_ids
    assert batch.tasks.contrastive_weights.tolist() == pytest.approx([0.01 if game == "Pong" else 1.0 for game in games])
    of_games = np.repeat([metrics[f"value_loss/{game}"] for game in PAID], [3, 3, 2])
    assert of_games.mean() == pytest.approx(metrics["value_loss"], rel=1e-5)
    # Only what was drawn has another priority now, in its own game's replay.
    for task, sample in drawn:
        assert set(np.flatnonzero(task.replay.priorities[:NUM_ROWS, 0] != 1)) == set(sample.rows.tolist())


def test_one_network_learns_what_each_game_pays_for_and_a_player_made_of_it_does_that() -> None:
    config = configure(acting={"evaluation_epsilon": 0.0}, contrastive={"weight": 0.0}, network={"hidden": 32})
    pooled = PooledCurl(config, VIEW, [bandit(game, config) for game in PAID], 48, RUN)
    losses = [pooled.update(update)["value_loss"] for update in range(RUN.num_updates)]
    assert np.mean(losses[-5:]) < losses[0]
    for game, paid in PAID.items():
        environment = VIEW.model_copy(update={"game": game})
        player = make_player(config, environment, pooled.network_state(), seed=0, num_threads=1)
        assert player.play(np.stack([stripes(game)] * 2, axis=1), 0).tolist() == [paid]
