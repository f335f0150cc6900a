"""From a suite file and the command line to a SuiteSpec: strict, and every mistake at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xtra.suite import check, check_sources, network_files
from xtra.suite.document import DataPath, Document, parse, read_text
from xtra.suite.errors import Place, Problem, SuiteError
from xtra.suite.include import include_methods
from xtra.suite.overrides import Override, apply_to_document, parse_override
from xtra.suite.shape import repaired, shape_problems
from xtra.suite.spec import SuiteSpec

__all__ = ["SuiteError", "load_suite", "validate_document"]

SKELETON = "a suite names suite, version, question, protocol, preset, seeds, targets and methods; see suites/README.md"


def load_suite(path: Path | str, overrides: Iterable[str] = (), seeds: Sequence[int] | None = None) -> SuiteSpec:
    """The suite in a file, with the command line's `--set` texts and `--seeds` applied.

    A `--set` whose path starts with a field of the suite changes that field; any other is a setting of every method whose agent
    has it, and wins over everything in the file. Raises SuiteError with every problem found.
    """
    document = parse(read_text(Path(path)), str(path))
    changes = _parsed(overrides)
    if isinstance(document.data, dict):
        apply_to_document(document, changes)
        if seeds is not None:
            document.put(("seeds",), list(seeds), Place("--seeds", text=",".join(map(str, seeds))))
        include_methods(document, Path(path).parent)
        network_files.anchor(document, Path(path).parent)
    spec = validate_document(document, [change for change in changes if not change.addresses_suite])
    return spec.model_copy(update={"changed_fields": {change.path: change.value for change in changes if change.addresses_suite}})


def validate_document(document: Document, overrides: Sequence[Override] = ()) -> SuiteSpec:
    """The suite that a document describes. Raises SuiteError with every problem found."""
    if document.data is None:
        raise SuiteError([Problem(Place(document.source), "is empty", SKELETON)])
    if not isinstance(document.data, dict):
        raise SuiteError([Problem(document.place(()), "the top level is not a mapping of keys to values", SKELETON)])
    broken = shape_problems(document)
    known_places = {problem.place for problem in document.problems}
    problems = [*document.problems, *(p for _, p in broken if p.place not in known_places)]
    spec = _spec(repaired(document.data, [path for path, _ in broken]))
    if spec is not None:
        problems += _content_problems(spec, document, overrides, [path for path, _ in broken])
    if problems or spec is None:
        raise SuiteError(problems)
    return _with_settings(spec, overrides)


def _parsed(overrides: Iterable[str]) -> list[Override]:
    changes: list[Override] = []
    problems: list[Problem] = []
    for text in overrides:
        try:
            changes.append(parse_override(text))
        except SuiteError as error:
            problems += error.problems
    if problems:
        raise SuiteError(problems)
    return changes


def _spec(data: dict[str, Any]) -> SuiteSpec | None:
    """JSON mode, because strict validation reads lists as tuples only there. None when the repair was not enough."""
    try:
        return SuiteSpec.model_validate_json(json.dumps(data))
    except ValidationError:
        return None


def _content_problems(
    spec: SuiteSpec, document: Document, overrides: Sequence[Override], broken: Sequence[DataPath]
) -> list[Problem]:
    """The problems of `xtra.suite.check`, but for those about values whose shape was wrong already."""
    checks = (check.names, check.labels, check.duplicates, check.families, check.cycles)
    found = [pair for run in checks for pair in run(spec, document)]
    found += check.settings(spec, document, overrides)
    if not found and not broken and not document.problems:
        changed = _with_settings(spec, overrides)
        found += [*check.combinations(changed, document), *check_sources.sources(changed, document)]
        found += network_files.networks(changed, document)
        if not found:
            found += check.idle_runs(changed, document)
    known_places = {problem.place for problem in document.problems}
    return [
        problem
        for path, problem in found
        if problem.place not in known_places and not any(path[: len(prefix)] == prefix for prefix in broken)
    ]


def _with_settings(spec: SuiteSpec, overrides: Sequence[Override]) -> SuiteSpec:
    return spec.model_copy(update={"command_line": {change.path: change.value for change in overrides}})
