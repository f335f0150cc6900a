"""Every page's commands and snippets work, typed in order from an empty directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from snippets import Block, blocks, check_command, run_block, run_page

DOCS = Path(__file__).parents[2] / "docs"
ELSEWHERE = {"python.md"}
"""A page whose examples tests/api runs."""

PAGES = [path for path in sorted(DOCS.rglob("*.md")) if path.name not in ELSEWHERE]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_a_page_works_as_it_is_written(path: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # no consent to plugins was given before
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "store").symlink_to(store)  # pages that run the same suite share its jobs
    run_page(path.read_text(encoding="utf-8"), tmp_path)


def test_blocks_are_found_with_titles_and_orders() -> None:
    page = 'a\n<!-- test: add --seeds 0 -->\n```sh\nls\n```\n\n```yaml title="b.yaml"\nc: 1\n```\n'
    assert blocks(page) == [Block("sh", None, "ls\n", "add", "--seeds 0"), Block("yaml", "b.yaml", "c: 1\n")]


def test_a_wrong_output_a_failing_command_and_a_wrong_option_are_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="printed: 1"):
        run_page("```sh\necho 1\n```\n```text\n2\n```\n", tmp_path)
    with pytest.raises(AssertionError, match="no such thing"):
        run_block(Block("sh", None, "echo no such thing; false\necho later\n"), tmp_path)
    with pytest.raises(Exception, match="--sed"):
        check_command(["run", "quick", "--sed", "1"])
    with pytest.raises(AssertionError, match="rum"):
        check_command(["rum", "quick"])
