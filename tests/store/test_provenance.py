"""A result says which commit made it, however the package was installed."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from xtra.store import provenance
from xtra.store.provenance import BUILD_RECORD, SNAPSHOT_RECORD, code_commit


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that lies outside every checkout."""
    package = tmp_path / "site-packages" / "xtra"
    package.mkdir(parents=True)
    monkeypatch.setattr(provenance, "PACKAGE", package)
    return package


def test_this_installation_knows_its_commit() -> None:
    here = Path(__file__).parent
    if subprocess.run(["git", "-C", here, "rev-parse"], capture_output=True, check=False).returncode:
        pytest.skip("these tests are not in a checkout")
    commit, dirty = code_commit.__wrapped__()
    assert re.fullmatch("[0-9a-f]{40}", str(commit))
    assert isinstance(dirty, bool)


def test_a_wheel_has_the_commit_that_it_was_built_from_and_a_snapshot_the_one_it_was_taken_from(package: Path) -> None:
    (package / BUILD_RECORD).write_text(json.dumps({"git_commit": "built", "git_dirty": False}))
    assert code_commit.__wrapped__() == ("built", False)
    (package.parent / SNAPSHOT_RECORD).write_text(json.dumps({"git_commit": "taken", "git_dirty": True}))
    assert code_commit.__wrapped__() == ("taken", True)


@pytest.mark.parametrize("text", [None, "", "[]", "{}"])
def test_a_package_without_a_record_has_no_commit_and_no_error(package: Path, text: str | None) -> None:
    if text is not None:
        (package / BUILD_RECORD).write_text(text)
    assert code_commit.__wrapped__() == (None, None)
