"""`run.json`: what a run was meant to measure, what tells its methods from others of the same names, and where it came from.

Seeds added later are looks at the data; the records beside a run tell which seeds of the same experiments had results before it.
Whoever adds seeds because the first ones did not settle the question tests twice; the report corrects its tests for it.
And `plan.json` beside it, as far as it is read without the suite: the cells that were asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from xtra.store.rows import SCORES, Cell, Whole, read_csv

RECORD = "run.json"
"""The file that makes a directory one of a run."""
PLAN_FILE = "plan.json"
SCHEMA_VERSION = 2
"""Incremented when a column or a key changes meaning."""

COLLECT_AGAIN = "Collect the run again: `xtra-bench run SUITE` rewrites it."

Seeds = tuple[int, ...]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


class _PlanRecord(_Record):
    """The part of `plan.json` that is read here."""

    cells: tuple[Cell, ...]


def read_cells(run: Path) -> tuple[Cell, ...]:
    """Returns the cells of a run's plan. Raises OSError, and ValueError for what is no plan."""
    return _PlanRecord.model_validate_json((run / PLAN_FILE).read_bytes()).cells


class TransferRecord(_Record):
    """The origin of a method's offline data and of its pretrained network."""

    sources: tuple[str, ...]
    """Source games, or the one word `other_targets`: for each target all other targets."""
    source_method: str
    data_policy: str
    pretraining: str
    cross_tasks: bool
    pretrain_seeds: tuple[Whole, ...] = Field(min_length=1)


class Identity(_Record):
    """The identity of a method: everything that reaches the keys of its jobs, but its target and its seed.

    Runs are put together only where methods of one name have one digest; `facts` are there to say what differs.
    """

    digest: str
    """Hash of the method's jobs with target and seed left out."""
    facts: Mapping[str, JsonValue]
    """Settings that are not the default's, by dotted path, source games, pretraining seeds, files, versions of stages."""

    def differences(self, other: Identity) -> Iterator[tuple[str, JsonValue, JsonValue]]:
        """Yields each fact that differs: its name, its value here and its value in `other` (None where it is not set)."""
        for name in dict.fromkeys([*self.facts, *other.facts]):
            value, other_value = self.facts.get(name), other.facts.get(name)
            if value != other_value:
                yield name, value, other_value


class MethodRecord(_Record):
    """One of the suite's methods: the name that rows carry, the agent behind it, and what it is."""

    name: str
    agent: str
    description: str = ""
    group: str | None = None
    """Methods of one group are draws of one thing, such as random source games."""
    transfer: TransferRecord | None = None
    """Its transfer; None for a method without source games."""
    left_out: tuple[str, ...] = ()
    """Games of the run that this method is not run on, because it learned from them."""
    identity: Identity | None = None
    """Its identity; None for rows that were not computed here."""


class RunFields(_Record):
    """The fields of `run.json` that follow from the suite and the command line."""

    suite: str
    suite_version: Whole
    question: str
    protocol: str
    """The label that rows carry: the protocol and what of it is overridden."""
    protocol_name: str
    protocol_summary: str
    proves: Literal["learning", "wiring"]
    normalization: Literal["human", "maximum"]
    """What a normalized score of 1 stands for: a human's score or the game's maximum."""
    games: tuple[str, ...]
    seeds: tuple[Whole, ...]
    methods: tuple[MethodRecord, ...]
    cells_left_out: tuple[tuple[str, str, Whole], ...] = ()
    """The suite's cells that `--only` left out: method, game and seed."""
    baseline: str | None
    """The method that others are compared with."""
    preset: str
    command_line: Mapping[str, JsonValue] = {}
    """Changes by `--set`: settings by dotted path, and fields of the suite by name."""
    score_threshold: float | None = None
    """A raw score: the report says after how many env steps it is reached."""
    equivalence_margin: float | None = None
    """A difference of areas under normalized learning curves: methods less than this apart are equivalent."""


class Provenance(_Record):
    """The software and hardware that made the results, and that collected them."""

    made_by: tuple[str, ...] = ()
    hardware: tuple[str, ...] = ()
    created: str | None = None
    xtra_version: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    python: str | None = None
    torch: str | None = None
    platform: str | None = None
    suite_text: str = ""


class RunRecord(RunFields):
    """The contents of `run.json`."""

    schema_version: Annotated[int, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    synthetic: bool = False
    """Whether the rows are invented."""
    earlier_seeds: tuple[tuple[Whole, ...], ...] = ()
    """The seeds of each earlier run of the same experiment, the oldest first: seeds added to them are a further look."""
    provenance: Provenance


def read_run_record(run: Path) -> RunRecord:
    """Reads `run/run.json`. Raises ValueError that names the file, the key at fault and the remedy."""
    path = run / RECORD
    if not run.exists():
        raise ValueError(f"{run}: no such directory; `xtra-bench list runs` names the runs that are here")
    if run.is_file():
        raise ValueError(f"{run} is a file, and a run is a directory; did you mean `xtra-bench report --scores {run}`?")
    if not path.is_file():
        raise ValueError(
            f"{run} is not a run: it has no {RECORD}. Name a directory such as results/runs/<suite>-<time>-<id>; "
            "`xtra-bench list runs` names them."
        )
    text = path.read_bytes()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}. {COLLECT_AGAIN}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold an object. {COLLECT_AGAIN}")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"{path}: schema_version {version!r}, but this version reads {SCHEMA_VERSION}. {COLLECT_AGAIN}")
    try:
        return RunRecord.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{path}: {_complaint(error.errors()[0])}. {COLLECT_AGAIN}") from None


def _complaint(error: Any) -> str:
    key = ".".join(str(place) for place in error["loc"])
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    value = repr(error["input"])
    shown = value if len(value) <= 60 else f"{value[:60]}…"
    if error["type"] == "literal_error":
        return f"{key} is {shown}; valid are {error['ctx']['expected'].replace(' or ', ' and ')}"
    return f"{key} is {shown}: {error['msg'][0].lower()}{error['msg'][1:]}"


def earlier_seeds(run_dir: Path, run: RunFields, created: str | None) -> tuple[Seeds, ...]:
    """Returns the seeds of each earlier run beside `run_dir` that has a score of the same experiment, the oldest first, each set
    once.

    created: when the run was first collected; None if that is now. Looks that `run_dir` recorded already stay, should those runs
    be gone.
    """
    recorded = _recorded(run_dir)
    earlier = sorted(
        (record.provenance.created or "", record.seeds)
        for path, record in _runs_beside(run_dir)
        if _is_same_experiment(record, run) and _is_before(record, created) and _has_scores(path)
    )
    return tuple(dict.fromkeys([*recorded, *(seeds for _, seeds in earlier if seeds != run.seeds)]))


def _recorded(run_dir: Path) -> tuple[Seeds, ...]:
    try:
        return read_run_record(run_dir).earlier_seeds
    except (OSError, ValueError):
        return ()


def _runs_beside(run_dir: Path) -> Iterator[tuple[Path, RunRecord]]:
    """Yields the other runs of the directory. Those that another release wrote, or that cannot be read, are skipped."""
    for path in sorted(run_dir.parent.glob("*/run.json")):
        if path.parent.name != run_dir.name:
            try:
                yield path.parent, read_run_record(path.parent)
            except (OSError, ValueError):
                continue


def _is_before(record: RunRecord, created: str | None) -> bool:
    return created is None or (record.provenance.created or "") < created


def _is_same_experiment(earlier: RunFields, run: RunFields) -> bool:
    """Tells whether both ask the same of one method at least that is not the baseline; of the baseline, if there is no other."""
    if (earlier.suite, earlier.suite_version, earlier.protocol) != (run.suite, run.suite_version, run.protocol):
        return False
    known = {method.name: method for method in earlier.methods}
    challengers = [method for method in run.methods if method.name != run.baseline and method.agent != "random"]
    return any(
        method.name in known
        and known[method.name].agent == method.agent
        and getattr(known[method.name].identity, "digest", None) == getattr(method.identity, "digest", None)
        for method in challengers or run.methods
    )


def _has_scores(path: Path) -> bool:
    try:
        return any(row["status"] == "complete" for row in read_csv(SCORES, path / SCORES.file_name))
    except (OSError, ValueError):
        return False
