"""`include`: the methods of another suite, compared in this one under this suite's protocol, preset, games and seeds.

Only suites in the same directory, by their bare name; what they include in turn is not followed.
"""

from __future__ import annotations

import re
from pathlib import Path

from xtra.suite.document import Document, parse, read_text
from xtra.suite.errors import Problem, SuiteError, shown, suggest
from xtra.suite.spec import SUITE_NAME


def include_methods(document: Document, directory: Path) -> None:
    """Appends the methods of every suite that the document includes, each with its place in the file it comes from.

    What has not the shape of a list of names, or of methods, is left to the checks that follow. Raises SuiteError for a suite
    that is not there or cannot be read.
    """
    names, methods = (document.data.get(key) for key in ("include", "methods"))
    if not isinstance(names, list) or not isinstance(methods, list):
        return
    for index, name in enumerate(names):
        if isinstance(name, str):
            _append(document, methods, _included(document, ("include", index), name, directory))


def _included(document: Document, path: tuple[str, int], name: str, directory: Path) -> Document:
    available = sorted(file.stem for file in directory.glob("*.yaml") if file.name != Path(document.source).name)
    if not re.match(SUITE_NAME, name) or name not in available:
        remedy = suggest(name, available, f"suites in {directory}")
        raise SuiteError([Problem(document.place(path), f"no suite {shown(name)} beside this one", remedy)])
    file = directory / f"{name}.yaml"
    return parse(read_text(file), str(file))


def _append(document: Document, methods: list[object], included: Document) -> None:
    found = included.data.get("methods") if isinstance(included.data, dict) else None
    if not isinstance(found, list):
        raise SuiteError([Problem(included.place(()), "has no list of methods to include", "see suites/README.md")])
    offset = len(methods)
    methods.extend(found)
    document.problems.extend(included.problems)
    for known, places in ((document.values, included.values), (document.keys, included.keys)):
        for path, place in places.items():
            if len(path) > 1 and path[0] == "methods" and isinstance(path[1], int):
                known["methods", path[1] + offset, *path[2:]] = place
