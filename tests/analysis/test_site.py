"""The site of many runs: every number of the leaderboard leads to the report and the rows that it comes from."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner
from xtra_analysis import InputError, estimate, load
from xtra_analysis.site import find_studies, write_site
from xtra_analysis.synthetic import METHODS, write_synthetic_run
from xtra_analysis.text import number

from xtra.cli.main import app

MakeRun = Callable[..., Path]


class Links(HTMLParser):
    """The links of a page, as (address, text), and its ids."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self._open = False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids |= {named["id"] or ""} if "id" in named else set()
        self._open = tag == "a"
        if self._open:
            self.links.append((named["href"] or "", ""))

    def handle_data(self, data: str) -> None:
        if self._open:
            self.links[-1] = (self.links[-1][0], self.links[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        self._open = False


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one protocol on the same games, one on other games, one that proves the wiring, one invented, one damaged."""
    home = tmp_path_factory.mktemp("runs")
    changes = {"synthetic": False, "question": "Which is better?"}
    write_synthetic_run(home / "first", METHODS[:2], ("Alien", "Assault"), range(3), seed=1, **changes)
    write_synthetic_run(home / "second", METHODS[9:], ("Alien", "Assault"), range(2), seed=2, **changes)
    write_synthetic_run(home / "third", METHODS[:2], ("Alien",), range(2), seed=3, **changes)
    write_synthetic_run(home / "wiring", METHODS[:2], ("Alien",), range(2), **changes, proves="wiring")
    write_synthetic_run(home / "invented", METHODS[:2], ("Alien",), range(2))
    damaged = write_synthetic_run(home / "damaged", METHODS[:2], ("Alien",), range(2))
    (damaged / "run.json").write_text(json.dumps({"schema_version": 1}))
    return home


@pytest.fixture(scope="module")
def site(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(find_studies([runs]), tmp_path_factory.mktemp("site")).parent


def test_every_link_leads_to_a_file_and_a_place_in_it(site: Path) -> None:
    links = Links(site / "index.html")
    pages = {page: Links(page).ids for page in site.glob("*/report.html")}
    pages[site / "index.html"] = links.ids
    assert len(links.links) > 40
    for address, _ in links.links:
        file, _, anchor = address.partition("#")
        target = site / (file or "index.html")
        assert target.is_file(), address
        assert not anchor or anchor in pages[target], address


def test_every_number_is_that_of_the_rows_beside_it(site: Path) -> None:
    with (site / "leaderboard.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    texts = {(address, text) for address, text in Links(site / "index.html").links}
    for row in table:
        scores = pd.read_csv(site / row["rows"])
        own = scores[(scores["method"] == row["method"]) & (scores["status"] == "complete")]
        if row["game"]:
            mean = own.loc[own["game"] == row["game"], "score"].mean()
            assert float(row["score"]) == pytest.approx(mean)
            assert (row["report"], number(mean)) in texts
    assert {row["study"] for row in table} == {"first", "second", "third"}


def test_leaderboards_are_of_one_protocol_and_the_same_games_and_the_best_comes_first(site: Path, runs: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h3>(atari100k: [^<]+)</h3>", page)
    assert titles == ["atari100k: Alien and Assault", "atari100k: Alien"]
    board = page[page.index(titles[0]) : page.index(titles[1] + "<")]
    overall = board[: board.index("Game by game")]
    values = {
        (row.method, study): row.estimate
        for study in ("first", "second")
        for row in estimate(load(runs / study)).query("statistic == 'iqm'").itertuples()
    }
    expected = [method for (method, _), _ in sorted(values.items(), key=lambda item: -item[1])]
    assert re.findall(r'<th scope="row">([^<]+)</th>', overall) == expected
    assert overall.count("number best") == 1


def test_a_method_without_a_score_in_some_game_has_no_place_over_all_of_them(tmp_path: Path) -> None:
    # Nobody's score on the second game can be normalized, so it is no part of an IQM; the third is what XTRA lacks.
    run = write_synthetic_run(tmp_path / "study", METHODS[:2], ("Alien", "Carnival", "Assault"), range(3), synthetic=False)
    rows = pd.read_csv(run / "scores.csv", dtype=str, keep_default_na=False)
    lost = (rows["method"] == "XTRA") & (rows["game"] == "Assault")
    rows.loc[lost, ["status", "score"]] = ["missing", ""]
    rows.to_csv(run / "scores.csv", index=False)
    page = write_site([run], tmp_path / "site").read_text(encoding="utf-8")
    overall = page[page.index("Over all games") : page.index("Game by game")]
    assert re.findall(r'<th scope="row">([^<]+)</th>', overall) == ["EfficientZero"]
    assert "since they lack a score in some: XTRA (study, 1 of 2)." in overall


def test_the_gallery_shows_every_study_that_can_be_read_and_says_why_another_is_not_shown(site: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    assert page.count("<article>") == 5 and page.count('<img src="data:image/svg+xml;base64,') == 5
    assert re.search(r"Not shown: .*damaged/run.json: schema_version 1", page)
    assert "proves the wiring, not learning" in page and "every number here was invented" in page
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_equal_runs_give_equal_bytes_and_runs_of_one_name_folders_of_their_own(make_run: MakeRun, tmp_path: Path) -> None:
    one = make_run("one/same", synthetic=False, games=("Alien",))
    other = make_run("other/same", synthetic=False, games=("Alien",), seeds=range(2))
    sites = [write_site([one, other], tmp_path / name).parent for name in ("a", "b")]
    files = [{path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()} for site in sites]
    assert files[0] == files[1]
    assert {path.parent.name for path in sites[0].glob("*/report.html")} == {"same", "same-2"}


def test_a_directory_of_runs_is_one_study_of_a_site(tmp_path: Path) -> None:
    for name, seeds in (("first", range(2)), ("second", range(2, 4))):
        write_synthetic_run(tmp_path / "studies" / "parted" / name, METHODS[:2], ("Alien",), seeds, synthetic=False)
    write_synthetic_run(tmp_path / "studies" / "single", METHODS[:2], ("Alien",), range(2), synthetic=False)
    assert [path.name for path in find_studies([tmp_path / "studies"])] == ["parted", "single"]
    site = write_site(find_studies([tmp_path / "studies"]), tmp_path / "site").parent
    with (site / "parted" / "scores.csv").open() as file:
        assert {row["seed"] for row in csv.DictReader(file)} == {"0", "1", "2", "3"}


def test_places_without_runs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="holds no run"):
        find_studies([tmp_path])
    monkeypatch.chdir(tmp_path)
    for arguments, message in (([], "neither results/ours nor results/runs here"), ([str(tmp_path)], "holds no run")):
        done = CliRunner().invoke(app, ["site", "out", *arguments])
        assert done.exit_code == 2 and message in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_finds_runs_of_ours_and_others(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in ("ours/study", "runs/suite-20260101-000000-ab"):
        make_run(f"results/{home}", games=("Alien",), methods=METHODS[:1], seeds=range(1))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["site", "out"])
    assert (done.exit_code, done.stdout) == (0, "out/index.html\n")
    assert {path.parent.name for path in Path("out").glob("*/report.html")} == {"study", "suite-20260101-000000-ab"}


def test_runs_that_are_given_in_place_of_the_sites_directory_are_left_as_they_are(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for home in ("study", "parted/one"):
        make_run(f"results/ours/{home}", games=("Alien",), methods=METHODS[:1], seeds=range(1))
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for given, named in (("results/ours", "parted"), ("results/ours/study", "")):
        done = CliRunner().invoke(app, ["site", given])
        assert done.exit_code == 2
        assert f"error: {Path(given, named)} holds a run" in done.stderr
        assert f"`xtra-bench site site {given}`" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
