"""Settings that `set` and `--set` may change: valid paths and values, remedies for the others, and the JSON Schema for
editors."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from xtra.agents.registry import AGENTS
from xtra.config import NameIn
from xtra.suite.diagnostics.errors import Location, Problem, nearest, shown
from xtra.suite.diagnostics.validation import expected
from xtra.suite.method import DEFAULT_AGENT, RESERVED, configure, leaf_schemas, leaves
from xtra.suite.spec import SuiteFile

MAX_LISTED = 8
"""Fields named in a remedy."""

MIN_LIKENESS = 0.65
"""Least likeness of two last words, by difflib, for one to mean the other: `num_sims` means `num_simulations`, `sources` not
`value_source`."""


def setting_problem(
    path: str,
    value: Any,
    agents: Collection[str],
    location: Location,
    value_location: Location,
    also: Iterable[str] = (),
    otherwise: Collection[Any] = (),
) -> Problem | None:
    """Explains what is wrong with setting `path` to `value`, where `agents` are those that it may be meant for; None if nothing.

    location, value_location: where the path and the value stand. also: other names that an unknown path may have been meant as.
    otherwise: the values that the setting has here without this one.
    """
    users = [agent for agent in agents if path in leaves(agent)]
    if not users:
        return Problem(location, *_path_complaint(path, agents, also))
    complaints = (_value_complaint(path, value, agent, otherwise) for agent in users)
    return next((Problem(value_location, *complaint) for complaint in complaints if complaint is not None), None)


def nearest_path(path: str, known: Iterable[str]) -> str | None:
    """Returns the path most likely meant: one whose last word is spelled nearly so, of several the most alike. None if there is
    none."""
    close = {candidate: likeness for candidate in known if (likeness := _likeness(_leaf(path), _leaf(candidate))) >= MIN_LIKENESS}
    return max(sorted(close), key=lambda candidate: close[candidate] + _likeness(path, candidate), default=None)


def _leaf(path: str) -> str:
    return path.rpartition(".")[2]


def _likeness(a: str, b: str) -> float:
    return SequenceMatcher(None, a[:200].lower(), b[:200].lower(), autojunk=False).ratio()


def _value_complaint(path: str, value: Any, agent: str, otherwise: Collection[Any]) -> tuple[str, str] | None:
    leaf = leaves(agent)[path]
    choice = {leaf.chosen_by: min(leaf.names)} if leaf.names else {}
    try:
        configure(agent, {**choice, path: value})
    except ValidationError as error:
        parts, info = tuple(path.split(".")), leaf.info
        for detail in error.errors():
            location = detail["loc"]
            if location[: len(parts)] == parts:
                reason = expected(detail) if location == parts else _kind(info)
                return f"{path}: {shown(value)} is not {reason}", _value_remedy(path, value, info, otherwise)
    return None


def _path_complaint(path: str, agents: Collection[str], also: Iterable[str]) -> tuple[str, str]:
    everyone = {known for agent in AGENTS for known in leaves(agent)}
    if path in RESERVED:
        return f"{path} cannot be set", RESERVED[path]
    if path in everyone:
        owners = ", ".join(agent for agent in AGENTS if path in leaves(agent))
        return f"{path} is a setting of {owners}, not of {', '.join(sorted(agents))}", "set it on the methods that use that agent"
    inside = sorted(known for known in everyone if known.startswith(f"{path}."))
    if inside:
        more = ", ..." if len(inside) > MAX_LISTED else ""
        return f"{path} is a block, not a setting", f"set its fields one by one: {', '.join(inside[:MAX_LISTED])}{more}"
    block = path.rpartition(".")[0]
    if close := nearest_path(path, everyone.union(also)):
        remedy = f"did you mean {close}?"
    elif siblings := sorted(_leaf(known) for known in everyone if block and known == f"{block}.{_leaf(known)}"):
        remedy = f"{block} has {', '.join(siblings)}"
    else:
        remedy = "a path starts with environment., agent., training., transfer. or evaluation."
    return f"unknown setting {shown(path)}", remedy


def _describe(path: str, info: FieldInfo, otherwise: Collection[Any]) -> str:
    bounds = [f"{sign} {getattr(m, name)}" for m in info.metadata for kind, name, sign in _BOUNDS if isinstance(m, kind)]
    kind = " ".join([_kind(info), *([" and ".join(bounds)] if bounds else [])])
    default = info.get_default(call_default_factory=True, validated_data={})
    others = " or ".join(dict.fromkeys(_plain(value) for value in otherwise))
    here = f", here {others}" if others not in ("", _plain(default)) else ""
    return f"{path} is {kind}; its default is {_plain(default)}{here}"


_BOUNDS: tuple[tuple[type, str, str], ...] = ((Ge, "ge", ">="), (Gt, "gt", ">"), (Le, "le", "<="), (Lt, "lt", "<"))
_KINDS: dict[Any, str] = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}


def _value_remedy(path: str, value: Any, info: FieldInfo, otherwise: Collection[Any]) -> str:
    """Suggests the name that was meant, where the setting is a name and one is near; else describes the setting."""
    choice = next((one for one in info.metadata if isinstance(one, NameIn)), None)
    close = nearest(value, choice.names) if choice is not None and isinstance(value, str) else None
    return _describe(path, info, otherwise) if close is None else f"did you mean {close}?"


def _kind(info: FieldInfo) -> str:
    choice = next((one for one in info.metadata if isinstance(one, NameIn)), None)
    return _kind_of(info.annotation) if choice is None else "one of " + ", ".join(choice.names)


def _kind_of(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(argument) for argument in arguments)
    if origin is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)} values, each {_kind_of(arguments[0])}"
    if origin in (tuple, list):
        return f"a list, each value {_kind_of(arguments[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if argument is type(None) else _kind_of(argument) for argument in arguments)
    return _KINDS.get(annotation, str(annotation))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(list(value)) if isinstance(value, tuple) else str(value)


def described_settings() -> dict[str, str]:
    """Returns the default and the documentation of each setting, in one line, by dotted path; where not all agents have it, or
    not with one default, with their names. The documentation is the default agent's, if it has the setting."""
    defaults: dict[str, dict[str, list[str]]] = {}
    documents: dict[str, str] = {}
    agents = sorted(AGENTS, key=lambda name: name != DEFAULT_AGENT)
    for agent in agents:
        for path, leaf in leaves(agent).items():
            default = AGENTS[agent].defaults.get(path, leaf.info.get_default(call_default_factory=True, validated_data={}))
            defaults.setdefault(path, {}).setdefault(_plain(default), []).append(agent)
            documents.setdefault(path, " ".join((leaf.info.description or "").split()))

    def spoken(path: str) -> str:
        by_default = defaults[path]
        if list(by_default.values()) == [agents]:
            return next(iter(by_default))
        return " or ".join(f"{default} ({', '.join(users)})" for default, users in by_default.items())

    return {path: f"{spoken(path)}: {documents[path]}" for path in sorted(defaults)}


def suite_schema() -> dict[str, Any]:
    """Makes the schema of SuiteFile, in which `set` knows every dotted path of every agent."""
    schema = SuiteFile.model_json_schema()
    paths = {path: leaf for agent in AGENTS for path, leaf in leaf_schemas(agent).items()}
    del schema["$defs"]["JsonValue"]
    schema["$defs"]["Settings"] = {"type": "object", "properties": dict(sorted(paths.items())), "additionalProperties": False}
    for owner in (schema, schema["$defs"]["MethodSpec"]):
        owner["properties"]["set"] = {
            "$ref": "#/$defs/Settings",
            "description": owner["properties"]["set"]["description"],
        }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "xtra suite"}
