"""Offline tasks: a source game's transitions, its teacher's labels, and the targets that are made of both (Xu et al., 2023,
section 3).

These targets are a function of the dataset and its labels alone: they need neither a search nor a network.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xtra.agents.efficientzero.batch import Batch
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.targets import assemble, bootstrap_discounts, discounted_rewards, value_targets
from xtra.protocol.games import ActionSpace, find_game
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.replay.config import ReplayConfig
from xtra.replay.npz import write_npz
from xtra.replay.offline import OfflineData
from xtra.replay.window import Float, Window
from xtra.rng import stream
from xtra.store.files import DamagedError
from xtra.transfer.config import TeacherConfig

LABELS_FILE = "labels.npz"


@dataclass(frozen=True)
class Labels:
    """A teacher's predictions for T transitions. teacher_policies: `[T, 18]`, 0 on actions that the game does not have.
    teacher_values: `[T]`."""

    teacher_policies: NDArray[np.float32]
    teacher_values: NDArray[np.float32]

    def save(self, directory: Path) -> None:
        """Writes `labels.npz`. Equal labels give equal bytes."""
        arrays = {"teacher_policies": self.teacher_policies, "teacher_values": self.teacher_values}
        write_npz(directory / LABELS_FILE, arrays)

    @staticmethod
    def load(directory: Path) -> Labels:
        """Reads what `save` wrote. Raises DamagedError where the file is missing or unreadable."""
        path = directory / LABELS_FILE
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                return Labels(arrays["teacher_policies"], arrays["teacher_values"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DamagedError(path, f"it cannot be read as labels: {error}") from error


@dataclass(frozen=True)
class Task:
    """A source game and its dataset, opened as the replay of one environment: row i is transition i."""

    game: str
    replay: ReplayBuffer

    @property
    def action_space(self) -> ActionSpace:
        """ALE's 18, whatever the game, so that tasks share one network."""
        return ActionSpace.of("ale18", self.game)

    @property
    def action_ids(self) -> tuple[int, ...]:
        """The actions (of ALE's 18) that the game has."""
        return find_game(self.game).action_ids


@dataclass(frozen=True)
class LabelledTask(Task):
    """A task with a teacher's labels: label i belongs to row i."""

    labels: Labels


def load_tasks(games: Sequence[str], datasets: Sequence[Path], config: ReplayConfig, window: int) -> tuple[Task, ...]:
    """Opens the games' datasets, in order. They share `config.frame_memory_gb` evenly. window: transitions that a target reads.

    Raises DamagedError for a damaged file, and ValueError for the data of another game.
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
    """Opens the games' datasets as `load_tasks` does, with their labels. Raises ValueError where these differ in number from
    transitions."""
    tasks = []
    for task, directory in zip(load_tasks(games, datasets, config, window), labels, strict=True):
        of_task = Labels.load(directory)
        if len(of_task.teacher_values) != task.replay.num_rows:
            raise ValueError(
                f"{directory}: {len(of_task.teacher_values)} labels for {task.game}'s {task.replay.num_rows} transitions; they "
                "belong to another dataset"
            )
        tasks.append(LabelledTask(task.game, task.replay, of_task))
    return tuple(tasks)


class TeacherTargets:
    """Makes training batches from samples of labelled tasks. Equal arguments give equal batches."""

    def __init__(self, config: EfficientZeroConfig, teacher: TeacherConfig, seed: int) -> None:
        self._config, self._value_target, self._seed = config, teacher.value_target, seed

    def make(self, task: LabelledTask, sample: Sample, update: int, *place: int) -> Batch:
        """Combines the recorded transitions with the teacher's policies and with values by `transfer.teacher.value_target`.

        update, place: name the stream of the actions that pad the steps past an episode's end.
        """
        config = self._config.targets
        window = Window(task.replay, sample, config.num_unroll_steps + config.td_steps + 1)
        steps = slice(0, config.num_unroll_steps + 1)
        policies = task.labels.teacher_policies[window.slots[:, steps]]
        policies = np.where(window.inside[:, steps, None], policies, np.float32(0))
        padding = stream(self._seed, "padding-actions", task.game, update, *place)
        return assemble(self._config, window, sample.weights, self._values(task, window), policies, task.action_space, padding)

    def _values(self, task: LabelledTask, window: Window) -> Float:
        """Returns value targets `[B, K + 1]`; `assemble` sets those past the end to 0."""
        config, discount = self._config.targets, self._config.search.discount
        num_values = config.num_unroll_steps + 1
        teacher_values = np.where(window.inside, task.labels.teacher_values[window.slots], np.float32(0))
        if self._value_target == "teacher":
            return teacher_values[:, :num_values]
        horizon = np.full(len(teacher_values), config.td_steps)
        rewards = discounted_rewards(window.rewards(config.clip_rewards), horizon, discount, num_values)
        n_step = self._value_target == "n_step_teacher"
        bootstrap = teacher_values[:, config.td_steps :] if n_step else np.zeros_like(teacher_values[:, :num_values])
        targets = value_targets(*map(torch.from_numpy, (bootstrap, bootstrap_discounts(horizon, discount), rewards)))
        values: Float = targets.numpy()
        return values if n_step else values + teacher_values[:, :num_values]
