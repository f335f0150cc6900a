"""Description of a plan for `run.json`, the identity of each method among it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from xtra.protocol.families import PROTOCOLS, Protocol
from xtra.results.run_record import Identity, MethodRecord, RunFields, TransferRecord
from xtra.store.job import Job, digest
from xtra.store.rows import Cell
from xtra.suite.method import MethodConfig, resolve
from xtra.suite.plan import Plan, closure
from xtra.suite.spec import OTHER_TARGETS, MethodSpec, SuiteSpec
from xtra.suite.summary import to_record

DIGEST_DIGITS = 16
"""Hex digits of a method's identity."""

PER_CELL = ("seed", "games", "sources")
"""Settings of a job that follow from the cell (and from the source games, which are told apart)."""


@dataclass(frozen=True)
class RunDescription:
    """A run as it was asked for: the suite's text as written, the plan as data, and the fields of `run.json` that follow from
    them."""

    suite_text: str
    plan: Mapping[str, Any]
    fields: RunFields


def describe(plan: Plan, suite_text: str) -> RunDescription:
    """Describes a plan for the run's files."""
    return RunDescription(suite_text, to_record(plan, cached=()), _run_fields(plan))


def _run_fields(plan: Plan) -> RunFields:
    spec, protocol = plan.spec, PROTOCOLS[plan.spec.protocol]
    first_cells: dict[str, Cell] = {}
    for cell in plan.cells:
        first_cells.setdefault(cell.method, cell)
    label = plan.cells[0].protocol
    return RunFields(
        suite=spec.suite,
        suite_version=spec.version,
        question=spec.question,
        protocol=label,
        protocol_name=protocol.name,
        protocol_summary=_summary(label, protocol),
        # Tens of updates teach nothing, whatever the protocol.
        proves="wiring" if spec.size == "smoke" else protocol.proves,
        normalization=protocol.normalization,
        games=tuple(dict.fromkeys(cell.game for cell in plan.cells)),
        seeds=tuple(dict.fromkeys(cell.seed for cell in plan.cells)),
        methods=tuple(_method(plan, method, first_cells[method.name]) for method in spec.methods if method.name in first_cells),
        cells_left_out=tuple((cell.method, cell.game, cell.seed) for cell in plan.left_out),
        baseline=spec.baseline if spec.baseline in first_cells else None,
        preset=spec.preset,
        command_line={**spec.changed_fields, **spec.command_line},
        score_threshold=spec.score_threshold,
        equivalence_margin=spec.equivalence_margin,
    )


def _summary(label: str, protocol: Protocol) -> str:
    """Describes the protocol in a sentence, and which of its settings this run overrides, as the label tells."""
    overridden = label.removeprefix(protocol.name).removeprefix("+")
    return protocol.summary + (f" Overridden here: {overridden.replace('+', ', ')}." if overridden else "")


def _method(plan: Plan, method: MethodSpec, cell: Cell) -> MethodRecord:
    config = resolve(plan.spec, method)
    return MethodRecord(
        name=method.name,
        agent=cell.agent,
        description=method.description,
        group=method.group,
        transfer=_transfer(plan.spec, method, config),
        left_out=tuple(game for game in plan.spec.targets if game not in plan.spec.targets_of(method)),
        identity=_identity(plan, method, config, cell),
    )


def _transfer(spec: SuiteSpec, method: MethodSpec, config: MethodConfig) -> TransferRecord | None:
    """Describes where a method's offline data and its pretrained network come from; None for a method without source games."""
    if not config.transfer.needs_sources:
        return None
    return TransferRecord(
        sources=tuple(spec.inherited(method, "sources")),
        source_method=spec.inherited(method, "source_method"),
        data_policy=config.transfer.data.policy,
        pretraining=config.transfer.pretraining.method,
        cross_tasks=config.transfer.cross_tasks.enabled,
        pretrain_seeds=spec.pretrain_seeds,
    )


def _identity(plan: Plan, method: MethodSpec, config: MethodConfig, cell: Cell) -> Identity:
    """Identifies a method by the jobs of one of its cells; those of its other cells differ in target, seed and source games
    alone."""
    jobs = closure(plan.jobs, cell.keys)
    versions: dict[str, Any] = {f"version of stage {job.stage}": job.version for job in jobs.values()}
    own_cells = [one for one in plan.cells if one.method == method.name]
    every_job = closure(plan.jobs, [key for one in own_cells for key in one.keys])
    plugins = {f"plugin {name}": origin for job in every_job.values() for name, origin in sorted(job.plugins.items())}
    versions |= plugins
    if config.agent.name == "random":
        # How it would see the game changes nothing that it does: what it scores is the protocol's affair alone.
        return Identity(digest=digest(versions)[:DIGEST_DIGITS], facts=versions)
    sources = dict(_source_facts(plan.spec, method, config))
    essence = {"evaluation": _masked(jobs[cell.evaluate_key], jobs), "sources": sources, **plugins}
    facts = {"agent": cell.agent, **dict(_changed_settings(config, MethodConfig())), **sources, **versions}
    for job in jobs.values():
        if job.stage == "imported":
            facts["SHA-256 of transfer.init_from"] = job.config["sha256"]
    return Identity(digest=digest(essence)[:DIGEST_DIGITS], facts=facts)


def _masked(job: Job, jobs: Mapping[str, Job]) -> dict[str, Any]:
    """Returns a job without target, seed and source games; its inputs are digests of the same of them, equal ones once."""
    config = {name: value for name, value in job.config.items() if name not in PER_CELL}
    for part in ("environment", "finetuning"):
        if isinstance(inner := config.get(part), Mapping):
            config[part] = {name: value for name, value in inner.items() if name not in ("game", *PER_CELL)}
    inputs = {role: sorted({digest(_masked(jobs[key], jobs)) for key in keys}) for role, keys in job.inputs.items()}
    masked = {"stage": job.stage, "version": job.version, "config": config, "inputs": inputs}
    return {**masked, "plugins": job.plugins} if job.plugins else masked


def _source_facts(spec: SuiteSpec, method: MethodSpec, config: MethodConfig) -> Iterator[tuple[str, Any]]:
    """Yields the settings that a method's source jobs depend on, besides its own; nothing for a method without source games."""
    if not config.transfer.needs_sources:
        return
    sources = list(spec.inherited(method, "sources"))
    # Which games "the other targets" are depends on all of them.
    yield "sources", [f"{OTHER_TARGETS} of", *sorted(spec.targets)] if sources == [OTHER_TARGETS] else sources
    yield "pretrain_seeds", list(spec.pretrain_seeds)
    source_method = spec.method(spec.inherited(method, "source_method"))
    yield "source_method", source_method.name
    source_config = resolve(spec, source_method)
    yield from ((f"source_method's {path}", value) for path, value in _changed_settings(source_config, MethodConfig()))


def _changed_settings(config: BaseModel, default: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the settings that are not the default's, by dotted path; of another agent than the default's, all. No file's
    path."""
    values, defaults = config.model_dump(mode="json"), default.model_dump(mode="json")
    yield from _changes(values, defaults, prefix)


def _changes(values: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path, default = f"{prefix}{name}", defaults.get(name)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            yield from _changes(value, default, f"{path}.")
        elif value != default and path != "transfer.init_from":
            yield path, value
