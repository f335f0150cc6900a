"""Errors of a suite: where, what, and what to do about it. Rendered as plain text, never interpreted as markup."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

EXCERPT_WIDTH = 110
"""Longer lines are cut around the column at fault."""

MAX_SHOWN = 20
"""Problems printed; a file that is not a suite at all has thousands."""


@dataclass(frozen=True)
class Location:
    """The place where something was written. `source` is a file's name or an option; `line` is 0 for a whole file or an
    option."""

    source: str
    line: int = 0
    column: int = 1
    text: str = ""
    """The whole line, as it stands there."""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Problem:
    """One mistake and its remedy."""

    location: Location
    message: str
    remedy: str = ""

    def render(self) -> str:
        lines = [f"{self.location}: {self.message}", *_excerpt(self.location)]
        if self.remedy:
            lines.append(f"    {self.remedy}")
        return "\n".join(printable(line) for line in lines)


class SuiteError(Exception):
    """A suite that cannot be run, with every problem in the order of the locations."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems = tuple(sorted(unique, key=lambda p: (p.location.source, p.location.line, p.location.column)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return self.render()

    def with_names(self, names: Mapping[str, str]) -> SuiteError:
        """Returns the same problems in the words of another caller. names: what it says for each option of the command line."""

        def reworded(problem: Problem) -> Problem:
            source, remedy = problem.location.source, problem.remedy
            for option, name in names.items():
                remedy = remedy.replace(option, name)
            return Problem(replace(problem.location, source=names.get(source, source)), problem.message, remedy)

        return SuiteError(map(reworded, self.problems))

    def render(self) -> str:
        """Writes all problems as text for the terminal."""
        count = len(self.problems)
        blocks = [problem.render() for problem in self.problems[:MAX_SHOWN]]
        if count > 1:
            blocks.append(
                f"{count} problems" if count <= MAX_SHOWN else f"{count} problems, of which the first {MAX_SHOWN} are shown"
            )
        return "\n\n".join(blocks)


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Returns the name that `word` was most likely meant to be, or None when nothing is close."""
    known = sorted(names)
    lowered = {name.lower(): name for name in known}
    if word.lower() in lowered:
        return lowered[word.lower()]
    match = difflib.get_close_matches(word.lower()[:200], list(lowered), n=1, cutoff=0.6)
    return lowered[match[0]] if match else None


def suggest(word: str, names: Iterable[str], kind: str) -> str:
    """Suggests what to write in place of an unknown name: the nearest one, or the valid ones."""
    known = sorted(names)
    close = nearest(word, known)
    if close is not None:
        return f"did you mean {close!r}?"
    return f"valid {kind}: {', '.join(known)}" if len(known) <= 20 else f"there are {len(known)} valid {kind}"


def shown(value: object) -> str:
    """Quotes a value for a message as YAML spells it, cut when long."""
    text = json.dumps(value) if isinstance(value, bool | None) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: str) -> str:
    """Returns the text with control characters (escape sequences above all) spelled out, so that printing it does nothing
    else."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"<U+{ord(c):04X}>" for c in text)


def _excerpt(location: Location) -> list[str]:
    if not location.text:
        return []
    text = "".join(c if c.isprintable() else " " for c in location.text)
    start = max(0, location.column - 1 - EXCERPT_WIDTH // 2) if len(text) > EXCERPT_WIDTH else 0
    cut = text[start : start + EXCERPT_WIDTH].rstrip()
    return [f"    {cut}", "    " + " " * (location.column - 1 - start) + "^"]
