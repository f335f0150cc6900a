"""The plan of a suite: jobs, a graph by content key, and cells, the rows that the jobs will fill.

Names (of suites, of methods) stay in the cells. A job knows only its configuration, so equal work is one job, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from xtra.store.job import Job, digest
from xtra.store.rows import Cell, select_cells
from xtra.suite.diagnostics.errors import Location, Problem, SuiteError, nearest
from xtra.suite.method import protocol_label, resolve
from xtra.suite.pipeline import Pipeline
from xtra.suite.spec import SuiteSpec

ID_DIGITS = 8
"""Hex digits of a plan's id."""


@dataclass(frozen=True, repr=False)
class Plan:
    """A suite's jobs and cells. `jobs` is in topological order: a job stands after every job it reads.

    files: what jobs of stage `imported` are made of, by key. No part of the jobs: on another machine they lie elsewhere.
    left_out: the suite's other cells, which `only` left out.
    """

    spec: SuiteSpec
    jobs: Mapping[str, Job]
    cells: tuple[Cell, ...]
    files: Mapping[str, Path] = field(default_factory=dict)
    left_out: tuple[Cell, ...] = ()

    def __repr__(self) -> str:
        methods = ", ".join(dict.fromkeys(cell.method for cell in self.cells))
        return f"<Plan of suite {self.suite}: {methods}; cells: {len(self.cells)}, jobs: {len(self.jobs)}>"

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self.spec.suite

    @property
    def id(self) -> str:
        """A short digest of every cell, the suite's name and version among them: two plans with one id fill one table."""
        return digest([cell.identity for cell in self.cells])[:ID_DIGITS]

    def only(self, globs: Iterable[str], asked_by: str = "--only") -> Plan:
        """Returns the plan of those cells that one of `globs` matches, and of the jobs they need.

        For globs see `xtra.store.rows.select_cells`. Raises SuiteError for one that matches nothing; `asked_by` is the option or
        argument that it came from.
        """
        selected = {pattern: select_cells(self.cells, pattern) for pattern in globs}
        unmatched = [pattern for pattern, cells in selected.items() if not cells]
        if unmatched:
            raise SuiteError(Problem(Location(asked_by, text=one), "matches no cell", self._cells_like(one)) for one in unmatched)
        if not selected:
            return self
        chosen = {cell for cells in selected.values() for cell in cells}
        cells = tuple(cell for cell in self.cells if cell in chosen)
        left_out = (*self.left_out, *(cell for cell in self.cells if cell not in chosen))
        return replace(
            self, jobs=closure(self.jobs, [key for cell in cells for key in cell.keys]), cells=cells, left_out=left_out
        )

    def selected_with_dependents(self, globs: Iterable[str], asked_by: str) -> dict[str, Job]:
        """Returns the jobs that one of `globs` means, by key or of the cells it matches, and every job that reads one of them, in
        order.

        Raises SuiteError for one that means none; `asked_by` is the option that it came from.
        """
        chosen: set[str] = set()
        for glob in globs:
            keys = {key for key in self.jobs if fnmatchcase(key, glob)}
            chosen |= keys or {key for cell in self.only([glob], asked_by).cells for key in cell.keys}
        for key, job in self.jobs.items():  # topological: a job stands after what it reads
            if not chosen.isdisjoint(job.input_keys):
                chosen.add(key)
        return {key: job for key, job in self.jobs.items() if key in chosen}

    def _cells_like(self, glob: str) -> str:
        """Returns the cells that a pattern without a match was probably meant for, down to the part (method, game, seed) that it
        names."""
        parts = glob.count("/") + 1
        close = nearest(glob, {"/".join((cell.method, cell.game, str(cell.seed))[:parts]) for cell in self.cells})
        return f"method/game/seed, for example '{self.cells[0].name}'" if close is None else f"did you mean {close!r}?"


def plan(spec: SuiteSpec) -> Plan:
    """Plans the jobs and cells of a suite that `load_suite` accepted: methods × their games × seeds, in the file's order."""
    jobs: dict[str, Job] = {}
    cells: list[Cell] = []
    files: dict[str, Path] = {}
    for method in spec.methods:
        config = resolve(spec, method)
        label = protocol_label(spec, config)
        pipeline = Pipeline(spec, method, config)
        for game in spec.targets_of(method):
            for seed in spec.seeds:
                of_cell = pipeline.cell_jobs(game, seed)
                jobs.update({job.key: job for job in of_cell.jobs})
                identity = (spec.suite, spec.version, label, method.name, config.agent.name, game, seed)
                cells.append(Cell(*identity, of_cell.network_key, of_cell.evaluate_key, of_cell.probe_key))
        files.update(pipeline.files)
    return Plan(spec, topological(jobs), tuple(cells), files)


def topological(jobs: Mapping[str, Job]) -> dict[str, Job]:
    """Sorts the jobs so that each stands after its inputs, otherwise in the order given. Raises ValueError for a missing input or
    a cycle."""
    for key, job in jobs.items():
        absent = [name for name in job.input_keys if name not in jobs]
        if absent:
            raise ValueError(f"job {key} reads {absent[0]}, which is not in the plan")
    try:
        order = list(TopologicalSorter({key: job.input_keys for key, job in jobs.items()}).static_order())
    except CycleError as error:
        raise ValueError(f"jobs wait for one another: {' -> '.join(error.args[1])}") from None
    return {key: jobs[key] for key in order}


def closure(jobs: Mapping[str, Job], keys: Iterable[str]) -> dict[str, Job]:
    """Returns the jobs of `keys` and everything they depend on, in the order of `jobs`."""
    needed: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting.extend(jobs[key].input_keys)
    return {key: job for key, job in jobs.items() if key in needed}
