"""Our docstrings on the site: lines that tell of an argument become items of a list."""

from __future__ import annotations

import re
from typing import Any

import griffe

ARGUMENT = re.compile(r"^(?P<names>\*{0,2}[a-z_]\w*(, \*{0,2}[a-z_]\w*)*): ", re.MULTILINE)


class ArgumentLists(griffe.Extension):
    """Puts `observations: whatever the model takes` on an item of its own."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of whatever was just read."""
        if obj.docstring is not None:
            obj.docstring.value = itemized(obj.docstring.value)


def itemized(text: str) -> str:
    """The text with each line that begins by names and a colon as an item; a list stands apart from the lines before it."""
    lines: list[str] = []
    within = False
    for line in text.splitlines():
        begins = ARGUMENT.match(line)
        if begins and not within:
            lines.append("")
        within = bool(begins) or (within and bool(line.strip()))
        lines.append(ARGUMENT.sub(r"* `\g<names>`: ", line) if begins else f"    {line.strip()}" if within else line)
    return "\n".join(lines)
