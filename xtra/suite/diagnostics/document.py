"""A YAML text as plain data that remembers where each value was written.

Suites and profiles are data alone: no anchors, aliases, tags or second documents, so nothing grows when it is read and nothing
is executed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xtra.suite.diagnostics.errors import Location, Problem, SuiteError, nearest, shown

MAX_BYTES = 65_536
"""Largest suite file in bytes. The largest of ours has a few thousand."""
MAX_DEPTH = 10
"""Levels of nesting; a suite needs five."""
MAX_DIGITS = 40
"""Most digits of an integer; a longer one is far beyond every limit, and is cut before it costs time."""

DataPath = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists."""

Problems = Iterator[tuple[DataPath, Problem]]
"""Problems with the path of the value each is about."""


@dataclass
class Document:
    """Plain data, the locations of its values and keys by path, and the problems met while reading it."""

    source: str
    lines: list[str]
    data: Any = None
    values: dict[DataPath, Location] = field(default_factory=dict)
    keys: dict[DataPath, Location] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    has_unread_methods: bool = False
    """True if a suite that it includes could not be read, so that any name may be that of a method in there."""

    def location(self, path: DataPath) -> Location:
        """Locates the value at `path`, or the nearest value around it."""
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, Location(self.source))

    def key_location(self, path: DataPath) -> Location:
        """Locates the key at `path`."""
        return self.keys.get(path) or self.location(path)

    def left_out(self, path: DataPath) -> bool:
        """Tells whether the key at `path` has no value: the value then has the key's own location."""
        return path in self.values and self.values[path] == self.keys.get(path)

    def put(self, path: DataPath, value: Any, location: Location) -> None:
        """Sets a value from outside the file, making mappings on the way; everything about it points to `location`.

        Nothing is set inside a value that is no mapping: that value is the mistake, and is reported as such.
        """
        target = self.data
        for depth, part in enumerate(path[:-1], 1):
            if isinstance(target, dict) and part not in target:
                target[part] = {}
                self.values[path[:depth]] = self.keys[path[:depth]] = location
            target = target[part] if isinstance(target, dict) else None
        if isinstance(target, dict):
            target[path[-1]] = value
            for locations in (self.values, self.keys):
                for known in [known for known in locations if known[: len(path)] == path]:
                    del locations[known]
                locations[path] = location


def read_text(path: Path, kind: str = "suite") -> str:
    """Reads the text of a file. Raises SuiteError for anything but a small regular file of printable UTF-8.

    kind: the kind of file that is expected, for the messages.
    """
    whole = Location(str(path))
    example = f"name a {kind} file{', or one that `xtra-bench list suites` names' if kind == 'suite' else ''}"
    try:
        if path.is_dir():
            raise SuiteError([Problem(whole, "is a directory", example)])
        if path.exists() and not path.is_file():
            raise SuiteError([Problem(whole, "is not a regular file", example)])
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SuiteError([Problem(whole, "no such file", _similar_file(path, example))]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SuiteError([Problem(whole, f"cannot be read: {reason}")]) from None
    if len(raw) > MAX_BYTES:
        remedy = f"a {kind} has at most {MAX_BYTES:,} bytes; is this the right file?"
        raise SuiteError([Problem(whole, f"is too large for a {kind}", remedy)])
    return _decode(raw, str(path))


def parse(text: str, source: str) -> Document:
    """Parses the document in `text`. Raises SuiteError for broken YAML; lesser problems are collected in the document."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    document = Document(source, text.split("\n"))
    try:
        _refuse_indirection(document, YAML(typ="safe", pure=True).parse(text))
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = _location(document, mark) if mark else Location(source)
        raise SuiteError([Problem(location, f"not YAML: {error.problem or error.context}", _syntax_remedy(location))]) from None
    except (YAMLError, ValueError) as error:
        raise SuiteError([Problem(Location(source), f"not YAML: {error}")]) from None
    if node is not None:
        document.data = _build(document, node, ())
    return document


def _decode(raw: bytes, source: str) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8")) + 1
        text = raw.decode("utf-8", errors="replace").split("\n")[before.count(b"\n")]
        location = Location(source, before.count(b"\n") + 1, column, text)
        raise SuiteError([Problem(location, f"byte 0x{raw[error.start]:02X} is not UTF-8", "save the file as UTF-8")]) from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for number, line_text in enumerate(text.split("\n"), 1):
        strange = _first_unprintable(line_text.replace("\t", " "))
        if strange is not None:
            location = Location(source, number, strange + 1, line_text)
            raise SuiteError([Problem(location, f"control character U+{ord(line_text[strange]):04X}", "delete it")])
    return text


def _similar_file(path: Path, otherwise: str) -> str:
    """Suggests a file for a path where nothing is: the YAML file beside it, or in `suites/`, whose bare name is nearest."""
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    for directory in (path.parent, path.parent / "suites"):
        suites = {file.stem: file for file in directory.glob("*.y*ml")}
        close = nearest(path.stem, suites)
        if close is not None:
            return f"did you mean {suites[close]}?"
    return otherwise


def _first_unprintable(text: str) -> int | None:
    if text.isprintable():
        return None
    return next(index for index, character in enumerate(text) if not character.isprintable())


def _refuse_indirection(document: Document, events: Iterator[Any]) -> None:
    """Refuses aliases, anchors, tags, second documents and deep nesting, in one lazy pass before anything is built."""
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent

    depth = documents = 0
    for event in events:
        documents += isinstance(event, DocumentStartEvent)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if documents > 1:
            complaint = ("a second document starts here", "one document a file: delete the line `---` and what follows")
        elif isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            complaint = (
                "anchors and aliases are not allowed",
                "write the values out; methods share settings by `base:`",
            )
        elif getattr(event, "tag", None) is not None:
            complaint = (f"tag {shown(str(event.tag))} is not allowed", "write the plain value")
        elif depth > MAX_DEPTH:
            complaint = (
                f"nested deeper than {MAX_DEPTH} levels",
                "settings are dotted paths: agent.search.num_simulations: 16",
            )
        else:
            continue
        raise SuiteError([Problem(_location(document, event.start_mark), *complaint)])


def _syntax_remedy(location: Location) -> str:
    if "\t" in location.text[: location.column]:
        return "indent with spaces, not with tabs"
    return "check the indentation, the colons and the quotes of this line and the one before"


def _location(document: Document, mark: Any) -> Location:
    text = document.lines[mark.line] if mark.line < len(document.lines) else ""
    return Location(document.source, mark.line + 1, mark.column + 1, text)


def _build(document: Document, node: Any, path: DataPath) -> Any:
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    document.values[path] = _location(document, node.start_mark)
    if isinstance(node, MappingNode):
        return _build_mapping(document, node, path)
    if isinstance(node, SequenceNode):
        return [_build(document, child, (*path, index)) for index, child in enumerate(node.value)]
    return _build_scalar(document, node, path)


def _build_mapping(document: Document, node: Any, path: DataPath) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key_node, value_node in node.value:
        location = _location(document, key_node.start_mark)
        key = key_node.value
        if not isinstance(key, str) or not key_node.tag.endswith(":str"):
            document.problems.append(Problem(location, "a key is plain text", "quote it if it is meant as text"))
        elif _first_unprintable(key) is not None:
            document.problems.append(Problem(location, "control characters in a key", "delete them"))
        elif key in built:
            first = document.keys[*path, key]
            message = f"duplicate key {shown(key)}, first on line {first.line}"
            document.problems.append(Problem(location, message, "keep one of the two"))
        else:
            document.keys[*path, key] = location
            built[key] = _build(document, value_node, (*path, key))
            if value_node.value == "" and built[key] is None:
                document.values[*path, key] = location  # YAML's location of a value left out is wherever the next one begins
    return built


def _build_scalar(document: Document, node: Any, path: DataPath) -> Any:
    kind, text = node.tag.rpartition(":")[2], node.value
    try:
        if kind in ("null", "bool"):
            return None if kind == "null" else text.lower() == "true"
        if kind == "int":
            digits = text.replace("_", "")
            return int(digits[:MAX_DIGITS], 0 if re.match(r"[-+]?0[box]", digits) else 10)
        if kind == "float":
            return _finite(text)
    except ValueError as error:
        document.problems.append(Problem(document.values[path], f"{shown(text)}: {error}", "write a finite number"))
        return 0
    strange = _first_unprintable(text.replace("\n", " "))
    if strange is not None:
        message = f"control character U+{ord(text[strange]):04X} in a text"
        document.problems.append(Problem(document.values[path], message, "delete it"))
        return "?"
    return text


def _finite(text: str) -> float:
    number = float(re.sub(r"\.(inf|nan)$", r"\1", text.replace("_", "").lower()))
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number
