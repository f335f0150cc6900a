"""Pydantic's findings about a YAML document, as problems with a location and a remedy.

Pydantic's English is never read, only the types of its errors: the words here stay when its own change.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from xtra.suite.diagnostics.document import DataPath, Document
from xtra.suite.diagnostics.errors import Problem, shown, suggest


def _number(bound: float) -> str:
    """Writes a bound as `1` rather than `1.0`, though pydantic keeps it as the float that the field is."""
    return str(int(bound) if float(bound).is_integer() else bound)


EXPECTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "an integer",
    "int_type": "an integer",
    "list_type": "a list",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "none_required": "null",
    "string_type": "a text",
    "tuple_type": "a list",
}
"""Descriptions of valid values, by the type of pydantic's error."""

EXPECTED_BOUNDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda context: f"greater than {_number(context['gt'])}",
    "greater_than_equal": lambda context: f"at least {_number(context['ge'])}",
    "less_than": lambda context: f"less than {_number(context['lt'])}",
    "less_than_equal": lambda context: f"at most {_number(context['le'])}",
    "literal_error": lambda context: str(context["expected"]),
    "missing": lambda _: "complete",
    "too_short": lambda context: f"a list of at least {context['min_length']}",
    "too_long": lambda context: f"a list of at most {context['max_length']}",
    "value_error": lambda context: str(context["error"]).removeprefix("must be "),
}
"""Descriptions for errors whose context holds a bound."""


def expected(detail: ErrorDetails) -> str:
    """Describes what the value at fault should have been, to follow "is not". For a validator of ours it is its message."""
    kind = detail["type"]
    if kind in EXPECTED_BOUNDS:
        return EXPECTED_BOUNDS[kind](detail.get("ctx", {}))
    return EXPECTED.get(kind, f"valid ({detail['msg']})")


def own_message(detail: ErrorDetails) -> str:
    """Returns the message of a validator of ours, as it was raised; pydantic's own for any other error."""
    return str(detail["ctx"]["error"]) if detail["type"] == "value_error" else detail["msg"]


def validation_problems(document: Document, model: type[BaseModel]) -> list[tuple[DataPath, Problem]]:
    """Returns every difference between the document's data and the model's shape, each with the path of the value at fault."""
    try:
        model.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        details = error.errors()
        # A list whose entries are all broken is "too short" as well.
        outer = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
        kept = [detail for detail in details if not (detail["type"] == "too_short" and detail["loc"] in outer)]
        return [(detail["loc"], _problem(document, model, detail)) for detail in kept]
    return []


def _problem(document: Document, root: type[BaseModel], detail: ErrorDetails) -> Problem:
    path, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
    model, field = _owner(root, path)
    dotted = ".".join(str(part) for part in path) or "the file"
    location, example = document.location(path), _example(model, field)
    if kind == "extra_forbidden":
        key = str(path[-1])
        return Problem(document.key_location(path), f"unknown key {shown(key)}", suggest(key, model.model_fields, "keys"))
    if kind == "value_error" and isinstance(detail["input"], dict):
        return Problem(document.key_location(path), own_message(detail))
    if path and path[-1] == "[key]":  # pydantic's name for a mapping's key, as opposed to its value
        return Problem(document.key_location(path[:-1]), own_message(detail))
    if kind == "missing":
        return Problem(document.location(path[:-1]), f"missing key {shown(str(path[-1]))}", example)
    if kind in ("too_short", "string_too_short") or (detail["input"] is None and document.left_out(path)):
        return Problem(location, f"{dotted} is empty", example)
    if kind == "too_long" and "actual_length" in context:
        return Problem(location, f"{dotted} has {context['actual_length']} entries", f"at most {context['max_length']}")
    if kind == "string_too_long":
        return Problem(location, f"{dotted} has {len(detail['input'])} characters", f"at most {context['max_length']}")
    if kind == "string_pattern_mismatch":
        remedy = "letters, digits, '.', '_' and '-', beginning with a letter or digit"
        return Problem(location, f"{dotted}: {shown(detail['input'])} cannot name a directory", remedy)
    return Problem(location, f"{dotted}: {shown(detail['input'])} is not {expected(detail)}", example)


def _owner(root: type[BaseModel], path: DataPath) -> tuple[type[BaseModel], str]:
    """Returns the innermost model that the path goes through, and the key that it goes on by: a field, or an unknown key."""
    model, field = root, ""
    annotation: Any = root
    for part in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model, field = annotation, str(part)
            info = model.model_fields.get(field)
            annotation = None if info is None else info.annotation
        else:  # a list's entry or a mapping's value
            entries = [argument for argument in typing.get_args(annotation) if argument is not Ellipsis]
            annotation = entries[-1] if entries else None
        if typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
    return model, field


def _example(model: type[BaseModel], key: str) -> str:
    """Shows how the field is written, from the example beside its definition."""
    field = model.model_fields.get(key)
    return f"for example: {key}: {json.dumps(field.examples[0])}" if field is not None and field.examples else ""
