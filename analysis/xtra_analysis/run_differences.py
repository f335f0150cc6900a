"""Differences between two runs: their suites and settings, the code that made their results, and the machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from xtra.results.run_record import MethodRecord, RunRecord
from xtra_analysis.text import setting

UNCOMMITTED = "uncommitted changes"
"""As `made_by` says it of code that no commit holds."""

Topic = Literal["settings", "code", "machine"]


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in both runs, as text."""

    topic: Topic
    name: str
    before: str
    after: str


def run_differences(before: RunRecord, after: RunRecord) -> list[Difference]:
    """Lists everything in two `run.json` that could make scores differ."""
    return [*_suite(before, after), *_methods(before, after), *_origins(before, after)]


def hidden_changes(before: RunRecord, after: RunRecord) -> str | None:
    """Warns where equal commits need not be equal code."""
    both = set(before.provenance.made_by) & set(after.provenance.made_by)
    if not any(UNCOMMITTED in made_by for made_by in both):
        return None
    return "Both runs were made with uncommitted changes; those may differ although the commit is the same."


def _suite(before: RunRecord, after: RunRecord) -> Iterator[Difference]:
    for name in ("suite", "suite_version", "protocol", "preset", "games", "seeds", "baseline"):
        yield from _difference("settings", name, _value(getattr(before, name)), _value(getattr(after, name)))
    for path in dict.fromkeys([*before.command_line, *after.command_line]):
        yield from _difference(
            "settings", f"--set {path}", before.command_line.get(path), after.command_line.get(path), "not set"
        )


def _methods(before: RunRecord, after: RunRecord) -> Iterator[Difference]:
    earlier, later = ({method.name: method for method in record.methods} for record in (before, after))
    for name in dict.fromkeys([*earlier, *later]):
        if name in earlier and name in later:
            yield from _method(earlier[name], later[name])
        else:
            there, here = ("there" if name in methods else "absent" for methods in (earlier, later))
            yield Difference("settings", f"method {name}", there, here)


def _method(before: MethodRecord, after: MethodRecord) -> Iterator[Difference]:
    if before.agent != after.agent:
        yield Difference("settings", f"{before.name}: agent", before.agent, after.agent)
    if before.identity is None or after.identity is None:
        if before.identity is not after.identity:
            there, here = ("not recorded" if method.identity is None else "recorded" for method in (before, after))
            yield Difference("settings", f"{before.name}: what it is", there, here)
        return
    differences = list(before.identity.differences(after.identity))
    for name, old, new in differences:
        if name != "agent":
            topic: Topic = "code" if name.startswith("version of stage") else "settings"
            yield Difference(topic, f"{before.name}: {name}", setting(old), setting(new))
    if not differences and before.identity.digest != after.identity.digest:
        yield Difference("settings", f"{before.name}: its jobs", before.identity.digest, after.identity.digest)


def _origins(before: RunRecord, after: RunRecord) -> Iterator[Difference]:
    earlier, later = before.provenance, after.provenance
    yield from _difference("code", "results made by", "; ".join(earlier.made_by), "; ".join(later.made_by), "not known")
    yield from _difference("machine", "hardware", "; ".join(earlier.hardware), "; ".join(later.hardware), "not known")
    yield from _difference("machine", "platform of the collector", earlier.platform, later.platform, "not known")


def _difference(topic: Topic, name: str, before: JsonValue, after: JsonValue, missing: str = "none") -> Iterator[Difference]:
    if before != after:
        there, here = (missing if value in (None, "") else setting(value) for value in (before, after))
        yield Difference(topic, name, there, here)


def _value(value: JsonValue | tuple[JsonValue, ...]) -> JsonValue:
    return list(value) if isinstance(value, tuple) else value
