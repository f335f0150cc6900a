"""`include`: the methods of another suite, compared in this one under this suite's protocol, preset, games and seeds.

Only suites in the same directory, by their bare name. What they include in turn is included too, each suite once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from xtra.suite.diagnostics.document import DataPath, Document, parse, read_text
from xtra.suite.diagnostics.errors import Problem, SuiteError, shown, suggest
from xtra.suite.spec import SUITE_NAME


def include_methods(document: Document, directory: Path) -> None:
    """Appends the methods of every suite that the document includes, each with its location in the file that it comes from.

    Anything wrong with an `include`, or with a suite included, is added to the document's problems.
    """
    methods = document.data.get("methods")
    if not isinstance(methods, list):
        methods = []  # the checks that follow complain of that; the included suites are looked at all the same
    waiting, met = [document], {Path(document.source).stem}
    while waiting:
        including = waiting.pop(0)
        for path, name in _names(document, including):
            try:
                included = _included(including, path, name, directory)
                if name not in met:
                    _append(document, methods, included)
                    _append_plugins(document, included)
                    waiting.append(included)
                    met.add(name)
            except SuiteError as error:
                document.problems.extend(error.problems)
                document.has_unread_methods = True


def _names(document: Document, including: Document) -> Iterator[tuple[DataPath, str]]:
    """Yields the names that one suite includes, each with its path."""
    names = including.data.get("include", [])
    for index, name in enumerate(names if isinstance(names, list) else [names]):
        path = ("include", index)
        if isinstance(name, str) and isinstance(names, list):
            yield path, name
            continue
        message = f"include: {shown(name)} is not {'a text' if isinstance(names, list) else 'a list'}"
        remedy = 'for example: include: ["baselines"]'
        document.problems.append(Problem(including.location(path), "include is empty" if names is None else message, remedy))
        document.has_unread_methods = True


def _included(including: Document, path: DataPath, name: str, directory: Path) -> Document:
    """Reads the suite of that name. Raises SuiteError where there is none, or it cannot be read or holds no methods."""
    file = directory / f"{name}.yaml"
    if not re.match(SUITE_NAME, name) or file.name == Path(including.source).name or not file.exists():
        remedy = suggest(name, _suites_beside(including, directory), f"suites in {directory}")
        raise SuiteError([Problem(including.location(path), f"no suite {shown(name)} beside this one", remedy)])
    included = parse(read_text(file), str(file))
    if not isinstance(included.data, dict) or not isinstance(included.data.get("methods"), list):
        raise SuiteError([Problem(included.location(()), "has no list of methods to include", "see suites/README.md")])
    return included


def _suites_beside(including: Document, directory: Path) -> Iterator[str]:
    """Yields the names of the other suites in the directory; YAML files of other kinds have no key `suite`."""
    for file in directory.glob("*.yaml"):
        with suppress(SuiteError):
            if file.name != Path(including.source).name and re.search(r"^suite\s*:", read_text(file), re.MULTILINE):
                yield file.stem


def _append(document: Document, methods: list[object], included: Document) -> None:
    offset = len(methods)
    methods.extend(included.data["methods"])
    document.problems.extend(included.problems)
    for known, locations in ((document.values, included.values), (document.keys, included.keys)):
        for path, location in locations.items():
            if len(path) > 1 and path[0] == "methods" and isinstance(path[1], int):
                known["methods", path[1] + offset, *path[2:]] = location


def _append_plugins(document: Document, included: Document) -> None:
    """Appends the included suite's plugins, which its methods may need.

    Both suites lie in one directory, so a reference means the same in either.
    """
    own, others = document.data.setdefault("plugins", []), included.data.get("plugins", [])
    for index, reference in enumerate(others if isinstance(own, list) and isinstance(others, list) else ()):
        if reference not in own:
            document.values["plugins", len(own)] = included.location(("plugins", index))
            own.append(reference)
