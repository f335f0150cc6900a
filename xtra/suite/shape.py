"""The shape of a suite: unknown keys, missing keys, wrong types and ranges, in the words of a person."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from xtra.config import Config
from xtra.suite.document import DataPath, Document
from xtra.suite.errors import Problem, shown, suggest, words
from xtra.suite.slurm_settings import SlurmSettings
from xtra.suite.spec import MethodSpec, ResourcesSpec, SuiteFile

UNNAMED = "?/"
"""The name of a stand-in; no method may be called so."""

STAND_INS: Mapping[str, Any] = {
    "suite": "suite",
    "version": 1,
    "question": "?",
    "protocol": "?",
    "preset": "?",
    "seeds": [0],
    "targets": ["?"],
    "methods": [{"name": UNNAMED}],
    "name": UNNAMED,
}
"""Take the place of required values that are broken, so that the rest of the suite is checked all the same."""


def shape_problems(document: Document) -> list[tuple[DataPath, Problem]]:
    """Everything in which the document's data differs from the shape of a suite, with its path."""
    try:
        SuiteFile.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        details = error.errors()
        # A list whose entries are all broken is "too short" as well.
        outer = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
        return [(d["loc"], _problem(document, d)) for d in details if not (d["type"] == "too_short" and d["loc"] in outer)]
    return []


def repaired(data: Mapping[str, Any], broken: Iterable[DataPath]) -> dict[str, Any]:
    """A copy in which every broken value is replaced by a stand-in, or left out where it is optional."""
    copied = copy.deepcopy(dict(data))
    for path in broken:
        _repair(copied, path)
    return copied


def _repair(data: Any, path: DataPath) -> None:
    target = data
    for part in path[:-1]:
        inside = target.get(part) if isinstance(target, dict) else target[part]
        if not isinstance(inside, dict | list):
            return
        target = inside
    last = path[-1]
    if isinstance(target, list) and isinstance(last, int):
        target[last] = STAND_INS.get(str(path[0]), ("?",))[0]
    elif isinstance(target, dict) and last in STAND_INS:
        target[str(last)] = copy.deepcopy(STAND_INS[str(last)])
    elif isinstance(target, dict):
        target.pop(last, None)


def _problem(document: Document, detail: ErrorDetails) -> Problem:
    path, kind = detail["loc"], detail["type"]
    key, model = str(path[-1]), _model(path)
    dotted = ".".join(str(part) for part in path)
    if kind == "extra_forbidden":
        return Problem(document.key_place(path), f"unknown key {shown(key)}", suggest(key, model.model_fields, "keys"))
    if kind == "missing":
        return Problem(document.place(path[:-1]), f"missing key {shown(key)}", _example(model, key))
    if kind in ("too_short", "string_too_short") or (detail["input"] is None and document.left_out(path)):
        return Problem(document.place(path), f"{dotted} is empty", _example(model, key))
    if kind == "too_long" and "actual_length" in detail["ctx"]:
        return Problem(
            document.place(path),
            f"{dotted} has {detail['ctx']['actual_length']} entries",
            f"at most {detail['ctx']['max_length']}",
        )
    if kind == "string_too_long":
        counts = f"{dotted} has {len(detail['input'])} characters", f"at most {detail['ctx']['max_length']}"
        return Problem(document.place(path), *counts)
    if kind == "string_pattern_mismatch":
        remedy = "letters, digits, '.', '_' and '-', beginning with a letter or digit"
        return Problem(document.place(path), f"{dotted}: {shown(detail['input'])} cannot name a directory", remedy)
    message = f"{dotted}: {shown(detail['input'])} is not {words(detail['msg'])}"
    return Problem(document.place(path), message, _example(model, _field(path)))


def _model(path: DataPath) -> type[Config]:
    """The class whose field the path's last key is."""
    if len(path) > 2 and path[0] == "methods":
        return MethodSpec
    if len(path) > 2 and path[0] == "resources":
        return SlurmSettings if len(path) > 3 and path[2] == "slurm" else ResourcesSpec
    return SuiteFile


def _field(path: DataPath) -> str:
    """The field of `_model(path)` that the path goes through."""
    depth = {MethodSpec: 2, ResourcesSpec: 2, SlurmSettings: 3, SuiteFile: 0}[_model(path)]
    return str(path[depth])


def _example(model: type[Config], key: str) -> str:
    """How the field is written, from the example beside its definition."""
    field = model.model_fields.get(key)
    return f"for example: {key}: {json.dumps(field.examples[0])}" if field is not None and field.examples else ""
