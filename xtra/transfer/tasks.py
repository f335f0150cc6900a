"""Offline tasks, and the targets that their teachers' labels make (facts: paper section 3).

Targets of offline data are a function of the dataset and its labels alone: nothing is ever searched or bootstrapped anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.targets import Batch, assemble, value_targets
from xtra.protocol.games import GAMES
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.replay.config import ReplayConfig
from xtra.replay.offline import OfflineData
from xtra.replay.window import Float, Window
from xtra.rng import stream
from xtra.transfer.config import TeacherConfig
from xtra.transfer.labels import Labels


@dataclass(frozen=True)
class Task:
    """A source game and its data, as a replay of one environment."""

    game: str
    replay: ReplayBuffer

    @property
    def action_ids(self) -> tuple[int, ...]:
        """The ids (of 18) that the game understands."""
        return GAMES[self.game].action_ids


@dataclass(frozen=True)
class LabelledTask(Task):
    """A task whose row i has the labels i."""

    labels: Labels


def load_tasks(games: Sequence[str], datasets: Sequence[Path], config: ReplayConfig, window: int) -> tuple[Task, ...]:
    """The datasets of the games, in order; they share `config.frame_memory_gb` evenly. window: transitions that a target looks
    at.

    Raises DamagedError for a file that is not what it says, and ValueError for data of another game.
    """
    shared = config.model_copy(update={"frame_memory_gb": config.frame_memory_gb / len(games)})
    tasks = []
    for game, directory in zip(games, datasets, strict=True):
        data = OfflineData.open(directory)
        if data.game != game:
            raise ValueError(f"{directory}: the data are of {data.game}, and {game} was expected")
        tasks.append(Task(game, data.replay(shared, window)))
    return tuple(tasks)


def load_labelled_tasks(
    games: Sequence[str], datasets: Sequence[Path], labels: Sequence[Path], config: ReplayConfig, window: int
) -> tuple[LabelledTask, ...]:
    """The same with each game's labels. Raises ValueError where labels and transitions differ in number."""
    tasks = []
    for task, directory in zip(load_tasks(games, datasets, config, window), labels, strict=True):
        found = Labels.load(directory)
        if len(found.teacher_values) != task.replay.num_rows:
            raise ValueError(
                f"{directory}: {len(found.teacher_values)} labels for {task.game}'s {task.replay.num_rows} transitions; they "
                "belong to another dataset"
            )
        tasks.append(LabelledTask(task.game, task.replay, found))
    return tuple(tasks)


class TeacherTargets:
    """Turns samples of offline tasks into batches. Equal arguments give equal batches."""

    def __init__(self, config: EfficientZeroConfig, teacher: TeacherConfig, seed: int) -> None:
        self._config, self._value_target, self._seed = config, teacher.value_target, seed

    def make(self, task: LabelledTask, sample: Sample, update: int, *place: int) -> Batch:
        """What happened after each sampled transition, the teacher's policies, and values after `transfer.teacher.value_target`.

        update, place: name the stream of the actions that pad what lies past an episode's end.
        """
        config = self._config.targets
        window = Window(task.replay, sample, config.num_unroll_steps + config.td_steps + 1)
        steps = slice(0, config.num_unroll_steps + 1)
        policies = task.labels.teacher_policies[window.slots[:, steps]]
        policies = np.where(window.inside[:, steps, None], policies, np.float32(0))
        padding = stream(self._seed, "padding-actions", task.game, update, *place)
        return assemble(self._config, window, sample.weights, self._values(task, window), policies, task.action_ids, padding)

    def _values(self, task: LabelledTask, window: Window) -> Float:
        """`[B, K + 1]`; `assemble` makes those past the end 0."""
        config, discount = self._config.targets, self._config.search.discount
        num_values = config.num_unroll_steps + 1
        said = np.where(window.inside, task.labels.teacher_values[window.slots], np.float32(0))
        if self._value_target == "teacher":
            return said[:, :num_values]
        rewards = window.rewards(config.clip_rewards)
        horizon = np.full(len(rewards), config.td_steps)
        if self._value_target == "n_step_teacher":
            return value_targets(rewards, said[:, config.td_steps :], horizon, discount)
        return value_targets(rewards, np.zeros_like(said[:, :num_values]), horizon, discount) + said[:, :num_values]
