"""The command line's changes to a suite: `--set a.b=c` and `--seeds 0,1`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from xtra.suite.diagnostics.document import MAX_DIGITS, Document, parse
from xtra.suite.diagnostics.errors import Location, Problem, SuiteError, shown
from xtra.suite.spec import MAX_SEED, SuiteFile

MAX_SEEDS = 1_000
"""Most seeds of one `--seeds` range."""


@dataclass(frozen=True)
class Override:
    """One `--set`: a dotted path, its value, and the text it came from."""

    path: str
    value: Any
    location: Location

    @property
    def value_location(self) -> Location:
        """The location where the value begins."""
        return replace(self.location, column=self.location.text.index("=") + 2)

    @property
    def addresses_suite(self) -> bool:
        """True if the path names a field of the suite file rather than of a method's configuration."""
        return self.path.partition(".")[0] in SuiteFile.model_fields


def parse_override(text: str) -> Override:
    """Parses `a.b=c`, its value as YAML. Raises SuiteError."""
    location = Location("--set", text=text)
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path:
        raise SuiteError(
            [Problem(location, "is not of the form path=value", "for example: --set agent.search.num_simulations=16")]
        )
    try:
        document = parse(value, "--set")
    except SuiteError as error:
        remedy = "quote the value, and the whole for the shell: --set 'question=\"Why: that\"'"
        raise SuiteError([Problem(location, p.message, remedy) for p in error.problems]) from None
    if document.problems:
        raise SuiteError([Problem(location, p.message, p.remedy) for p in document.problems])
    return Override(path, document.data, location)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parses `0,1,5-9` as seeds. Raises SuiteError."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part, re.ASCII)
        first, last = (int((match[group] or match[1])[:MAX_DIGITS]) for group in (1, 2)) if match else (0, 0)
        if match is None:
            complaint = "is not a list of seeds", "for example: --seeds 0,1,5-9"
        elif max(first, last) > MAX_SEED:
            complaint = f"{max(first, last)} is too large for a seed", f"at most {MAX_SEED}"
        elif last < first:
            complaint = f"{first}-{last} runs backwards", f"write {last}-{first}"
        elif last - first >= MAX_SEEDS:
            complaint = f"{first}-{last} is {last - first + 1:,} seeds", f"at most {MAX_SEEDS:,}"
        else:
            seeds.extend(range(first, last + 1))
            continue
        raise SuiteError([Problem(Location("--seeds", text=text), *complaint)])
    return tuple(seeds)


def apply_to_document(document: Document, overrides: Iterable[Override]) -> None:
    """Puts every override that addresses a suite field into the document, which is a mapping. Raises SuiteError."""
    for override in overrides:
        if not override.addresses_suite:
            continue
        first, *rest = override.path.split(".")
        if first in ("methods", "set"):
            remedy = "write the configuration path itself: --set agent.search.num_simulations=16"
            raise SuiteError([Problem(override.location, f"`{first}` cannot be replaced from the command line", remedy)])
        if rest and first != "resources":
            raise SuiteError([Problem(override.location, f"`{first}` has no parts", f"replace it as a whole: --set {first}=...")])
        if first == "seeds" and not isinstance(override.value, list):
            message = f"seeds: {shown(override.value)} is not a list"
            raise SuiteError([Problem(override.location, message, "use --seeds, which takes ranges: --seeds 0,1,5-9")])
        document.put((first, *rest), override.value, override.location)
