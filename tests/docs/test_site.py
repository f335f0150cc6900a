"""The documentation site builds without a warning, and what it says of code and figures is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from xtra_analysis.time_to_threshold import env_steps_to_threshold

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LOADED = re.compile(r"<(?:script|img|link|source)\b[^>]*?(?:src|href)=\"?(https?:[^\s\">]+)")
"""What a page fetches from elsewhere when it is opened."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    # -P: what is described is the installed package, not the checkout, whose engine may not be built.
    command = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", directory]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def text_of(site: Path, page: str) -> str:
    return (site / page / "index.html").read_text(encoding="utf-8")


def test_every_page_needs_nothing_from_the_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = LOADED.findall(page.read_text(encoding="utf-8"))
        assert not loaded, f"{page.relative_to(site)} loads {loaded}"


def test_links_out_of_docs_lead_to_pages_and_files_of_the_site(site: Path) -> None:
    assert 'href="suites/"' in text_of(site, ".")
    assert (site / "results" / "ours" / "perf_search_cpu.json").is_file()


def test_formulas_are_drawn_by_the_browser_alone(site: Path) -> None:
    assert text_of(site, "explanation/method").count("<math") == (DOCS / "explanation" / "method.md").read_text().count("```math")


def test_the_reference_holds_settings_commands_rows_and_names(site: Path) -> None:
    assert "MuZero: 1.25." in text_of(site, "reference/settings")
    assert "xtra-bench perf search" in text_of(site, "reference/commands")
    assert "task_weights.csv" in text_of(site, "reference/rows")
    python = text_of(site, "reference/python")
    assert "Searches from every root of a batch" in python
    assert "<li>" in python.split("Searches from every root of a batch")[1][:900]


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: str(path.relative_to(DOCS)))
def test_names_of_code_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for file in re.findall(r"`((?:xtra|tests|analysis|examples|benchmarks)/[\w/.]+\.\w+)`", text):
        assert (ROOT / file).is_file(), file
    for name in re.findall(r"`(xtra(?:_analysis)?(?:\.\w+)+)`", text):
        assert exists(name), name


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, _, attribute = name.rpartition(".")
    try:
        import_module(name)
    except ModuleNotFoundError:
        return hasattr(import_module(module), attribute)
    return True


def test_the_speed_of_the_search_is_what_was_measured() -> None:
    measured = json.loads((ROOT / "results" / "ours" / "perf_search_cpu.json").read_text())["tree_only"]
    rows = []
    for entry in measured:
        if entry["num_threads"] == 1:
            speeds = [entry["engines"][engine]["simulations_per_second"] / 1e6 for engine in ("xtra", "xtra_gumbel")]
            peers = ("xtra/lightzero", "xtra/lightzero_search", "xtra/mctx_muzero", "xtra_gumbel/mctx_gumbel")
            figures = [*speeds, *(entry["times_faster"][peer] for peer in peers)]
            rows.append(" | ".join([str(entry["batch"]), *(f"{figure:.2g}" for figure in figures)]))
    assert len(rows) == 3
    for row in rows:
        assert f"| {row} |" in (DOCS / "search.md").read_text(encoding="utf-8")


def test_the_readme_is_short_and_tells_what_the_committed_rows_say() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    words = [word for word in text.split() if any(letter.isalnum() for letter in word)]  # bars of tables are none
    assert len(words) < 1_000
    # Where the rows are measured again, the figure is drawn again, too: python docs/site/figure.py
    curves = pd.read_csv(ROOT / "results" / "ours" / "catch_transfer" / "curves.csv")
    steps = env_steps_to_threshold(curves, 0.8).groupby("method")["env_steps"].mean()
    assert f"after {steps['XTRA']:,.0f} env steps on average" in text
    assert f"after {steps['EfficientZero']:,.0f}" in " ".join(text.split())
