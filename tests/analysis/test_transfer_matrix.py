"""What each source game brings to each target game: pairs compared by hand, and the report of a study of such methods."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from xtra_analysis.normalization import Scale
from xtra_analysis.report import make_report, save_report
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS, SyntheticMethod
from xtra_analysis.transfer_matrix import AREA, FINAL, cell_text, compare_runs, matrix_sentence, transfer_matrix, units

SOURCES = {"From Alien": "Alien", "From Carnival": "Carnival"}
PAIRS = (METHODS[0], *(SyntheticMethod(name, "efficientzero", "One source.", 1.6, 0.4) for name in SOURCES))


def edit_record(run: Path, **changes: object) -> None:
    """Gives methods of `SOURCES` their one source, and the record these changes."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8")) | changes
    for method in record["methods"]:
        if method["name"] in SOURCES:
            method["transfer"]["sources"] = [SOURCES[method["name"]]]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture
def run(make_run: Callable[..., Path]) -> Path:
    """EfficientZero, and two methods with one source game each, which is no target of theirs."""
    directory = make_run("pairs", methods=PAIRS, games=("Alien", "Carnival", "Assault"), seeds=range(6))
    for table in ("scores", "curves"):
        rows = pd.read_csv(directory / f"{table}.csv", dtype=str, keep_default_na=False)
        rows[rows["method"].map(SOURCES) != rows["game"]].to_csv(directory / f"{table}.csv", index=False)
    edit_record(directory)
    return directory


def test_a_difference_has_welchs_interval_and_the_p_value_of_ranks() -> None:
    row = compare_runs(np.array([4.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    assert (row["mean"], row["scratch"], row["difference"]) == (5.0, 2.0, 3.0)
    # Variances of the means 1 and 1/3: error 1.1547, freedom (4/3)^2 / (1 + 1/18) = 1.684, its quantile 5.173.
    assert row["low"] == pytest.approx(3 - 5.173 * 1.1547, abs=5e-3)
    assert row["high"] == pytest.approx(3 + 5.173 * 1.1547, abs=5e-3)
    # Of the 10 ways to call two of five runs the method's, this and its opposite are as far apart.
    assert row["p_value"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("scores", "scratch", "p_value"),
    [([1.0], [2.0, 3.0], 2 / 3), ([1.0, 2.0], [3.0], 2 / 3), ([1.0] * 5, [0.0] * 5, 2 / 252), ([0.1] * 3, [0.7] * 3, 0.1)],
)
def test_one_run_or_runs_all_alike_give_no_interval_but_a_p_value(
    scores: list[float], scratch: list[float], p_value: float
) -> None:
    row = compare_runs(np.array(scores), np.array(scratch))
    assert np.isnan([row["low"], row["high"]]).all()
    assert row["difference"] == np.mean(scores) - np.mean(scratch)
    assert row["p_value"] == pytest.approx(p_value)


def test_two_runs_that_happen_to_be_alike_decide_nothing() -> None:
    row = compare_runs(np.array([0.4792, 0.4756]), np.array([0.5713, 0.5678]))
    assert row["high"] < 0
    assert row["p_value"] == pytest.approx(1 / 3)


def test_every_pair_is_compared_with_scratch_in_its_own_game(run: Path) -> None:
    report = make_report(read_study([run]))
    table, scores = report.findings.transfer_matrix, report.findings.study.complete
    pairs = [("Alien", "Assault"), ("Alien", "Carnival"), ("Carnival", "Alien"), ("Carnival", "Assault")]
    for measure in (AREA, FINAL):
        assert list(table[table["measure"] == measure][["source", "game"]].itertuples(index=False, name=None)) == pairs
    row = table[(table["measure"] == FINAL) & (table["method"] == "From Alien") & (table["game"] == "Assault")].iloc[0]
    means = scores[scores["game"] == "Assault"].groupby("method")["score"].mean()
    assert row["difference"] == pytest.approx(means["From Alien"] - means["EfficientZero"])


def test_p_values_are_corrected_for_all_pairs_of_a_measure_and_for_looks(run: Path) -> None:
    edit_record(run, earlier_seeds=[[0, 1]])
    table = transfer_matrix(read_study([run]))
    part = table[table["measure"] == FINAL].sort_values("p_value", ignore_index=True)
    largest = 0.0
    for place, row in part.iterrows():
        largest = max(largest, (4 - int(str(place))) * row["p_value"])
        assert row["p_holm"] == pytest.approx(min(1.0, 2 * largest))
    assert part["p_value"].iloc[0] < 0.05


def test_areas_are_taken_over_the_evaluations_of_these_methods_alone(run: Path) -> None:
    before = transfer_matrix(read_study([run]))
    curves = pd.read_csv(run / "curves.csv", dtype=str, keep_default_na=False)
    other = curves[(curves["method"] == "EfficientZero") & (curves["env_steps"] == curves["env_steps"].iloc[-1])]
    pd.concat([curves, other.assign(method="Other")]).to_csv(run / "curves.csv", index=False)
    pd.testing.assert_frame_equal(transfer_matrix(read_study([run])), before)


def test_the_unit_is_the_reference_scale_where_all_games_have_one_else_scratchs_positive_score(run: Path) -> None:
    study = read_study([run])
    scale = Scale("0 is chance, 1 a master", dict.fromkeys(("Alien", "Carnival", "Assault"), (-20.0, 60.0)))
    words, unit = units(replace(study, scale=scale))
    assert (words, unit["Alien"]) == ("normalized score (0 is chance, 1 a master)", 80.0)
    scores = study.tables["scores"].copy()
    scores.loc[scores["game"] == "Assault", "score"] *= -1
    words, unit = units(replace(study, scale=Scale("", None), tables=study.tables | {"scores": scores}))
    assert words == "EfficientZero's mean final score in that game"
    assert np.isnan(unit["Assault"]) and unit["Alien"] > 0


def test_a_cell_holds_per_cent_of_the_unit_and_their_interval() -> None:
    cell = pd.Series({"difference": 1.0, "low": -0.1, "high": 2.1, "unit": 4.0})
    assert cell_text(cell, with_interval=True) == "+25\u00a0%\n−2.5 to 52\u00a0%"
    assert cell_text(cell, with_interval=False) == "+25\u00a0%"
    assert cell_text(pd.Series({**cell, "low": np.nan}), with_interval=True) == "+25\u00a0%"
    assert cell_text(pd.Series({**cell, "unit": np.nan}), with_interval=True) == ""
    assert cell_text(None, with_interval=True) == ""


def test_a_report_of_pairs_answers_by_pairs_and_calls_no_source_a_variant(run: Path, tmp_path: Path) -> None:
    report = make_report(read_study([run]))
    names = [section.name for section in report.sections]
    assert "transfer_matrix" in names and "ablations" not in names
    assert (
        report.answer.startswith("Transfer is seen to help in ") and " of 4 pairs of a source and a target game" in report.answer
    )
    page = save_report(report, tmp_path)
    assert "From game to game" in page.read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "transfer_matrix.svg").is_file()


def test_where_no_game_has_a_unit_there_is_no_picture_and_the_table_stays(run: Path, tmp_path: Path) -> None:
    study = read_study([run])
    scores = study.tables["scores"].assign(score=lambda rows: -rows["score"])
    page = save_report(make_report(replace(study, scale=Scale("", None), tables=study.tables | {"scores": scores})), tmp_path)
    assert "Every pair of a source and a target game" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "figures" / "transfer_matrix.svg").exists()


def test_beside_methods_with_other_sources_the_answer_tells_of_both(make_run: Callable[..., Path]) -> None:
    run = make_run("mixed", methods=(*PAIRS, METHODS[1]), games=("Alien", "Assault"), seeds=range(6))
    edit_record(run)
    answer = make_report(read_study([run])).answer
    assert "pairs of a source and a target game" in answer
    assert not answer.startswith("Transfer is seen")


def test_a_baseline_that_transfers_from_one_game_is_no_pair_of_its_own(run: Path) -> None:
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    record["methods"][0]["transfer"] = record["methods"][1]["transfer"] | {"sources": ["Boxing"]}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert set(transfer_matrix(read_study([run]))["method"]) == set(SOURCES)


def test_methods_with_several_sources_or_one_between_them_make_no_matrix(small_run: Path, run: Path) -> None:
    assert make_report(read_study([small_run])).findings.transfer_matrix.empty
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for method in record["methods"]:
        if method["transfer"]:
            method["transfer"]["sources"] = ["Alien"]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert make_report(read_study([run])).findings.transfer_matrix.empty


def made(*rows: tuple[str, str, float, float, float, float], seeds: int = 6) -> pd.DataFrame:
    columns = ["source", "game", "difference", "low", "high", "p_holm"]
    table = pd.DataFrame(rows, columns=columns).assign(measure=AREA, num_runs=seeds, num_scratch_runs=seeds)
    return table.assign(method="From " + table["source"])


FOUR = (
    ("A", "B", 1.0, 0.5, 1.5, 0.01),
    ("A", "C", -1.0, -1.5, -0.5, 0.02),
    ("B", "A", 1.0, 0.1, 1.9, 0.2),
    ("B", "C", 0.1, -1.0, 1.0, 1.0),
)


def test_the_answer_names_the_pairs_that_are_decided_and_those_that_were_before_the_correction() -> None:
    assert matrix_sentence(made(*FOUR), "Scratch", 2) == (
        "Transfer is seen to help in 1 (A to B) of 4 pairs of a source and a target game, and to harm in 1 (A to C): mean score "
        "while learning against Scratch's, by a permutation test, corrected for 4 comparisons and 2 looks. Not corrected, the "
        "interval of the difference in mean score while learning from Scratch's lies above zero in 2 (A to B and B to A) and "
        "below in 1 (A to C)."
    )
    assert matrix_sentence(made(*FOUR[3:]), "Scratch", 1) == (
        "Transfer is seen to help in none of 1 pair of a source and a target game, and to harm in none: mean score while "
        "learning against Scratch's, by a permutation test."
    )


def test_the_answer_says_where_so_few_seeds_can_decide_nothing() -> None:
    # Three runs of each give 2 / 20 at least, six 2 / 924, which times 4 and 3 is less than 0.05; five give 2 / 252.
    told = matrix_sentence(made(*FOUR[2:], *FOUR[2:3], *FOUR[3:], seeds=3).assign(p_holm=1.0), "Scratch", 3)
    assert told.startswith(
        "With 3 seeds each none of 4 pairs of a method and a target game can be decided: a permutation test, corrected for 4 "
        "comparisons and 3 looks, cannot give less than 0.05 before there are 6 of each. Not corrected, "
    )


def test_pairs_are_named_by_their_methods_where_a_source_has_several_and_by_a_few_alone() -> None:
    table = made(*[("A", f"T{n}", 1.0, 0.5, 1.5, 0.001) for n in range(6)], ("A", "T0", 1.0, -1.0, 3.0, 1.0))
    table.loc[6, "method"] = "From A, frozen"
    assert "help in 6 (From A to T0, From A to T1, From A to T2 and 3 more) of 7 pairs of a method" in matrix_sentence(
        table, "Scratch", 1
    )
