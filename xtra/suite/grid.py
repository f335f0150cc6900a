"""`grid`: one method written once, compared under every combination of some settings, each as a method of its own.

    - name: XTRA
      grid:
        agent.search.num_simulations: [8, 16]
        transfer.data.part: [early, late]

is four methods: `XTRA, num_simulations=8, part=early` and so on, the last setting varying fastest.
"""

from __future__ import annotations

import json
import math
from itertools import product
from typing import Any, TypeGuard

from xtra.suite.diagnostics.document import DataPath, Document
from xtra.suite.diagnostics.errors import Location, Problem

MAX_VARIANTS = 100
"""Most variants of one method; a suite has no more methods."""


def expand_grids(document: Document) -> None:
    """Replaces every method that has a `grid` by its variants. What is no grid is left to the checks of the suite's shape."""
    methods = document.data.get("methods")
    if not isinstance(methods, list):
        return
    expanded: list[Any] = []
    origins: list[int] = []
    for index, method in enumerate(methods):
        variants = _variants(document, index, method)
        expanded += variants
        origins += [index] * len(variants)
    if len(expanded) != len(methods) or expanded != methods:
        document.data["methods"] = expanded
        for locations in (document.values, document.keys):
            _follow(locations, origins)


def _variants(document: Document, index: int, method: Any) -> list[Any]:
    """Returns a method's variants, or the method itself."""
    grid = method.get("grid") if isinstance(method, dict) else None
    if not _is_grid(grid) or not isinstance(method.get("name"), str) or not isinstance(method.get("set", {}), dict):
        return [method]
    count = math.prod(map(len, grid.values()))
    if count > MAX_VARIANTS:
        location = document.key_location(("methods", index, "grid"))
        document.problems.append(Problem(location, f"grid makes {count:,} methods", f"at most {MAX_VARIANTS}"))
        return [{name: value for name, value in method.items() if name != "grid"}]
    return [_variant(method, dict(zip(grid, values, strict=True))) for values in product(*grid.values())]


def _is_grid(grid: Any) -> TypeGuard[dict[str, list[Any]]]:
    return isinstance(grid, dict) and bool(grid) and all(isinstance(values, list) and values for values in grid.values())


def _variant(method: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    last_words = [path.rpartition(".")[2] for path in settings]
    # `a.size` and `b.size` would make equal names.
    words = last_words if len(set(last_words)) == len(last_words) else list(settings)
    values = (value if isinstance(value, str) else json.dumps(value).replace("/", "|") for value in settings.values())
    label = ", ".join(f"{word}={value}" for word, value in zip(words, values, strict=True))
    kept = {name: value for name, value in method.items() if name != "grid"}
    return {**kept, "name": f"{method['name']}, {label}", "set": {**method.get("set", {}), **settings}}


def _follow(locations: dict[DataPath, Location], origins: list[int]) -> None:
    """Gives every method the locations of the one that it was made from; a setting of its grid gets that of the grid's entry."""
    of_method: dict[int, dict[DataPath, Location]] = {}
    for path in [path for path in locations if len(path) > 1 and path[0] == "methods" and isinstance(path[1], int)]:
        of_method.setdefault(int(path[1]), {})[path[2:]] = locations.pop(path)
    for index, origin in enumerate(origins):
        for rest, location in of_method.get(origin, {}).items():
            locations["methods", index, *rest] = location
            if len(rest) == 2 and rest[0] == "grid":
                locations["methods", index, "set", rest[1]] = location
