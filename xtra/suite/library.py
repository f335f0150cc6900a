"""The suites that come with the package: where they are, and how a new one is made after one of them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import xtra
from xtra.suite.diagnostics.document import read_text
from xtra.suite.diagnostics.errors import Location, Problem, SuiteError, nearest
from xtra.suite.spec import SuiteFile

_PACKAGE = Path(xtra.__file__).parent
_PLACES = (_PACKAGE / "suites", _PACKAGE.parent / "suites")
"""Directories of the suites in an installed wheel, and in a checkout."""

COMMENT_WIDTH = 120
"""Columns of a comment in a new suite."""


def shipped_suites() -> dict[str, Path]:
    """Returns the files of the package's suites, by name."""
    directory = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
    return {path.stem: path for path in sorted(directory.glob("*.yaml"))}


def find_suite(named: Path) -> Path:
    """Finds the file of a suite: the path itself where something is; else, for a bare name, `suites/NAME.yaml` here, else the
    package's. Returns the path where there is none of these; raises SuiteError where the package has one of nearly that name."""
    if named.exists() or named.name != str(named):
        return named
    name = named.stem if named.suffix == ".yaml" else named.name
    here = Path("suites") / f"{name}.yaml"
    shipped = shipped_suites()
    close = None if here.is_file() or name in shipped else nearest(name, shipped)
    if close is not None:
        raise SuiteError(
            [Problem(Location(str(named)), "is neither a file nor a suite of the package", f"did you mean {close}?")]
        )
    return here if here.is_file() else shipped.get(name, named)


def new_suite(name: str, like: Path) -> str:
    """Writes the text of a suite called `name` with the content of the suite in `like`, every field explained by a comment.

    The comments at its head, which say where the other suite comes from and what it costs, are replaced. Raises SuiteError.
    """
    lines = read_text(like).split("\n")
    first = next((index for index, line in enumerate(lines) if re.match(r"\w", line)), 0)
    head = [
        f"# Question: (in one sentence, as below)\n# Source: ours, after suite `{like.stem}`.",
        f"# Cost: `xtra-bench plan {name}.yaml` says.",
    ]
    return "\n".join([*head, *_commented(lines[first:], name)])


def _commented(lines: list[str], name: str) -> Iterator[str]:
    for line in lines:
        key = re.match(r"(\w+):", line)
        field = SuiteFile.model_fields.get(key[1]) if key else None
        if key and field is not None and field.description:
            yield ""
            yield from textwrap.wrap(
                " ".join(field.description.split()), COMMENT_WIDTH, initial_indent="# ", subsequent_indent="# "
            )
        replaced = {"suite": f"suite: {name}", "version": "version: 1"}
        yield replaced.get(key[1], line) if key else line
