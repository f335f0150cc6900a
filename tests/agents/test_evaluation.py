"""Evaluations that are interrupted: what the player is asked, besides the actions that follow."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from xtra.agents.evaluation import Evaluation
from xtra.envs.config import EnvironmentConfig


class Asked:
    """A player that notes about how many games it was asked at which env step."""

    frame_stack = 1

    def __init__(self) -> None:
        self.questions: list[tuple[int, int]] = []

    @property
    def largest(self) -> list[int]:
        """Games of the largest question until then, question by question: the shape that a planner on a GPU keeps."""
        largest: list[int] = np.maximum.accumulate([num_games for num_games, _ in self.questions]).tolist()
        return largest

    def play(self, stacks: NDArray[np.uint8], env_step: int) -> NDArray[np.int64]:
        self.questions.append((len(stacks), env_step))
        return np.zeros(len(stacks), np.int64)


def evaluation(player: Asked) -> Evaluation:
    environment = EnvironmentConfig(game="MinAtarAsterix", frame_size=10)
    return Evaluation(player, environment, num_episodes=4, max_episode_env_steps=1_000, seed=0)


def test_a_restored_evaluation_asks_in_the_shapes_of_one_that_was_not_interrupted() -> None:
    player, again = Asked(), Asked()
    whole = evaluation(player)
    while not whole.num_finished:
        whole.step()
    assert not whole.done
    asked_before = len(player.questions)
    restored = evaluation(again)
    restored.restore(whole.actions())
    asked_by_restoring = len(again.questions)
    while not whole.done:
        whole.step()
        restored.step()
    assert again.questions[asked_by_restoring:] == player.questions[asked_before:]
    assert player.questions[asked_before][0] < 4
    assert again.largest[asked_by_restoring:] == player.largest[asked_before:]
    assert restored.episodes == whole.episodes


@pytest.mark.parametrize("num_steps", [0, 1])
def test_restoring_asks_nothing_while_all_games_run(num_steps: int) -> None:
    player, again = Asked(), Asked()
    whole = evaluation(player)
    for _ in range(num_steps):
        whole.step()
    evaluation(again).restore(whole.actions())
    assert not again.questions
