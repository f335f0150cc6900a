"""The first sentence: it compares like with like, names its games, and concludes nothing that its numbers do not carry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from xtra_analysis import load
from xtra_analysis.analyse import analyse
from xtra_analysis.comparison import comparison_section
from xtra_analysis.costs import seconds_per_run
from xtra_analysis.games import games_section
from xtra_analysis.overview import answer, overview_section
from xtra_analysis.page import Paragraph, Picture, Table
from xtra_analysis.provenance import method_section
from xtra_analysis.report import write_report
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS
from xtra_analysis.text import number, percent

from xtra.results.run_record import Identity

MakeRun = Callable[..., Path]


def write_scores(run: Path, scores: dict[tuple[str, str], list[float]]) -> None:
    """Scores by (method, game), one per seed."""
    table = load(run).drop(columns="normalized")
    table["score"] = [
        scores[method, game][seed] for method, game, seed in table[["method", "game", "seed"]].itertuples(index=False, name=None)
    ]
    table["status"] = "complete"
    table.to_csv(run / "scores.csv", index=False)


def write_partly_usable_scores(run: Path, games: tuple[str, ...]) -> None:
    """XTRA scores more in all games; in the last two one run of EfficientZero's scores nothing, so that they have no ratio."""
    zero, low, high = [0.0, 1.0, 2.0], [10.0, 11.0, 12.0], [20.0, 21.0, 22.0]
    names = {"EfficientZero": (low, zero, zero), "XTRA": (high, low, low)}
    write_scores(run, {(m, game): rows for m, parts in names.items() for game, rows in zip(games, parts, strict=True)})


def test_a_ratio_over_some_of_the_games_names_the_others_and_makes_no_verdict_with_a_test_over_all(make_run: MakeRun) -> None:
    games = ("One", "Two", "Three")
    run = make_run("run", games=games)
    write_partly_usable_scores(run, games)
    sentence = answer(analyse(read_study([run])))
    assert "averaged over 1 of 3 games (Two and Three left out, no ratio there), 3 seeds each." in sentence
    assert "The rank test is over 3 games (p < 0.001), so the two make no verdict together." in sentence
    assert "disagree" not in sentence and "larger than the seeds explain" not in sentence


def test_where_games_have_no_ratio_the_answer_is_the_normalized_score_over_all_of_them(make_run: MakeRun) -> None:
    games = ("Alien", "Amidar", "Assault")
    run = make_run("run", games=games)
    write_partly_usable_scores(run, games)
    sentence = answer(analyse(read_study([run])))
    assert sentence.startswith("XTRA reached a normalized score of ") and ", over 3 games, 3 seeds each." in sentence
    assert "(p < 0.001)" in sentence


def test_a_ratio_raised_by_one_game_and_ranks_that_are_lower_make_no_verdict(make_run: MakeRun) -> None:
    games = ("Alien", "Amidar", "Assault", "Asterix", "BankHeist")
    run = make_run("run", games=games, seeds=range(5))
    runs = [100.0, 101.0, 102.0, 103.0, 104.0]
    scores = {("EfficientZero", game): runs for game in games}
    scores |= {("XTRA", game): [0.9 * score for score in runs] for game in games[1:]}
    write_scores(run, scores | {("XTRA", "Alien"): [5 * score for score in runs]})
    sentence = answer(analyse(read_study([run])))
    assert " higher than EfficientZero" in sentence
    assert "Interval and rank test disagree (p < 0.001), so the question stays open." in sentence


def test_one_seed_is_one_seed_and_a_single_pair_of_runs_is_no_probability(make_run: MakeRun) -> None:
    run = make_run(
        "run", methods=[METHODS[0], METHODS[-1]], games=["Catch"], seeds=range(1), baseline="Random", normalization="maximum"
    )
    write_scores(run, {("EfficientZero", "Catch"): [0.5], ("Random", "Catch"): [-0.5]})
    sentence = answer(analyse(read_study([run])))
    assert ", over 1 game, 1 seed each." in sentence
    assert "probability" not in sentence and "p =" not in sentence


def test_games_without_reference_scores_show_raw_ones_and_their_seeds_on_the_first_screen(make_run: MakeRun) -> None:
    run = make_run("run", methods=[METHODS[0]], games=["Lamps"], seeds=range(1), baseline=None, normalization="maximum")
    write_scores(run, {("EfficientZero", "Lamps"): [7.5]})
    findings = analyse(read_study([run]))
    assert answer(findings).startswith("EfficientZero scored 7.50 on Lamps, the score of one seed.")
    missing, table = overview_section(findings).blocks
    assert isinstance(missing, Paragraph) and missing.text == "Nothing is missing: the one run has a score."
    assert isinstance(table, Table) and [column.heading for column in table.columns] == ["Method", "Raw score, Lamps", "Seeds"]
    assert table.texts == [["EfficientZero", "7.50", "1"]]
    assert table.frame.loc[0, ["min_runs", "max_runs", "mean Lamps"]].tolist() == [1, 1, 7.5]
    for games, headings, said in (
        (("A", "B"), ["Raw score, A", "Raw score, B"], " on B, 3 seeds each. These games have no reference score"),
        ("ABCDE", [], "no game has a reference score to normalize them by"),
    ):
        several = analyse(read_study([make_run("".join(games), games=games, baseline=None)]))
        (table,) = (block for block in overview_section(several).blocks if isinstance(block, Table))
        assert [column.heading for column in table.columns] == ["Method", *headings, "Seeds"]
        assert said in answer(several)


def test_raw_scores_of_a_few_games_answer_with_the_chance_to_beat_the_baseline(make_run: MakeRun) -> None:
    methods = [METHODS[0], METHODS[-1]]
    run = make_run("run", methods=methods, games=["A", "B"], seeds=range(3), baseline="Random", normalization="maximum")
    high, low = [3.0, 4.0, 5.0], [0.0, 1.0, 2.0]
    write_scores(run, {(method.name, game): scores for method, scores in zip(methods, (high, low), strict=True) for game in "AB"})
    assert answer(analyse(read_study([run]))) == (
        "EfficientZero scored 4.00 on A and 4.00 on B, 3 seeds each. These games have no reference score to normalize by. "
        # 1 of 20 orders each, two-sided: p = 2 / 400.
        "A run of it scores higher than one of Random with probability 1.00, ties counting half (p = 0.005)."
    )


def test_what_of_a_suite_was_not_asked_for_is_told_by_name_until_another_run_has_it(make_run: MakeRun) -> None:
    """The first run was asked for (Catch, 0), (Catch, 1) and (CatchWide, 1): no rectangle of games and seeds."""
    first = make_run("first", methods=[METHODS[0]], games=["Catch", "CatchWide"], seeds=range(2), normalization="maximum")
    write_scores(first, {("EfficientZero", "Catch"): [0.5, 0.5], ("EfficientZero", "CatchWide"): [0.5, 0.5]})
    rows = (first / "scores.csv").read_text().splitlines(keepends=True)
    (first / "scores.csv").write_text("".join(row for row in rows if ",CatchWide,0," not in row))
    record = json.loads((first / "run.json").read_text())
    left_out = [["EfficientZero", "Catch", 2], ["EfficientZero", "Catch", 3], ["EfficientZero", "CatchWide", 0]]
    (first / "run.json").write_text(json.dumps(record | {"cells_left_out": left_out}))
    second = make_run("second", methods=[METHODS[0]], games=["CatchWide"], seeds=range(1), normalization="maximum")
    write_scores(second, {("EfficientZero", "CatchWide"): [0.5]})
    told = []
    for runs in ([first], [first, second]):
        line = overview_section(analyse(read_study(runs))).blocks[0]
        assert isinstance(line, Paragraph)
        told.append(line.text)
    begin = "Nothing that was asked for is missing: all {} runs have a score. The suite has {} more runs, not asked for: "
    of_catch = "EfficientZero on Catch, 2 seeds"
    assert told == [begin.format(3, 3) + of_catch + "; EfficientZero on CatchWide, seed 0.", begin.format(4, 2) + of_catch + "."]


def test_a_ratio_to_a_baseline_that_may_score_nothing_is_called_unstable_beside_its_interval(make_run: MakeRun) -> None:
    run = make_run("run", games=("Alien", "Amidar"))
    steady, loose, high = [10.0, 11.0, 12.0], [1.0, 1.0, 9.0], [11.0, 12.0, 13.0]
    sentences = []
    for baseline in (loose, steady):
        scores = {("EfficientZero", "Alien"): steady, ("EfficientZero", "Amidar"): baseline}
        write_scores(run, scores | {("XTRA", "Alien"): high, ("XTRA", "Amidar"): high})
        sentences.append(answer(analyse(read_study([run]))))
    assert "unstable on Amidar), averaged" in sentences[0]
    assert "unstable" not in sentences[1]


def test_one_positive_run_of_the_baseline_is_not_called_one_that_scored_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", games=("Alien",), seeds=range(1))
    write_scores(run, {("EfficientZero", "Alien"): [100.0], ("XTRA", "Alien"): [150.0]})
    page = write_report([run], tmp_path / "report").read_text(encoding="utf-8")
    assert "Not every run of the baseline is above zero" not in page


def test_a_game_without_a_ratio_is_not_called_unstable(make_run: MakeRun) -> None:
    run = make_run("run", games=("Alien", "Amidar"))
    high, loose, below = [10.0, 11.0, 12.0], [1.0, 1.0, 9.0], [-3.0, -2.0, -1.0]
    others = {("EfficientZero", "Alien"): loose, ("EfficientZero", "Amidar"): below}
    write_scores(run, others | {("XTRA", "Alien"): high, ("XTRA", "Amidar"): high})
    section = games_section(analyse(read_study([run])))
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table) and block.name == "game_ratios")
    assert [(row[2] == "–", row[-1]) for row in table.texts] == [(False, "unstable"), (True, "")]


def test_a_ratio_between_scores_below_zero_is_called_arbitrary(make_run: MakeRun) -> None:
    run = make_run("run", games=("Alien", "Amidar"))
    high, positive = [10.0, 11.0, 12.0], [1.0, 1.5, 2.0]
    others = {("EfficientZero", "Alien"): positive, ("EfficientZero", "Amidar"): positive}
    write_scores(run, others | {("XTRA", "Alien"): high, ("XTRA", "Amidar"): [-1.0, 1.0, 2.0]})
    section = comparison_section(analyse(read_study([run])))
    assert section is not None
    warnings = [block.text for block in section.blocks if isinstance(block, Paragraph) and block.warning]
    assert [text for text in warnings if "has its zero" in text] == [
        "Scores can be below zero in Amidar: a ratio there depends on where the game has its zero, and says less than normalized "
        "scores do."
    ]


def test_what_is_over_fewer_games_is_never_called_the_best(make_run: MakeRun) -> None:
    run = make_run("run", games=("Alien", "Amidar"), methods=METHODS[:3])
    names = [method.name for method in METHODS[:3]]
    scores = {
        (name, game): [100.0 + 90.0 * place, 210.0, 320.0] for place, name in enumerate(names) for game in ("Alien", "Amidar")
    }
    write_scores(run, scores | {(names[2], "Alien"): [9_000.0] * 3})
    rows = pd.read_csv(run / "scores.csv")
    rows[(rows["method"] != names[2]) | (rows["game"] != "Amidar")].to_csv(run / "scores.csv", index=False)
    page = overview_section(analyse(read_study([run])))
    (table,) = (block for block in page.blocks if isinstance(block, Table))
    assert [any(cell.best for cell in row.cells) for row in table.rows] == [False, True, False]


def test_a_method_is_described_in_the_words_of_its_suite_or_by_what_sets_it_apart(make_run: MakeRun) -> None:
    study = read_study([make_run("run")])
    first, second = study.record.methods[:2]
    settings = {"transfer.cross_tasks.enabled": True, "version of stage train": 6}
    known = second.model_copy(update={"description": "", "identity": Identity(digest="a", facts=settings)})
    other = known.model_copy(update={"name": "Without", "identity": Identity(digest="b", facts={})})
    record = study.record.model_copy(update={"methods": (first, known, other)})
    section = method_section(replace(analyse(study), study=replace(study, records=(record,))))
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    difference = f"{known.name} with transfer.cross_tasks.enabled at its default, not True"
    assert [row[1] for row in table.texts] == [first.description, "–", difference]


def test_spreads_of_huge_and_of_tiny_scores_have_intervals_and_short_numbers(make_run: MakeRun) -> None:
    run = make_run("run", games=("Alien",))
    for size in (1e99, 1e-170):
        write_scores(
            run, {("EfficientZero", "Alien"): [1 * size, 2 * size, 3 * size], ("XTRA", "Alien"): [4 * size, 5 * size, 7 * size]}
        )
        sentence = answer(analyse(read_study([run])))
        assert "XTRA scored 167\u00a0% higher than EfficientZero (95 % interval" in sentence
    write_scores(run, {("EfficientZero", "Alien"): [1e-99, 1e-99, 2e-99], ("XTRA", "Alien"): [4e99, 5e99, 6e99]})
    page = write_report([run], run / "out").read_text(encoding="utf-8")
    assert "inf" not in answer(analyse(read_study([run]))) and "0" * 30 not in page.partition("<svg")[0]


@pytest.mark.parametrize(
    ("value", "text"), [(1e300, "1.00e+300"), (float("inf"), "–"), (-2e9, "−2.00e+09"), (9e8, "900,000,000"), (0.5, "0.50")]
)
def test_numbers_without_end_are_powers_of_ten(value: float, text: str) -> None:
    assert number(value) == text


def test_percentages_without_end_are_powers_of_ten() -> None:
    assert [percent(value) for value in (1e298, float("inf"), 12.0)] == ["1.00e+300\u00a0%", "–", "1200\u00a0%"]


@pytest.mark.parametrize(
    ("changes", "papers"),
    [
        ({}, True),
        ({"protocol": "catch", "normalization": "maximum", "games": ["Catch"]}, False),
        ({"methods": [METHODS[0], METHODS[4]]}, False),
    ],
)
def test_only_xtra_against_efficientzero_on_atari_100k_is_the_papers_figure(
    make_run: MakeRun, changes: dict[str, object], papers: bool
) -> None:
    (picture,) = (b for b in overview_section(analyse(read_study([make_run("run", **changes)]))).blocks if isinstance(b, Picture))
    assert picture.caption.startswith("The paper's Figure 1") == papers


def test_a_job_that_two_runs_have_in_common_is_paid_for_once(make_run: MakeRun) -> None:
    """One pretrained network of 60 s under six cells: 10 s each, whether they are reported as one run or as two."""
    header = "method,game,seed,stage,key,seconds,device,sharers\n"

    def run_of(name: str, seeds: range) -> Path:
        run = make_run(name, games=("Alien",), seeds=seeds)
        scores = load(run).drop(columns="normalized").assign(status="complete", score=1.0)
        scores.to_csv(run / "scores.csv", index=False)
        (run / "costs.csv").write_text(
            header + "".join(f"XTRA,Alien,{seed},pretrain,p,60.0,cpu,{len(seeds)}\n" for seed in seeds)
        )
        return run

    whole, halves = run_of("whole", range(6)), [run_of("first", range(3)), run_of("second", range(3, 6))]
    for runs in ([whole], halves):
        assert seconds_per_run(read_study(runs))["total"].tolist() == [pytest.approx(10.0)]


def test_what_the_command_line_set_is_shown(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", command_line={"sources": ["CatchWide"], "size": "smoke", "training.num_threads": 2})
    page = write_report([run], tmp_path / "out").read_text(encoding="utf-8")
    assert "<dt>Set on the command line</dt><dd>sources=[CatchWide], size=smoke, training.num_threads=2</dd>" in page


def test_a_matplotlibrc_neither_changes_nor_ends_a_report(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", games=("Alien",))
    (tmp_path / "matplotlibrc").write_text(
        "text.usetex: True\nfont.size: 22\nsavefig.bbox: tight\nsavefig.dpi: 20\naxes.formatter.use_locale: True\n"
        "path.simplify: False\naxes.prop_cycle: cycler('color', ['r'])\nfigure.dpi: 40\n"
    )
    code = "import pathlib, sys, xtra_analysis as x; x.write_report([pathlib.Path(sys.argv[1])], pathlib.Path(sys.argv[2]))"
    pages = []
    for name, changes in (("plain", {}), ("changed", {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")})):
        subprocess.run([sys.executable, "-c", code, run, tmp_path / name], check=True, env=os.environ | changes)
        pages.append((tmp_path / name / "report.html").read_bytes())
    assert pages[0] == pages[1]
