"""A run of a suite: which directory is its own, and what its record says was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xtra.networks.imported import import_network
from xtra.networks.network_file import NetworkFileError, read_network_file
from xtra.protocol.games import GAMES
from xtra.protocol.protocols import PROTOCOLS, Protocol
from xtra.stages.collect import About
from xtra.store.files import json_text, write_text_atomically
from xtra.store.job import digest
from xtra.store.rows import Cell
from xtra.store.store import Store
from xtra.suite.errors import Place, Problem, SuiteError
from xtra.suite.method import resolve
from xtra.suite.plan import ID_DIGITS, Plan
from xtra.suite.show import to_record
from xtra.suite.spec import MethodSpec, SuiteSpec

PLAN_FILE = "plan.json"


def import_networks(store: Store, plan: Plan) -> None:
    """Puts the files that the plan starts from into the store, so that its jobs need them no more. Raises SuiteError."""
    for key, path in plan.files.items():
        if key in plan.jobs:
            try:
                import_network(store, read_network_file(path))
            except NetworkFileError as error:  # It was in order when the plan was made.
                raise SuiteError([Problem(Place(str(path)), error.fault, error.remedy)]) from None


def require_extras(plan: Plan) -> None:
    """Raises SuiteError when a package is missing that some game of the plan needs: now, not when its first job starts."""
    games = [cell.game for cell in plan.cells if GAMES[cell.game].family == "minatar"]
    if games and find_spec("minatar") is None:
        remedy = "pip install 'xtra-bench[minatar]', into the environment that this command runs in"
        raise SuiteError([Problem(Place(plan.suite), f"{games[0]} needs the extra `minatar`", remedy)])


def run_directory(results: Path, plan: Plan) -> Path:
    """`<results>/runs/<suite>-<time>-<id>`: the one this plan has already, else a new name. Nothing is created."""
    runs = results / "runs"
    existing = sorted(runs.glob(f"{plan.suite}-*-{plan.id}"))
    return existing[0] if existing else runs / f"{plan.suite}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{plan.id}"


def begin_run(results: Path, plan: Plan) -> Path:
    """Makes the run's directory, with the plan in it: from now on `logs` knows its cells, and `gc` leaves its jobs alone."""
    directory = run_directory(results, plan)
    directory.mkdir(parents=True, exist_ok=True)
    write_text_atomically(directory / PLAN_FILE, json_text(to_record(plan, cached=())))
    return directory


def recorded_cells(results: Path) -> Iterator[Cell]:
    """The cells of every run under `results/runs`. What another release wrote, or a kill cut short, is passed over."""
    for path in sorted((results / "runs").glob(f"*/{PLAN_FILE}")):
        try:
            yield from [Cell(**cell) for cell in json.loads(path.read_bytes())["cells"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue


def describe(plan: Plan, suite_text: str) -> About:
    """What the run's files say of the suite."""
    return About(suite_text, to_record(plan, cached=()), _run_fields(plan))


def _summary(label: str, protocol: Protocol) -> str:
    """The protocol in a sentence, and what of it this run overrides, which the label tells."""
    overridden = label.removeprefix(protocol.name).removeprefix("+")
    return protocol.summary + (f" Overridden here: {overridden.replace('+', ', ')}." if overridden else "")


def _transfer(spec: SuiteSpec, method: MethodSpec) -> dict[str, Any] | None:
    """Where a method's offline data and its pretrained network come from; None for a method without source games."""
    transfer = resolve(spec, method).transfer
    if not transfer.needs_sources:
        return None
    return {
        "sources": list(spec.inherited(method, "sources")),
        "source_method": spec.inherited(method, "source_method"),
        "data_policy": transfer.data.policy,
        "pretraining": transfer.pretraining.method,
        "cross_tasks": transfer.cross_tasks.enabled,
        # Run number i uses number i modulo their count.
        "pretrain_seeds": list(spec.pretrain_seeds[: len(spec.seeds)]),
    }


def _settings_digest(spec: SuiteSpec, method: MethodSpec) -> str | None:
    """Equal for methods whose settings are; seeds and games are none, nor is where a network's file lies. None for an agent that
    has no network: what it scores is the protocol's affair alone."""
    settings = resolve(spec, method).model_dump(mode="json")
    if settings["agent"]["name"] == "random":
        return None
    settings["transfer"].pop("init_from")
    return digest(settings)[:ID_DIGITS]


def _run_fields(plan: Plan) -> dict[str, Any]:
    spec, protocol = plan.spec, PROTOCOLS[plan.spec.protocol]
    agents = {cell.method: cell.agent for cell in plan.cells}
    methods = [
        {
            "name": method.name,
            "agent": agents[method.name],
            "description": method.description,
            "group": method.group,
            "transfer": _transfer(spec, method),
            "settings": _settings_digest(spec, method),
        }
        for method in spec.methods
        if method.name in agents
    ]
    return {
        "suite": spec.suite,
        "suite_version": spec.version,
        "question": spec.question,
        "protocol": plan.cells[0].protocol,
        "protocol_name": protocol.name,
        "protocol_summary": _summary(plan.cells[0].protocol, protocol),
        # Tens of updates teach nothing, whatever the protocol.
        "proves": "wiring" if spec.size == "smoke" else protocol.proves,
        "normalization": protocol.normalization,
        "games": list(dict.fromkeys(cell.game for cell in plan.cells)),
        "seeds": list(dict.fromkeys(cell.seed for cell in plan.cells)),
        "methods": methods,
        "baseline": spec.baseline if spec.baseline in agents else None,
        "preset": spec.preset,
        "command_line": dict(spec.command_line),
        "reach": spec.reach,
    }
