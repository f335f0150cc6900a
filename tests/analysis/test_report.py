"""The report as a reader gets it: what it says and refuses, that it is the same each time, that nothing injects into it."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pandas as pd
import pytest
import xtra_analysis
from xtra_analysis import estimate, figures, load, write_report
from xtra_analysis.aggregates import IQM_OF_FEW_GAMES, aggregates_section
from xtra_analysis.analyse import analyse
from xtra_analysis.missing import incomplete_methods
from xtra_analysis.page import Paragraph, Table
from xtra_analysis.precision import precision_section
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS, SyntheticMethod

from xtra.results.run_record import COLLECT_AGAIN

MakeRun = Callable[..., Path]
HOSTILE = "\x0b\u202e</text></svg><script>alert(1)</script>\"'&$x^$ {{ 7*7 }} <img src=x onerror=alert(2)>"


class Elements(HTMLParser):
    """Every tag and attribute of a page, and the text outside them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(report: Path) -> str:
    return (report / "report.html").read_text(encoding="utf-8")


def test_the_first_screen_has_question_answer_figure_table_and_what_is_missing(small_report: Path) -> None:
    page = page_of(small_report)
    first = page[page.index("<header") : page.index("<nav")]
    assert "Does a world model pretrained on similar games" in first
    assert re.search(r"XTRA scored \d+\u00a0% (higher|lower) than EfficientZero \(95 % interval", first)
    assert first.count("<svg") == 1 and first.count("<table") == 1
    assert re.search(r"Missing: \d+ of 48 runs: .*\(diverged\)|\(missing\)", first)


def test_every_cell_without_a_score_is_listed_by_name(small_run: Path, small_report: Path) -> None:
    scores = load(small_run)
    gaps = scores[scores["status"] != "complete"]
    with (small_report / "tables" / "missing.csv").open(newline="") as file:
        listed = {(row["method"], row["game"], int(row["seed"]), row["status"]) for row in csv.DictReader(file)}
    assert len(gaps) > 0
    assert listed == set(gaps[["method", "game", "seed", "status"]].itertuples(index=False, name=None))


def test_equal_rows_and_seed_give_equal_bytes_in_another_process(small_run: Path, small_report: Path, tmp_path: Path) -> None:
    code = "import pathlib, sys, xtra_analysis as x; x.write_report([pathlib.Path(sys.argv[1])], pathlib.Path(sys.argv[2]))"
    subprocess.run([sys.executable, "-c", code, small_run, tmp_path], check=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    ours = {path.relative_to(small_report): path.read_bytes() for path in small_report.rglob("*") if path.is_file()}
    theirs = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert ours == theirs


def test_the_page_is_one_file_that_asks_for_nothing(small_report: Path) -> None:
    page = page_of(small_report)
    elements = Elements(page)
    assert all(link.startswith(("#", "data:")) for link in elements.links)
    assert not elements.tags & {"iframe", "object", "form"} and page.count("<script") == 1
    assert "@import" not in page and not re.search(r"url\((?!#)", page)
    script = page[page.index("<script>") + len("<script>") : page.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:;" in page


def test_ids_are_unique_although_many_figures_are_inlined(small_report: Path) -> None:
    ids = Elements(page_of(small_report)).ids
    assert len(ids) == len(set(ids))


def test_every_figure_has_alt_text_and_a_caption_and_every_table_and_figure_a_file(small_report: Path) -> None:
    page = page_of(small_report)
    assert page.count('role="img"') == page.count("<figure") == len(list((small_report / "figures").glob("*.svg")))
    assert page.count("<figcaption>") + page.count("<summary>") >= page.count("<figure")
    assert page.count('class="block') == len(list((small_report / "tables").glob("*.csv")))
    assert {path.stem for path in (small_report / "figures").glob("*.csv")} == {
        path.stem for path in (small_report / "figures").glob("*.svg")
    }
    for figure in (small_report / "figures").glob("*.svg"):
        assert ElementTree.parse(figure).getroot().get("aria-label")


def test_every_table_and_figure_carries_its_csv_file_in_a_link(small_report: Path) -> None:
    links = dict(re.findall(r'href="data:text/csv;charset=utf-8,([^"]*)" download="([^"]+)"', page_of(small_report)))
    files = [*(small_report / "tables").glob("*.csv"), *(small_report / "figures").glob("*.csv")]
    assert sorted(unquote(link) for link in links) == sorted({path.read_text(encoding="utf-8") for path in files})
    assert set(links.values()) == {path.name for path in files}


def test_captions_and_notes_say_by_themselves_what_they_mean(small_report: Path) -> None:
    page = page_of(small_report)
    assert "The same over" not in page and "IQM of the normalized score over GPU-" in page


def test_no_figure_is_shown_twice(small_report: Path) -> None:
    figures = list((small_report / "figures").glob("*.svg"))
    drawn = re.compile(r' d="[^"]+"|fill:#[0-9a-f]+|>[^<]+<')  # shapes, colours and texts, but no id
    drawings = {tuple(drawn.findall(figure.read_text(encoding="utf-8"))) for figure in figures}
    assert len(drawings) == len(figures) > 8


def test_rows_come_as_parquet_too(small_run: Path, small_report: Path) -> None:
    pd.testing.assert_frame_equal(pd.read_parquet(small_report / "rows" / "scores.parquet"), load(small_run), check_dtype=False)


def test_a_wiring_run_says_so_and_answers_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("wiring", proves="wiring", synthetic=False, protocol="atari-smoke", protocol_name="atari-smoke")
    page = page_of(write_report([run], tmp_path / "out").parent)
    assert "proves the wiring, not learning" in page
    assert "Beside published scores" not in page
    assert "XTRA scored" not in page
    assert "What this study can see" not in page
    assert 'class="number best"' not in page
    assert {path.stem for path in (tmp_path / "out" / "figures").iterdir()} <= {
        "learning_curves",
        "task_weights_0",
        "gradient_similarity_0",
    }
    page = re.sub(r'href="data:[^"]*"', "", page)
    for word in ("IQM", "Normalized", "normalized", "P(better)", "p, corrected", "95 % interval</th>", "×\u00a0EfficientZero"):
        assert word not in page.partition('id="reading"')[0]
    assert "Runs with a score" in page


def test_synthetic_rows_are_marked(small_report: Path) -> None:
    assert '<div class="banner" role="note">Synthetic' in page_of(small_report)


def test_a_study_without_any_score_still_has_a_report(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("empty")
    for name in ("scores", "curves", "episodes", "costs", "task_weights"):
        path = run / f"{name}.csv"
        path.write_text(path.read_text().splitlines()[0] + "\n")
    page = page_of(write_report([run], tmp_path / "out").parent)
    assert "No run has finished yet" in page


def test_an_empty_file_is_said_to_be_empty_once(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run")
    (run / "curves.csv").write_text("")
    with pytest.raises(xtra_analysis.InputError) as caught:
        load(run)
    assert str(caught.value) == f"{run / 'curves.csv'}: is empty. {COLLECT_AGAIN}"
    (run / "scores.csv").unlink()
    with pytest.raises(xtra_analysis.InputError, match=r"has no scores.csv. Collect the run again: `xtra-bench run SUITE` rewr"):
        load(run)


def test_one_seed_and_one_method_have_a_report_that_says_what_it_lacks(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("single", methods=METHODS[:1], seeds=range(1))
    page = page_of(write_report([run], tmp_path / "out").parent)
    assert "one seed gives no interval" in page
    assert "One seed has no spread to reckon from" in page


def test_games_of_unknown_human_score_are_left_out_of_normalized_scores_by_name(small_report: Path, small_run: Path) -> None:
    assert "Left out here, for want of such a reference: Carnival" in page_of(small_report)
    assert load(small_run).query("game == 'Carnival'")["normalized"].isna().all()


def test_hostile_labels_stay_labels(make_run: MakeRun, tmp_path: Path) -> None:
    hostile = [dataclasses.replace(method, name=f"{method.name} {HOSTILE}") for method in METHODS[:3]]
    run = make_run(
        "hostile",
        methods=[SyntheticMethod("EfficientZero", "efficientzero", "plain", 1.0), *hostile[1:]],
        games=("Alien", HOSTILE),
        question=HOSTILE,
        suite=HOSTILE,
        protocol_summary=HOSTILE,
    )
    info = json.loads((run / "run.json").read_text())
    info["provenance"]["suite_text"] = HOSTILE
    (run / "run.json").write_text(json.dumps(info))

    report = write_report([run], tmp_path / "out").parent

    elements = Elements(page_of(report))
    assert "img" not in elements.tags and page_of(report).count("<script") == 1
    assert not {name for name in elements.attributes if name.startswith("on")}
    assert elements.text.count("<script>alert(1)</script>") > 10
    assert "{{ 7*7 }}" in elements.text
    for figure in (report / "figures").glob("*.svg"):
        assert {element.tag.split("}")[-1] for element in ElementTree.parse(figure).getroot().iter()}.isdisjoint(
            {"script", "img"}
        )


def test_only_a_study_of_some_size_says_which_differences_it_can_see_and_counts_the_fewest_seeds(
    make_run: MakeRun, small_report: Path, tmp_path: Path
) -> None:
    assert "This one has 4 seeds × 3 games: too few to know how far seeds spread" in page_of(small_report)
    assert not (small_report / "tables" / "seeds_needed.csv").exists()
    games = ("Alien", "Amidar", "Assault", "Asterix", "BankHeist", "BattleZone", "Boxing", "Breakout", "Freeway", "Frostbite")
    run = make_run("large", games=games, seeds=range(6))
    rows = pd.read_csv(run / "scores.csv", keep_default_na=False)
    lost = (rows["game"] == "Alien") & (rows["method"] == "XTRA") & (rows["seed"] > 3)
    rows[~lost].to_csv(run / "scores.csv", index=False)
    page = page_of(write_report([run], tmp_path / "large").parent)
    assert re.search(r"With 4 seeds × 10 games this study can see differences of [\d.]+\u00a0% between two methods at best", page)


def test_methods_that_lack_the_same_games_are_told_of_in_one_sentence(make_run: MakeRun) -> None:
    run = make_run("run", methods=METHODS[:3], games=("Alien", "Amidar"), seeds=range(2))
    rows = pd.read_csv(run / "scores.csv", keep_default_na=False)
    first, second = [name for name in rows["method"].unique() if name != "EfficientZero"][:2]
    rows[~((rows["game"] == "Amidar") & rows["method"].isin([first, second]))].to_csv(run / "scores.csv", index=False)
    (warning,) = incomplete_methods(analyse(read_study([run])))
    assert warning.text.startswith(f"No score on Amidar: {first} and {second}. Their aggregates are over other games")


def test_only_an_iqm_of_two_to_four_games_is_said_to_depend_on_the_number_of_runs(make_run: MakeRun) -> None:
    games = ("Alien", "Amidar", "Assault", "Asterix", "BankHeist")
    for count in (1, 2, 4, 5):
        section = aggregates_section(analyse(read_study([make_run(f"{count}", games=games[:count], seeds=range(2))])))
        assert section is not None
        (table,) = (block for block in section.blocks if isinstance(block, Table))
        assert (IQM_OF_FEW_GAMES in table.notes) == (1 < count < 5)


def test_games_whose_runs_differ_too_much_for_a_relative_spread_are_named(make_run: MakeRun) -> None:
    games = ("Alien", "Amidar", "Assault", "Asterix", "BankHeist", "BattleZone", "Boxing", "Breakout", "Freeway", "Frostbite")
    run = make_run("run", games=(*games, "Gopher"), seeds=range(5))
    rows = pd.read_csv(run / "scores.csv", keep_default_na=False)
    in_gopher = rows["game"] == "Gopher"
    rows.loc[in_gopher, "score"] = 100.0 * (-1.0) ** rows.loc[in_gopher, "seed"]
    rows.to_csv(run / "scores.csv", index=False)
    section = precision_section(analyse(read_study([run])))
    assert section is not None and isinstance(section.blocks[0], Paragraph)
    text = section.blocks[0].text
    assert "With 4 seeds × 10 games" in text
    assert text.endswith("That leaves out Gopher, where no method's mean is clear of 0.")


def test_recollected_numbers_are_labelled_and_enter_no_estimate(
    small_report: Path, small_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "recollected, unverified" in page_of(small_report)
    svg = (small_report / "figures" / "published.svg").read_text(encoding="utf-8")
    assert "recollected, unverified" in svg and "<pattern" in svg
    monkeypatch.setattr("xtra_analysis.published.published_scores", lambda: ())
    without = write_report([small_run], tmp_path / "out").parent
    for table in ("overview", "aggregates", "comparison", "game_ratios", "ablations", "games"):
        assert (without / "tables" / f"{table}.csv").read_bytes() == (small_report / "tables" / f"{table}.csv").read_bytes()


def test_figures_are_made_without_any_screen_state(small_run: Path) -> None:
    import matplotlib.pyplot as plt

    before = {key: value for key, value in plt.rcParams.items() if key != "backend"}
    figure = figures.aggregates(estimate(load(small_run), reps=200))
    assert [axes.get_title(loc="left") for axes in figure.axes][:2] == ["IQM", "Median"]
    assert plt.get_fignums() == []
    assert {key: value for key, value in plt.rcParams.items() if key != "backend"} == before


def test_neither_torch_nor_a_browser_is_needed_and_the_command_line_loads_no_pandas() -> None:
    code = "import sys, xtra_analysis; assert 'torch' not in sys.modules; print(len(xtra_analysis.__all__))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) == len(xtra_analysis.__all__)
    code = "import sys, xtra.cli.report, xtra.results.finish; assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_flavour_of_which_no_scores_are_known_is_named(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run("flavours", games=("Alien", "Assault", "Breakout@mode=12,difficulty=1"))
    page = page_of(write_report([run], tmp_path / "report").parent)
    assert "Left out here, for want of such a reference: Breakout@mode=12,difficulty=1" in page
