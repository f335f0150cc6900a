"""Numbers and names as they look on a page.

Numbers have enough digits to be useful and no more, with an en dash where there is none. Of names, characters that no page or SVG
file may hold become U+FFFD.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import JsonValue

NONE = "–"
HUGE = 1e9
"""Least number that is written as a power of ten, since more digits would say no more."""
LEAST_BOUND = 1e-4
"""Least bound of an interval that is told from 0."""
MOST_OF_A_SETTING = 60
"""Characters shown."""
TIME_UNITS = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
"""Units of time in seconds, the longest first."""
_SYMBOLS = {"hours": "h", "minutes": "min", "seconds": "s"}


def number(value: float | None) -> str:
    """Writes three significant digits, two decimals below 10, whole numbers from 1,000 on, powers of ten from a billion on."""
    if value is None or not math.isfinite(value):
        return NONE
    size = abs(value)
    if size >= HUGE:
        return _minus(f"{value:.2e}")
    if size >= 999.5:
        return _minus(f"{value:,.0f}")
    if size >= 99.95:
        return _minus(f"{value:.0f}")
    return _minus(f"{value:.1f}" if size >= 9.995 else f"{value:.2f}")


def rounded(value: float) -> float:
    """Rounds the value as `number` shows it, so that values which a reader sees as equal are equal. NaN for none."""
    text = number(value)
    return math.nan if text == NONE else float(text.replace("−", "-").replace(",", ""))


def whole(value: float) -> str:
    """Writes a whole number, such as of env steps."""
    if not math.isfinite(value):
        return NONE
    return _minus(f"{value:.2e}" if abs(value) >= HUGE else f"{value:,.0f}")


def whole_span(low: float, high: float) -> str:
    """Writes `span` in whole numbers."""
    return NONE if math.isnan(low) or math.isnan(high) else f"{whole(low)} to {whole(high)}"


def span(low: float, high: float) -> str:
    """Writes an interval's bounds, so that each shows on which side of 0 it lies, or an en dash where there is no interval."""
    return NONE if math.isnan(low) or math.isnan(high) else f"{_bound(low)} to {_bound(high)}"


def _bound(value: float) -> str:
    """Writes a number, and one that would be rounded to 0 with one significant digit."""
    return _minus(f"{value:.1g}") if LEAST_BOUND <= abs(value) < 0.005 else number(value)


def percent(value: float | None, digits: int = 0) -> str:
    """Writes a share as per cent: without decimals from 100 % on, in powers of ten where it would be too long to read."""
    if value is None or not math.isfinite(value):
        return NONE
    if abs(value) >= HUGE / 100:
        return _minus(f"{100 * value:.2e}") + "\u00a0%"
    return _minus(f"{100 * value:.{digits if abs(value) < 0.9995 else 0}f}") + "\u00a0%"


def time_unit(seconds: float) -> str:
    """Returns the longest unit of which it is at least 1½, else seconds."""
    return next((unit for unit, size in TIME_UNITS.items() if seconds >= 1.5 * size), "seconds")


def duration(seconds: float) -> str:
    """Writes "45 s", "12 min", "3.4 h"; an en dash for none."""
    if math.isnan(seconds) or seconds == 0.0:
        return NONE
    unit = time_unit(seconds)
    value = seconds / TIME_UNITS[unit]
    text = f"{value:,.0f}" if value >= 9.5 else f"{value:.1f}" if value >= 0.1 else "< 0.1"
    return f"{text}\u00a0{_SYMBOLS[unit]}"


def probability(value: float) -> str:
    """Writes a p-value; never a bare zero."""
    if math.isnan(value):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def p_sign(value: float) -> str:
    """Writes "= 0.012", or "< 0.001"."""
    return probability(value) if value < 0.001 else f"= {probability(value)}"


def corrected(tests: int, looks: int) -> str:
    """Writes ", corrected for 6 comparisons and 2 looks", as far as there are several; else nothing."""
    reasons = [counted(tests, "comparison")] * (tests > 1) + [f"{looks} looks"] * (looks > 1)
    return f", corrected for {listed(reasons)}" if reasons else ""


def counted(count: int, noun: str) -> str:
    """Writes "1 game", "3 games"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def runs(fewest: int, most: int) -> str:
    """Writes runs per game: "5", or "3–5" where games differ."""
    return str(fewest) if fewest == most else f"{fewest}–{most}"


def each(fewest: int, most: int) -> str:
    """Tells how many seeds each game has: "1 seed each", "3–5 seeds each"."""
    return f"{runs(fewest, most)} {'seed' if most == 1 else 'seeds'} each"


def listed(names: list[str]) -> str:
    """Writes "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


MOST_NAMES = 4
"""Most names that a sentence lists."""


def listed_or_counted(names: list[str], noun: str) -> str:
    """Writes "a, b and c", or "5 games" where names are many."""
    return listed(names) if len(names) <= MOST_NAMES else counted(len(names), noun)


def _minus(text: str) -> str:
    if text.startswith("-"):
        return text[1:] if not text.strip("-0.,") else "−" + text[1:]
    return text


_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Controls that XML forbids, direction overrides that make a name read as another, lone surrogates, non-characters."""


def printable(text: str) -> str:
    """Returns the text with every forbidden character replaced; line ends stay."""
    return _FORBIDDEN.sub("\ufffd", text)


def label(text: object) -> str:
    """Writes a name on one line."""
    return printable(" ".join(str(text).split()))


def short(name: str, length: int = 30) -> str:
    """Shortens a name for a label: cut where it is too long for any figure."""
    return name if len(name) <= length else name[: length - 1] + "…"


METHOD_CLASS = re.compile("m-[0-9a-f]{8}")


def method_class(method: str) -> str:
    """Returns the class of everything on a page that shows a method alone, made of characters that neither CSS nor XML minds."""
    return f"m-{zlib.crc32(method.encode()):08x}"


def setting(value: JsonValue) -> str:
    """Writes a value of a setting on one short line; None is the default."""
    if value is None:
        return "the default"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return short(text, MOST_OF_A_SETTING)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that is spelled most like it, whatever its case; None if none is."""
    names = {_plain(one): one for one in known}
    match = get_close_matches(_plain(name), names, n=1, cutoff=0.7)
    return names[match[0]] if match else None


def _plain(name: str) -> str:
    return name.replace("_", "").replace(" ", "").casefold()
