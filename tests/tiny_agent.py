"""The smallest EfficientZero that has every part, and a replay of random Catch-like play, for whoever needs an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.interface import TrainingRun
from xtra.envs.config import EnvironmentConfig
from xtra.replay.buffer import ReplayBuffer

NETWORK: dict[str, Any] = {
    "frame_stack": 2,
    "channels": 4,
    "num_halvings": 0,
    "head_channels": 2,
    "head_hidden": 8,
    "lstm_hidden": 8,
    "support": 5,
    "projection_hidden": 8,
    "projection_size": 8,
    "predictor_hidden": 4,
}
AGENT: dict[str, dict[str, Any]] = {
    "network": NETWORK,
    "search": {"num_simulations": 4},
    "optimizer": {"batch_size": 6, "warmup_updates": 0, "learning_rate": 0.02},
}
CATCH = EnvironmentConfig(game="Catch", frame_size=10)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the settings of `changes`, block by block."""
    blocks = {name: {**base.get(name, {}), **block} for name, block in changes.items() if isinstance(block, dict)}
    return {**base, **changes, **blocks}


def tiny_config(**changes: Any) -> EfficientZeroConfig:
    """`AGENT` with some settings changed, such as `search={"policy": "gumbel"}`."""
    return EfficientZeroConfig.model_validate(merged(AGENT, changes))


def tiny_run(seed: int = 0, num_updates: int = 20, device: str = "cpu") -> TrainingRun:
    return TrainingRun(
        num_updates=num_updates, env_step_updates=num_updates, seed=seed, num_threads=1, device=torch.device(device)
    )


def tiny_learner(*, device: str = "cpu", **changes: Any) -> EfficientZeroLearner:
    """Of Catch, with the settings of `tiny_config`."""
    return EfficientZeroLearner(tiny_config(**changes), CATCH, tiny_run(device=device))


def fill(replay: ReplayBuffer, num_rows: int = 30) -> ReplayBuffer:
    """Random frames, actions, rewards and policies in two environments, whose trajectories have 4 and 9 steps."""
    rng = np.random.default_rng(0)
    for row in range(num_rows):
        frames = rng.integers(256, size=(2, 10, 10, 3), dtype=np.uint8)
        ends = np.array([row % 4 == 3, row % 9 == 8])
        rewards = rng.choice([-1.0, 0.0, 1.0], 2).astype(np.float32)
        policies = rng.dirichlet(np.ones(18), 2).astype(np.float32)
        replay.append(frames, rng.choice([0, 3, 4], 2), rewards, ends, policies, np.zeros(2, np.float32))
    return replay
