"""`run.json`: what a run was meant to measure, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xtra.store.rows import SCHEMA_VERSION
from xtra_analysis.errors import InputError
from xtra_analysis.labels import label


@dataclass(frozen=True)
class Transfer:
    """Where a method's offline data and pretrained network come from. `sources` may be the one word OTHER_TARGETS."""

    sources: tuple[str, ...]
    source_method: str
    data_policy: str
    pretraining: str
    cross_tasks: bool
    pretrain_seeds: tuple[int, ...]


@dataclass(frozen=True)
class Method:
    """A row of the suite's `methods`: the name that rows carry, the agent behind it, and what it is.

    Methods of one `group` are draws of one thing; `transfer` is None for a method without source games. `settings`: a digest of
    everything that the method sets, None where it was not recorded.
    """

    name: str
    agent: str
    description: str
    group: str | None = None
    transfer: Transfer | None = None
    settings: str | None = None


@dataclass(frozen=True)
class RunInfo:
    """The contents of a run's `run.json`. `baseline` names the method by which others are normalised, or is None.

    `reach` is the raw score whose env steps are counted, or None; `command_line` what was set there, over the suite's file.
    """

    suite: str
    suite_version: int
    question: str
    protocol: str
    protocol_name: str
    protocol_summary: str
    proves: str
    normalization: str
    games: tuple[str, ...]
    seeds: tuple[int, ...]
    methods: tuple[Method, ...]
    baseline: str | None
    preset: str
    reach: float | None
    command_line: Mapping[str, Any]
    synthetic: bool
    provenance: Mapping[str, Any]


REQUIRED = (
    "suite", "suite_version", "question", "protocol", "protocol_name", "protocol_summary", "proves", "normalization",
    "games", "seeds", "methods", "baseline", "preset", "provenance",
)  # fmt: skip
OTHER_TARGETS = "other_targets"
"""In place of source games: all targets but the one that is learned."""

CHOICES = {"proves": ("learning", "wiring"), "normalization": ("human", "maximum")}


def read_run_info(run: Path) -> RunInfo:
    """Reads `run/run.json`. Raises InputError that names the file and the key at fault."""
    path = run / "run.json"
    content = _read(run, path)
    missing = [key for key in REQUIRED if key not in content]
    if missing:
        raise InputError(f"{path}: key {missing[0]!r} is missing. Collect the run again: `xtra-bench run SUITE` rewrites it.")
    for key, valid in CHOICES.items():
        if content[key] not in valid:
            raise InputError(f"{path}: {key} is {content[key]!r}; valid are {' and '.join(valid)}. Collect the run again.")
    try:
        return _run_info(content)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: a value has the wrong shape ({error}). Collect the run again.") from error


def _read(run: Path, path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{run} is not a run: it has no run.json. Name a directory such as results/runs/<suite>-<time>-<id>.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON: {error}. Collect the run again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold an object. Collect the run again.")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version {version!r}, but this xtra_analysis reads {SCHEMA_VERSION}. Collect the run again."
        )
    return content


def _run_info(content: Mapping[str, Any]) -> RunInfo:
    return RunInfo(
        suite=label(content["suite"]),
        suite_version=int(content["suite_version"]),
        question=label(content["question"]),
        protocol=label(content["protocol"]),
        protocol_name=label(content["protocol_name"]),
        protocol_summary=label(content["protocol_summary"]),
        proves=label(content["proves"]),
        normalization=label(content["normalization"]),
        games=tuple(label(game) for game in content["games"]),
        seeds=tuple(int(seed) for seed in content["seeds"]),
        methods=tuple(_method(method) for method in content["methods"]),
        baseline=None if content["baseline"] is None else label(content["baseline"]),
        preset=label(content["preset"]),
        reach=None if content.get("reach") is None else float(content["reach"]),
        command_line=dict(content.get("command_line", {})),
        synthetic=bool(content.get("synthetic", False)),
        provenance=dict(content["provenance"]),
    )


def _method(content: Mapping[str, Any]) -> Method:
    return Method(
        name=label(content["name"]),
        agent=label(content["agent"]),
        description=label(content.get("description") or ""),
        group=label(content["group"]) if content.get("group") else None,
        transfer=_transfer(content["transfer"]) if content.get("transfer") else None,
        settings=content.get("settings"),
    )


def _transfer(content: Mapping[str, Any]) -> Transfer:
    return Transfer(
        sources=tuple(label(game) for game in content["sources"]),
        source_method=label(content["source_method"]),
        data_policy=label(content["data_policy"]),
        pretraining=label(content["pretraining"]),
        cross_tasks=bool(content["cross_tasks"]),
        pretrain_seeds=tuple(int(seed) for seed in content["pretrain_seeds"]),
    )
