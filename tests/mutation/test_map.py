"""The map of the mutation run keeps up with files that move."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAP = tomllib.loads((ROOT / "benchmarks" / "mutation" / "map.toml").read_text())


@pytest.mark.parametrize("prefix", MAP["tests"])
def test_mapped_files_and_their_tests_exist(prefix: str) -> None:
    assert (ROOT / prefix).exists()
    assert [test for test in MAP["tests"][prefix] if not (ROOT / test).exists()] == []


@pytest.mark.parametrize("stratum", MAP["strata"])
def test_every_file_that_is_mutated_has_tests(stratum: str) -> None:
    files = [str(path.relative_to(ROOT)) for pattern in MAP["strata"][stratum]["files"] for path in ROOT.glob(pattern)]
    assert files
    assert [file for file in files if not file.startswith(tuple(MAP["tests"]))] == []
