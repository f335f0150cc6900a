"""Loading of a suite, from a file and the command line: strict, and every mistake at once."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xtra import plugins
from xtra.suite import check, check_transfer
from xtra.suite.check import UNNAMED
from xtra.suite.check_transfer import INIT_FROM
from xtra.suite.diagnostics.document import DataPath, Document, parse, read_text
from xtra.suite.diagnostics.errors import Location, Problem, SuiteError
from xtra.suite.diagnostics.validation import validation_problems
from xtra.suite.grid import expand_grids
from xtra.suite.include import include_methods
from xtra.suite.overrides import Override, apply_to_document, parse_override
from xtra.suite.spec import SuiteFile, SuiteSpec

__all__ = ["SuiteError", "load_suite", "validate_document"]

STAND_INS: Mapping[str, Any] = {
    "suite": "suite",
    "version": 1,
    "question": "?",
    "protocol": "?",
    "preset": "?",
    "seeds": [0],
    "targets": ["?"],
    "methods": [{"name": UNNAMED}],
    "name": UNNAMED,
}
"""Values in place of required ones that are broken, so that the rest of the suite is checked all the same."""

CONSENT = "it would run with your rights: read it, then give --trust-plugins once; only its own change asks again"

SKELETON = "a suite names suite, version, question, protocol, preset, seeds, targets and methods; see suites/README.md"


def load_suite(
    path: Path | str, overrides: Iterable[str] = (), seeds: Sequence[int] | None = None, *, trust_plugins: bool = False
) -> SuiteSpec:
    """Loads the suite in a file, with the command line's `--set` texts and `--seeds` applied.

    A `--set` whose path starts with a field of the suite changes that field; any other is a setting of every method whose agent
    has it, and wins over everything in the file. trust_plugins: run the code that the suite names, and remember the consent; else
    only code that was consented to before. Raises SuiteError with every problem found.
    """
    document = parse(read_text(Path(path)), str(path))
    changes = _parsed(overrides)
    if isinstance(document.data, dict):
        apply_to_document(document, changes)
        if seeds is not None:
            document.put(("seeds",), list(seeds), Location("--seeds", text=",".join(map(str, seeds))))
        include_methods(document, Path(path).parent)
        _load_plugins(document, Path(path).parent, trust_plugins)
        expand_grids(document)
        _resolve_network_paths(document, Path(path).parent)
    spec = validate_document(document, [change for change in changes if not change.addresses_suite])
    return spec.model_copy(update={"changed_fields": {change.path: change.value for change in changes if change.addresses_suite}})


def validate_document(document: Document, overrides: Sequence[Override] = ()) -> SuiteSpec:
    """Makes the suite that a document describes. Raises SuiteError with every problem found."""
    if document.data is None:
        raise SuiteError([Problem(Location(document.source), "is empty", SKELETON)])
    if not isinstance(document.data, dict):
        raise SuiteError([Problem(document.location(()), "the top level is not a mapping of keys to values", SKELETON)])
    broken = validation_problems(document, SuiteFile)
    known_locations = {problem.location for problem in document.problems}
    problems = [*document.problems, *(p for _, p in broken if p.location not in known_locations)]
    spec = _spec(_repaired(document.data, [path for path, _ in broken]))
    if spec is not None:
        problems += _content_problems(spec, document, overrides, [path for path, _ in broken])
    if problems or spec is None:
        raise SuiteError(problems)
    return _with_settings(spec, overrides)


def _load_plugins(document: Document, directory: Path, trusted: bool) -> None:
    """Runs the code that the suite names, all of it or none. Raises SuiteError, also with every other fault of the file's shape;
    without the plugins nobody can tell which of its names exist."""
    references = document.data.get("plugins", [])
    if not isinstance(references, list) or not all(isinstance(reference, str) for reference in references):
        return  # reported with the rest of the file's shape
    located = {reference: document.location(("plugins", index)) for index, reference in enumerate(references)}
    problems: list[Problem] = []
    by_reference: dict[str, plugins.Plugin] = {}
    for reference, location in located.items():
        try:
            by_reference[reference] = plugins.find(reference, directory)
            if not trusted and not plugins.is_trusted(by_reference[reference]):
                problems.append(Problem(location, f"{reference} is code that you have not trusted: none of it was run", CONSENT))
        except plugins.PluginError as error:
            problems.append(Problem(location, str(error), error.remedy))
    for reference, plugin in by_reference.items() if not problems else ():
        try:
            plugins.load(plugin)
        except plugins.PluginError as error:
            problems.append(Problem(located[reference], str(error), error.remedy))
    if problems:
        raise SuiteError([*document.problems, *problems, *(problem for _, problem in validation_problems(document, SuiteFile))])
    for plugin in by_reference.values():
        plugins.trust(plugin)


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
    """Validates data in JSON mode, because strict validation reads lists as tuples only there. None when the repair was not
    enough."""
    try:
        return SuiteSpec.model_validate_json(json.dumps(data))
    except ValidationError:
        return None


def _content_problems(
    spec: SuiteSpec, document: Document, overrides: Sequence[Override], broken: Sequence[DataPath]
) -> list[Problem]:
    """Returns the problems of `xtra.suite.check`, except those about values whose shape was wrong already."""
    checks = (check.names, check.labels, check.duplicates, check.families, check.cycles)
    reported = [pair for run in checks for pair in run(spec, document)]
    reported += check.settings(spec, document, overrides)
    if not reported and not broken and not document.problems:
        changed = _with_settings(spec, overrides)
        reported += [*check.settings_of_others(changed, document), *check.combinations(changed, document)]
        reported += [*check_transfer.sources(changed, document)]
        reported += check_transfer.network_files(changed, document)
        if not reported:
            reported += [*check.actions(changed, document), *check.protocols(changed, document)]
            reported += [*check.runs_without_updates(changed, document)]
    known_locations = {problem.location for problem in document.problems}
    return [
        problem
        for path, problem in reported
        if problem.location not in known_locations and not any(path[: len(prefix)] == prefix for prefix in broken)
    ]


def _with_settings(spec: SuiteSpec, overrides: Sequence[Override]) -> SuiteSpec:
    return spec.model_copy(update={"command_line": {change.path: change.value for change in overrides}})


def _repaired(data: Mapping[str, Any], broken: Iterable[DataPath]) -> dict[str, Any]:
    """Copies the data with every broken value replaced by a stand-in, or left out where it is optional."""
    copied = copy.deepcopy(dict(data))
    for path in broken:
        _repair(copied, path)
    return copied


def _repair(data: Any, path: DataPath) -> None:
    target = data
    for part in path[:-1]:
        inside = target.get(part) if isinstance(target, dict) else target[part]
        if not isinstance(inside, dict | list):
            return
        target = inside
    last = path[-1]
    if isinstance(target, list) and isinstance(last, int):
        target[last] = STAND_INS.get(str(path[0]), ("?",))[0]
    elif isinstance(target, dict) and last in STAND_INS:
        target[str(last)] = copy.deepcopy(STAND_INS[str(last)])
    elif isinstance(target, dict):
        target.pop(last, None)


def _resolve_network_paths(document: Document, directory: Path) -> None:
    """Makes the paths of network files relative to the suite's directory, not to where the command is given."""
    for settings in _settings_blocks(document.data):
        value = settings.get(INIT_FROM)
        if isinstance(value, str):
            settings[INIT_FROM] = str(directory / value)


def _settings_blocks(data: Any) -> Iterator[dict[str, Any]]:
    """Yields every mapping of settings in a suite's data; data of another shape are left to the checks that follow."""
    methods = data.get("methods") if isinstance(data, dict) else None
    for owner in (data, *(methods if isinstance(methods, list) else ())):
        if isinstance(owner, dict) and isinstance(owner.get("set"), dict):
            yield owner["set"]
