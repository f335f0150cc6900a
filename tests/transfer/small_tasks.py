"""A small agent, and offline tasks of random frames, for the tests of this folder."""

from __future__ import annotations

import numpy as np

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.protocol.games import NUM_ACTIONS
from xtra.replay.buffer import ReplayBuffer
from xtra.transfer.tasks import LabelledTask, Labels

from .. import tiny_agent
from ..tiny_agent import merged

AGENT = merged(
    tiny_agent.AGENT,
    {
        "network": {"num_halvings": 1, "predictor_hidden": 8},
        "optimizer": {"learning_rate": 0.01, "augmentation": "none"},
    },
)
NUM_TRANSITIONS = 60


def filled(config: EfficientZeroConfig, seed: int, reward: float = 1.0) -> ReplayBuffer:
    """Episodes of 9 steps in one column, as a dataset has them; the last step earns `reward`."""
    rng = np.random.default_rng(seed)
    replay = ReplayBuffer(config.replay, 1, (10, 10, 3), NUM_ACTIONS, config.window, NUM_TRANSITIONS)
    for row in range(NUM_TRANSITIONS):
        last = row % 9 == 8
        replay.append(
            rng.integers(0, 256, (1, 10, 10, 3), dtype=np.uint8),
            rng.choice([0, 3, 4], 1),
            np.full(1, reward if last else 0.0, np.float32),
            np.array([last]),
            np.full((1, NUM_ACTIONS), 1 / NUM_ACTIONS, np.float32),
            np.zeros(1, np.float32),
        )
    return replay


def task(config: EfficientZeroConfig, game: str, seed: int, reward: float = 1.0) -> LabelledTask:
    policies = np.zeros((NUM_TRANSITIONS, NUM_ACTIONS), np.float32)
    policies[:, [0, 3, 4]] = 1 / 3
    return LabelledTask(game, filled(config, seed, reward), Labels(policies, np.full(NUM_TRANSITIONS, 0.5, np.float32)))
