"""From a suite to what will run: jobs, a graph by content key, and cells, the rows that the jobs will fill.

Names (of suites, of methods) stay in the cells. A job knows only its configuration, so equal work is one job, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.config import Config
from xtra.stages.config import EvaluateConfig, TrainConfig
from xtra.stages.registry import STAGES
from xtra.store.canonical import digest
from xtra.store.cell import Cell
from xtra.store.job import Job, Resources
from xtra.suite.errors import Place, Problem, SuiteError
from xtra.suite.graph import closure, topological
from xtra.suite.method import MethodConfig, protocol_label, resolve
from xtra.suite.spec import SuiteSpec

ID_DIGITS = 8
"""Hex digits of a plan's id."""


@dataclass(frozen=True)
class Plan:
    """What a suite comes to. `jobs` is in topological order: a job stands after every job it reads."""

    spec: SuiteSpec
    jobs: Mapping[str, Job]
    cells: tuple[Cell, ...]

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self.spec.suite

    @property
    def id(self) -> str:
        """A short digest of every cell, the suite's name and version among them: two plans with one id fill one table."""
        return digest([asdict(cell) for cell in self.cells])[:ID_DIGITS]

    def only(self, globs: Iterable[str]) -> Plan:
        """The plan of those cells that one of `globs` matches, and the jobs they stand on.

        A glob is `method`, `method/game` or `method/game/seed`, each part with `*`, `?` and `[...]`. Raises SuiteError for a glob
        that matches nothing.
        """
        patterns = list(globs)
        idle = [pattern for pattern in patterns if not any(_matches(cell, pattern) for cell in self.cells)]
        if idle:
            example = self.cells[0].name
            raise SuiteError(
                Problem(Place("--only", text=pattern), "matches no cell", f"method/game/seed, for example: --only '{example}'")
                for pattern in idle
            )
        if not patterns:
            return self
        cells = tuple(cell for cell in self.cells if any(_matches(cell, pattern) for pattern in patterns))
        return replace(self, jobs=closure(self.jobs, [key for cell in cells for key in cell.keys]), cells=cells)


def plan(spec: SuiteSpec) -> Plan:
    """The jobs and cells of a suite that `load_suite` accepted: methods × games × seeds, in the file's order."""
    jobs: dict[str, Job] = {}
    cells: list[Cell] = []
    for method in spec.methods:
        config = resolve(spec, method)
        label = protocol_label(spec, config)
        for game in spec.targets:
            for seed in spec.seeds:
                train, evaluate = _run(spec, config, game, seed)
                jobs.update({job.key: job for job in (train, evaluate) if job is not None})
                train_key = None if train is None else train.key
                identity = (spec.suite, spec.version, label, method.name, config.agent.name, game, seed)
                cells.append(Cell(*identity, train_key, evaluate.key))
    return Plan(spec, topological(jobs), tuple(cells))


def _run(spec: SuiteSpec, config: MethodConfig, game: str, seed: int) -> tuple[Job | None, Job]:
    """The jobs of one cell: its training, where its agent is trained, and its evaluation."""
    environment = config.environment.model_copy(update={"game": game})
    train, inputs = None, {}
    if isinstance(config.agent, EfficientZeroConfig):
        train_config = TrainConfig(environment=environment, agent=config.agent, training=config.training, seed=seed)
        train = _job(spec, "train", train_config, {})
        inputs = {"train": (train.key,)}
    evaluate_config = EvaluateConfig(environment=environment, agent=config.agent, evaluation=config.evaluation, seed=seed)
    return train, _job(spec, "evaluate", evaluate_config, inputs)


def _job(spec: SuiteSpec, stage: str, config: Config, inputs: Mapping[str, tuple[str, ...]]) -> Job:
    asked = spec.resources.get(stage)
    resources = Resources() if asked is None else Resources(**asked.model_dump())
    dumped: dict[str, Any] = config.model_dump(mode="json")
    return Job(stage, STAGES[stage].version, dumped, inputs, resources)


def _matches(cell: Cell, pattern: str) -> bool:
    parts = pattern.split("/")
    own = (cell.method, cell.game, str(cell.seed))
    return len(parts) <= len(own) and all(fnmatchcase(value, part) for value, part in zip(own, parts, strict=False))
