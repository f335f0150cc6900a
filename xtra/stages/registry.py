"""The kinds of job: name, version, configuration, and the module whose `run` does the work (imported by the worker alone)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from xtra.config import Config
from xtra.networks import imported
from xtra.stages.config import (
    DatasetConfig,
    EvaluateConfig,
    LabelConfig,
    PretrainConfig,
    ProbeConfig,
    TrainConfig,
    TrainTeacherConfig,
)
from xtra.stages.context import StageContext


@dataclass(frozen=True)
class Stage:
    """A kind of job. `version` is raised whenever the stage would compute something else from the same configuration."""

    name: str
    version: int
    config: type[Config]
    module: str

    def load_run(self) -> Callable[[Any, StageContext], None]:
        """Imports the stage's `run(config, context)`, and with it perhaps torch."""
        run: Callable[[Any, StageContext], None] = import_module(self.module).run
        return run


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("train", 6, TrainConfig, "xtra.stages.train"),
        Stage("dataset", 2, DatasetConfig, "xtra.stages.dataset"),
        Stage("teacher", 4, TrainTeacherConfig, "xtra.stages.teacher"),
        Stage("label", 2, LabelConfig, "xtra.stages.label"),
        Stage("pretrain", 5, PretrainConfig, "xtra.stages.pretrain"),
        Stage("probe", 3, ProbeConfig, "xtra.stages.probe"),
        Stage("imported", imported.VERSION, imported.ImportedConfig, "xtra.networks.imported"),
        Stage("evaluate", 3, EvaluateConfig, "xtra.stages.evaluate"),
    )
}
