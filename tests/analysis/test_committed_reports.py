"""Committed report pages are what their rows give today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from xtra_analysis import write_report
from xtra_analysis.site import find_studies

ROOT = Path(__file__).parents[2]
SYNTHETIC = ROOT / "examples" / "synthetic_study"
STUDIES = find_studies([ROOT / "results" / "ours"])


def assert_same_page(committed: Path, made: Path, remedy: str) -> None:
    """Compares two pages byte for byte; without their figures where matplotlib is not the version that drew the committed one."""
    pages = [path.read_text(encoding="utf-8") for path in (committed, made)]
    if f"matplotlib=={matplotlib.__version__}\n" not in (ROOT / "constraints.txt").read_text(encoding="utf-8"):
        pages = [re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL) for page in pages]
    assert pages[0] == pages[1], f"make it anew: {remedy}"


@pytest.mark.pinned
@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_the_page_of_a_study_of_ours_follows_from_its_rows(study: Path, tmp_path: Path) -> None:
    page = write_report([study], tmp_path)
    assert_same_page(study / "report.html", page, f"xtra-bench report results/ours/{study.name}")


def test_every_study_of_ours_says_how_it_was_made() -> None:
    folders = {path for path in (ROOT / "results" / "ours").iterdir() if path.is_dir()}
    assert folders == set(STUDIES) and len(STUDIES) >= 3
    for study in STUDIES:
        how = (study / "HOW.md").read_text(encoding="utf-8")
        assert f"xtra-bench report results/ours/{study.name} " in how


@pytest.mark.pinned
def test_the_report_of_a_synthetic_study_is_what_the_script_makes_today(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "examples" / "make_synthetic_report.py", tmp_path], check=True)
    files = [{path.relative_to(root) for path in root.rglob("*") if path.is_file()} for root in (SYNTHETIC, tmp_path)]
    assert files[0] == files[1]
    for table in sorted((SYNTHETIC / "tables").iterdir()):
        committed, made = (pd.read_csv(root / "tables" / table.name) for root in (SYNTHETIC, tmp_path))
        pd.testing.assert_frame_equal(committed, made, rtol=1e-6, obj=table.name)
    assert_same_page(SYNTHETIC / "report.html", tmp_path / "report.html", "python examples/make_synthetic_report.py")
