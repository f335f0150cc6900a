"""`constraints-lowest.txt`, with which `tox -e lowest` tests, is the lowest versions that pyproject.toml admits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEVELOPMENT = {"dev"}
"""Extras whose packages no test runs on."""


def lowest_versions() -> list[str]:
    """`name==version` for every dependency and extra of pyproject.toml with a lower bound, or a version alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [needed for extra, needed in project["optional-dependencies"].items() if extra not in DEVELOPMENT]
    bounds: dict[str, str] = {}
    for requirement in (*project["dependencies"], *(each for needed in extras for each in needed)):
        if not requirement.startswith("xtra-bench"):
            match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[\w,-]+\])?(?:(?:>=|==)([0-9.]+)(?:,<[0-9.]+)?)?", requirement)
            assert match, requirement
            assert match[2] or match[1] in bounds, f"{requirement}: a dependency says from which version on it is tested"
            bounds.setdefault(match[1], match[2])
    return sorted((f"{name}=={version}" for name, version in bounds.items()), key=str.lower)


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == lowest_versions()
