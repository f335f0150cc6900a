"""Names from suites and rows, made safe to draw: characters that no page or SVG file may hold become U+FFFD."""

from __future__ import annotations

import re

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Controls that XML forbids, direction overrides that make a name read as another, lone surrogates, non-characters."""


def printable(text: str) -> str:
    """The text with every forbidden character replaced; line ends stay."""
    return _FORBIDDEN.sub("\ufffd", text)


def label(text: object) -> str:
    """A name on one line."""
    return printable(" ".join(str(text).split()))
