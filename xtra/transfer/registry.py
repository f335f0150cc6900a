"""Ways of transfer that a suite may name: what packages and plugins register, ours among them. No torch here.

Each is its configuration's class and a factory, `module:name`, which is imported when a job needs it:

    task weights           factory(config, games)                 a `TaskWeights` (`xtra.transfer.task_weights`)
    start procedure        factory(pretrained, fresh, config)     the `state_dict` that finetuning starts from
    pretraining objective  factory(setup), one for each agent     an `OfflineLearner` (`xtra.stages.offline_training`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtra.agents.registry import AgentConfig
from xtra.envs.config import EnvironmentConfig
from xtra.registry import Registry, named_by

if TYPE_CHECKING:
    from xtra.agents.interface import TrainingRun
    from xtra.transfer.config import PretrainingConfig, StartConfig, TaskWeightConfig, TeacherConfig


@dataclass(frozen=True)
class TaskWeighting:
    """A registered way to weigh what is mixed in. Block `transfer.task_weights`."""

    name: str
    config: type[TaskWeightConfig]
    factory: str


@dataclass(frozen=True)
class StartProcedure:
    """A registered way to make the weights that finetuning starts from. Block `transfer.start`."""

    name: str
    config: type[StartConfig]
    factory: str


@dataclass(frozen=True)
class PretrainingObjective:
    """A registered pretraining objective: what one network learns from all source games' data. Block `transfer.pretraining`."""

    name: str
    config: type[PretrainingConfig]
    factories: Mapping[str, str]
    """Factories by the names of the agents whose networks it can pretrain."""
    follows_teacher: Callable[[Any], bool] = lambda config: False
    """Tells whether, with a configuration, it reads the teachers' labels."""


@dataclass(frozen=True)
class PretrainingSetup:
    """The inputs of a pretraining objective. datasets, labels: directories, one per game; no labels where no teacher is followed.
    environment: the games' common view; it names none."""

    agent: AgentConfig
    environment: EnvironmentConfig
    games: tuple[str, ...]
    datasets: tuple[Path, ...]
    labels: tuple[Path, ...]
    pretraining: PretrainingConfig
    teacher: TeacherConfig | None
    run: TrainingRun


def _problem(entry: Any, others: Mapping[str, Any]) -> str | None:
    """Explains why a way of transfer cannot be used; None if it can."""
    fields = entry.config.model_fields
    if "method" not in fields:
        return f"{entry.config.__name__} has no field `method`; derive it from the configuration of what is built in"
    required = [name for name, info in fields.items() if info.is_required()]
    return f"{entry.config.__name__}.{required[0]} has no default" if required else None


TASK_WEIGHTS = Registry("xtra_bench.task_weights", TaskWeighting, _problem, named_by("task_weights", "method"))
STARTS = Registry("xtra_bench.starts", StartProcedure, _problem, named_by("start", "method"))
PRETRAINING = Registry("xtra_bench.pretraining", PretrainingObjective, _problem, named_by("pretraining", "method"))
