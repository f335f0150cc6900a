"""Random play of Catch, with what a perfect player would have done at each step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xtra.agents.evaluation import RandomPlayer
from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import make_training_environment
from xtra.protocol.games import NUM_ACTIONS
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.config import ReplayConfig
from xtra.transfer.tasks import LabelledTask, Labels

CATCH = EnvironmentConfig(game="Catch", frame_size=10)
STAY, RIGHT, LEFT = 0, 3, 4


def perfect_actions(frames: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Of frames `[N, 10, 10, 3]`: towards the white ball."""
    ball = (frames[:, :9] == 255).all(-1).any(1).argmax(1)
    paddle = (frames[:, 9] == (80, 160, 255)).all(-1).argmax(1)
    return np.select([ball > paddle, ball < paddle], [RIGHT, LEFT], STAY)


def labelled_catch(num_rows: int, window: int) -> LabelledTask:
    """One environment; the actions taken are random, the teacher is perfect, and values a catch 1."""
    replay = ReplayBuffer(ReplayConfig(), 1, (10, 10, 3), NUM_ACTIONS, window, num_rows)
    environment, player = make_training_environment(CATCH, 1, 0), RandomPlayer("Catch", 0)
    frames = environment.reset()
    uniform, nothing = np.full((1, NUM_ACTIONS), 1 / NUM_ACTIONS, np.float32), np.zeros(1, np.float32)
    wanted = np.zeros(num_rows, np.int64)
    for row in range(num_rows):
        wanted[row] = perfect_actions(frames)[0]
        actions = player.play(frames[:, None], row)
        step = environment.step(actions)
        replay.append(frames, actions, step.rewards, step.terminal, uniform, nothing)
        frames = step.frames
    labels = Labels(np.eye(NUM_ACTIONS, dtype=np.float32)[wanted], np.ones(num_rows, np.float32))
    return LabelledTask("Catch", replay, labels)
