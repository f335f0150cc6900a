"""Suites from Python: what would run, and running it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xtra.execute.local import LocalQueue
    from xtra.protocol.games import Game
    from xtra.suite.plan import Plan


PARAMETERS = {"--set": "set", "--seeds": "seeds", "--only": "only", "--trust-plugins": "trust_plugins=True"}
"""Parameters of `plan` and `run`, by the option of the command line that says the same."""


@dataclass(frozen=True)
class Run:
    """The results of a run.

    directory: holds `scores.csv`, `episodes.csv`, `curves.csv`, `costs.csv` and `run.json`. statuses: by cell (`XTRA/Catch/0`):
    `complete`, `failed`, `diverged` or `missing`. report: the page; None where none was asked for.
    """

    directory: Path
    statuses: Mapping[str, str]
    report: Path | None

    @property
    def complete(self) -> bool:
        """True if every cell has a score."""
        return all(status == "complete" for status in self.statuses.values())

    def scores(self) -> list[dict[str, Any]]:
        """Returns the rows of `scores.csv`: one for each cell, with its raw score."""
        from xtra.store.rows import SCORES, read_csv

        return list(read_csv(SCORES, self.directory / SCORES.file_name))


def games() -> Mapping[str, Game]:
    """Returns every game by name, those of installed plugins too: its family and the ids (of ALE's 18) of its actions.

    Flavours of Atari games (`Breakout@mode=12`) are games too, but too many to list.
    """
    from xtra.protocol.games import GAMES

    return GAMES


def plan(
    suite: str | PathLike[str],
    *,
    set: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    only: Sequence[str] = (),
    trust_plugins: bool = False,
) -> Plan:
    """Plans a suite, and runs nothing. Returns its `jobs` by key, inputs first, and its `cells`, one for each method, game and
    seed.

    suite: a file, or a name such as `quick`: of `suites/` here, or of the package.
    set: settings by dotted path, such as `{"agent.search.num_simulations": 16}`, or fields of the suite.
    seeds: in place of the suite's.
    only: globs for method/game/seed, such as `"EfficientZero/*/0"`; all cells if none is given.
    trust_plugins: run the code that the suite names under `plugins`, now and as long as it is the same.

    Raises SuiteError with every mistake in the suite, its place and its remedy.
    """
    from xtra.suite.diagnostics.errors import SuiteError
    from xtra.suite.library import find_suite
    from xtra.suite.load import load_suite
    from xtra.suite.plan import plan as make_plan

    overrides = [f"{path}={json.dumps(value)}" for path, value in (set or {}).items()]
    chosen_seeds = None if seeds is None else list(seeds)
    try:
        spec = load_suite(find_suite(Path(suite)), overrides, chosen_seeds, trust_plugins=trust_plugins)
        return make_plan(spec).only(only)
    except SuiteError as error:
        raise error.with_names(PARAMETERS) from None


def run(
    suite: str | PathLike[str],
    *,
    set: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    only: Sequence[str] = (),
    trust_plugins: bool = False,
    results: str | PathLike[str] = "results",
    workers: int | None = None,
    budget: str | None = None,
    report: bool = True,
    observe: Callable[[LocalQueue], None] | None = None,
) -> Run:
    """Runs the jobs of a suite that are not done yet on this machine, collects its rows and writes the report: `xtra-bench run`
    without its output.

    suite, set, seeds, only, trust_plugins: as in `plan`.
    results: holds the store of jobs and the directories of runs.
    workers: cores to use at once; all of this machine's if not given.
    budget: wall-clock time, such as `6h`: starts no job that would not end in it, judged by finished jobs of the same kind.
    report: whether to write the report.
    observe: called ten times a second with the queue, whose `states` say where each job stands.

    Interrupted, the same call goes on where it stopped. A job that fails or diverges leaves its cells incomplete. Raises
    SuiteError as `plan` does, ValueError for a budget that is no time, and OSError where results cannot be written or read.
    """
    from xtra.execute.garbage import reopen_stripped
    from xtra.execute.local import Budget, LocalQueue, parse_duration
    from xtra.execute.machine import Machine
    from xtra.execute.suite_run import begin_run, import_networks, require_extras
    from xtra.results.collect import collect
    from xtra.results.describe import describe
    from xtra.results.finish import report as write_report
    from xtra.store.store import Store
    from xtra.suite.library import find_suite
    from xtra.suite.summary import finished_costs

    seconds = None if budget is None else parse_duration(budget)  # first: a mistake in it leaves nothing behind
    planned, root = plan(suite, set=set, seeds=seeds, only=only, trust_plugins=trust_plugins), Path(results)
    require_extras(planned)
    description = describe(planned, find_suite(Path(suite)).read_text(encoding="utf-8"))  # before it is edited meanwhile
    store = Store(root / "store")
    import_networks(store, planned)
    reopen_stripped(store, planned.jobs)
    directory = begin_run(root, planned)
    limit = None if seconds is None else Budget(seconds, finished_costs(store))
    LocalQueue(store, planned.jobs, Machine.this(workers), budget=limit).run(observe or (lambda queue: None))
    statuses = collect(store, planned.cells, description, directory)
    return Run(
        directory,
        {cell.name: str(status) for cell, status in statuses.items()},
        write_report([directory]) if report else None,
    )
