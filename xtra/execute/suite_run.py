"""A run of a suite: which directory it writes to, and what must be there before its first job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from xtra import plugins
from xtra.networks.imported import import_network
from xtra.networks.network_file import NetworkFileError, read_network_file
from xtra.protocol.families import FAMILIES
from xtra.protocol.games import find_game, is_game
from xtra.results.run_record import PLAN_FILE, read_cells
from xtra.store.files import json_text, write_text_atomically
from xtra.store.rows import Cell
from xtra.store.store import Store
from xtra.suite.diagnostics.errors import Location, Problem, SuiteError
from xtra.suite.plan import Plan
from xtra.suite.summary import to_record


def import_networks(store: Store, plan: Plan) -> None:
    """Puts the files that the plan starts from into the store, so that its jobs need them no more: networks, and the plugins that
    they run on. Raises SuiteError."""
    plugins.keep(store.root, plan.jobs.values())
    for key, path in plan.files.items():
        if key in plan.jobs:
            try:
                import_network(store, read_network_file(path))
            except NetworkFileError as error:  # It was in order when the plan was made.
                raise SuiteError([Problem(Location(str(path)), error.fault, error.remedy)]) from None


def require_extras(plan: Plan) -> None:
    """Raises SuiteError when a package is missing that some game of the plan, a source game too, needs."""
    played = dict.fromkeys(job.config["environment"]["game"] for job in plan.jobs.values() if "environment" in job.config)
    for game in filter(is_game, played):
        needed = FAMILIES[find_game(game).family].requires
        if needed is not None and find_spec(needed.module) is None:
            remedy = f"{needed.install}, into the environment that this command runs in"
            raise SuiteError([Problem(Location(plan.suite), f"{game} needs the package `{needed.module}`", remedy)])


def run_directory(results: Path, plan: Plan) -> Path:
    """Returns `<results>/runs/<suite>-<time>-<id>`: the one this plan has already, else a new name. Nothing is created."""
    runs = results / "runs"
    existing = sorted(runs.glob(f"{plan.suite}-*-{plan.id}"))
    return existing[0] if existing else runs / f"{plan.suite}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{plan.id}"


def begin_run(results: Path, plan: Plan) -> Path:
    """Makes the run's directory, with the plan in it: from now on `logs` knows its cells, and `gc` leaves its jobs alone."""
    directory = run_directory(results, plan)
    directory.mkdir(parents=True, exist_ok=True)
    write_text_atomically(directory / PLAN_FILE, json_text(to_record(plan, cached=())))
    return directory


def recorded_cells(results: Path, run: str = "*") -> Iterator[Cell]:
    """Yields the cells of every run under `results/runs`, or of those whose directories the glob `run` matches.

    Runs that another release wrote, or a kill cut short, are skipped.
    """
    for path in sorted((results / "runs").glob(f"{run}/{PLAN_FILE}")):
        try:
            cells = read_cells(path.parent)
        except (OSError, ValueError):
            continue
        yield from (cell for cell in cells if cell.name.isprintable())
