"""Names that say one thing: no two classes share one, and a local says what it holds."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATHS = sorted(path for folder in ("xtra", "analysis") for path in (ROOT / folder).rglob("*.py"))
PROSE = sorted(
    path
    for folder, ending in (("docs", "md"), ("suites", "*"), ("results", "md"), ("analysis", "j2"), ("examples", "py"))
    for path in (ROOT / folder).rglob(f"*.{ending}")
    if path.is_file()
)
MODULES = [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in PATHS]


def test_no_two_classes_have_one_name() -> None:
    homes = defaultdict(list)
    for path, module in MODULES:
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(ROOT)))
    assert len(homes) > 100
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_no_local_is_called_by_a_bare_participle() -> None:
    """`found` and its like say that something happened to a value, not what it is."""
    bare = {"found", "wanted", "theirs", "said", "told", "sought", "meant"}
    names = [
        f"{path.relative_to(ROOT)}:{node.lineno} {name}"
        for path, module in MODULES
        for node in ast.walk(module)
        if (name := node.arg if isinstance(node, ast.arg) else node.id if isinstance(node, ast.Name) else "") in bare
    ]
    assert names == []


def test_normalize_is_spelled_in_one_way() -> None:
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "ARCHITECTURE.md", *PATHS, *PROSE]
    assert len(PROSE) > 50
    assert [str(path.relative_to(ROOT)) for path in files if "ormalis" in path.read_text(encoding="utf-8")] == []
