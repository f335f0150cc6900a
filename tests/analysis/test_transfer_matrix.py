"""What each source game brings to each target game: pairs compared by hand, and the report of a study of such methods."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from xtra_analysis.report import make_report, save_report
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS, SyntheticMethod
from xtra_analysis.transfer_matrix import AREA, FINAL, matrix_sentence, welch

SOURCES = {"From Alien": "Alien", "From Carnival": "Carnival"}
PAIRS = (METHODS[0], *(SyntheticMethod(name, "efficientzero", "One source.", 1.6, 0.4) for name in SOURCES))


@pytest.fixture
def run(make_run: Callable[..., Path]) -> Path:
    """EfficientZero, and two methods with one source game each."""
    directory = make_run("pairs", methods=PAIRS, games=("Alien", "Carnival", "Assault"), seeds=range(4))
    record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    for method in record["methods"]:
        if method["name"] in SOURCES:
            method["transfer"]["sources"] = [SOURCES[method["name"]]]
    (directory / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return directory


def test_a_difference_has_welchs_interval() -> None:
    row = welch(np.array([4.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    assert (row["mean"], row["scratch"], row["difference"]) == (5.0, 2.0, 3.0)
    # Variances of the means 1 and 1/3: error 1.1547, freedom (4/3)^2 / (1 + 1/18) = 1.684, its quantile 5.173.
    assert row["low"] == pytest.approx(3 - 5.173 * 1.1547, abs=5e-3)
    assert row["high"] == pytest.approx(3 + 5.173 * 1.1547, abs=5e-3)
    assert 0.1 < row["p_value"] < 0.2


@pytest.mark.parametrize(("runs", "scratch"), [([1.0], [2.0, 3.0]), ([1.0, 2.0], [3.0]), ([1.0, 1.0], [2.0, 2.0])])
def test_one_run_or_runs_all_alike_give_no_interval(runs: list[float], scratch: list[float]) -> None:
    row = welch(np.array(runs), np.array(scratch))
    assert np.isnan([row["low"], row["high"], row["p_value"]]).all()
    assert row["difference"] == np.mean(runs) - np.mean(scratch)


def test_every_pair_is_compared_with_scratch_in_its_own_game(run: Path) -> None:
    report = make_report(read_study([run]))
    table, scores = report.findings.transfer_matrix, report.findings.study.complete
    assert set(table["measure"]) == {AREA, FINAL}
    assert set(table["source"]) == {"Alien", "Carnival"}
    row = table[(table["measure"] == FINAL) & (table["method"] == "From Alien") & (table["game"] == "Assault")].iloc[0]
    means = scores[scores["game"] == "Assault"].groupby("method")["score"].mean()
    assert row["difference"] == pytest.approx(means["From Alien"] - means["EfficientZero"])
    assert row["unit"] == pytest.approx(means["EfficientZero"])
    assert row["p_holm"] >= row["p_value"]


def test_a_report_of_pairs_answers_by_pairs_and_calls_no_source_a_variant(run: Path, tmp_path: Path) -> None:
    report = make_report(read_study([run]))
    names = [section.name for section in report.sections]
    assert "transfer_matrix" in names and "ablations" not in names
    assert (
        report.answer.startswith("Transfer is seen to help in ") and " of 6 pairs of a source and a target game" in report.answer
    )
    page = save_report(report, tmp_path)
    assert "From game to game" in page.read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "transfer_matrix.svg").is_file()


def test_methods_with_several_sources_or_one_between_them_make_no_matrix(small_run: Path, run: Path) -> None:
    assert make_report(read_study([small_run])).findings.transfer_matrix.empty
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for method in record["methods"]:
        if method["transfer"]:
            method["transfer"]["sources"] = ["Alien"]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert make_report(read_study([run])).findings.transfer_matrix.empty


def made(*rows: tuple[str, str, float, float, float, float]) -> pd.DataFrame:
    columns = ["source", "game", "difference", "low", "high", "p_holm"]
    return pd.DataFrame(rows, columns=columns).assign(measure=AREA)


def test_the_answer_names_the_pairs_that_are_decided_and_counts_those_that_were_before_the_correction() -> None:
    table = made(
        ("A", "B", 1.0, 0.5, 1.5, 0.01),
        ("A", "C", -1.0, -1.5, -0.5, 0.02),
        ("B", "A", 1.0, 0.1, 1.9, 0.2),
        ("B", "C", 0.1, -1.0, 1.0, 1.0),
    )
    assert matrix_sentence(table, "Scratch") == (
        "Transfer is seen to help in 1 (A to B) of 4 pairs of a source and a target game, and to harm in 1 (A to C): mean score "
        "while learning against Scratch's, by Welch's t-test corrected for 4 comparisons. Not corrected, the interval leaves out "
        "zero in 3 of them."
    )
    assert "help in none of 1 pair of" in matrix_sentence(table[3:], "Scratch")
    assert matrix_sentence(table.assign(p_holm=np.nan), "Scratch") == (
        "Of 4 pairs of a source and a target game none has two seeds to be compared with Scratch's."
    )
