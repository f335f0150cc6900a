"""One colour and one marker per method, the same in every report, told apart by colour-blind readers too.

Known methods have fixed colours; any other name always hashes to the same place in the palette, and only moves on when another
method of the same report sits there already.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

INK = "#1f2933"
MUTED = "#7b8794"
RULE = "#d9dee4"
PAPER = "#ffffff"
FAINT = "#c3cad2"

FIXED = {
    "xtra": "#c4432b",
    "efficientzero": "#2b4c7e",
    "random": "#9aa5b1",
    "human": "#52606d",
}
PALETTE = (
    "#117733", "#882255", "#44aa99", "#ddaa33", "#aa4499", "#56a0d3",
    "#999933", "#cc6677", "#6b4fa0", "#8c5a2b", "#00798c", "#3d5a1e",
)  # fmt: skip
"""After Paul Tol's muted scheme, darkened for thin lines on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    color: str
    marker: str


def short(name: str, length: int = 30) -> str:
    """A name for a label: cut where it is too long for any figure."""
    return name if len(name) <= length else name[: length - 1] + "…"


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """A look for each method; equal names look equal in every report, whatever the order of the methods."""
    taken: set[int] = set()
    result: dict[str, Look] = {}
    for name in sorted(methods, key=str.casefold):
        place = zlib.crc32(name.casefold().encode()) % len(PALETTE)
        fixed = FIXED.get(name.casefold())
        if fixed is None:
            while place in taken and len(taken) < len(PALETTE):
                place = (place + 1) % len(PALETTE)
            taken.add(place)
        result[name] = Look(fixed or PALETTE[place], MARKERS[place % len(MARKERS)])
    return {name: result[name] for name in methods}
