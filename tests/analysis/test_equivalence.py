"""Better, worse or equivalent: areas under curves, the two one-sided tests, and what the report says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from xtra_analysis import InputError, write_report
from xtra_analysis.analyse import analyse
from xtra_analysis.equivalence import (
    FEWEST_SEEDS,
    equivalence_section,
    judge_each_game,
    judge_equivalence,
    paired_test,
    seeds_needed,
)
from xtra_analysis.learning_curves import areas
from xtra_analysis.overview import answer
from xtra_analysis.page import Paragraph, Table
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS

MakeRun = Callable[..., Path]


def curves(*rows: tuple[str, str, int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["method", "game", "seed", "env_steps", "normalized"])


def test_an_area_by_hand_is_the_mean_height_of_the_straight_lines() -> None:
    frame = curves(("m", "g", 0, 100, 0.0), ("m", "g", 0, 200, 1.0), ("m", "g", 0, 400, 0.5))
    assert areas(frame)["value"].tolist() == [pytest.approx((100 * 0.5 + 200 * 0.75) / 300)]


def test_an_area_is_over_the_env_steps_that_all_runs_of_the_game_span() -> None:
    frame = curves(
        ("m", "g", 0, 0, 0.0), ("m", "g", 0, 1, 1.0), ("m", "g", 0, 2, 9.0), ("n", "g", 0, 0, 2.0), ("n", "g", 0, 1, 2.0)
    )
    assert areas(frame).set_index("method")["value"].to_dict() == {"m": 0.5, "n": 2.0}


def test_runs_evaluated_at_other_env_steps_are_compared_over_the_whole_curve() -> None:
    # Both rise in straight lines: from 512 to 1,000 by 0.488, then, from 1,000 to 1,024 and from 1,000 on, not at all.
    one = [("m", "g", 0, 512, 0.512), ("m", "g", 0, 1000, 1.0), ("m", "g", 0, 1024, 1.0)]
    other = [("n", "g", 0, 500, 0.5), ("n", "g", 0, 1000, 1.0), ("n", "g", 0, 1500, 1.0)]
    expected = (488 * (0.512 + 1.0) / 2 + 24) / 512
    assert areas(curves(*one, *other))["value"].tolist() == pytest.approx([expected, expected])


def test_runs_that_share_no_env_steps_have_no_areas_to_compare() -> None:
    assert areas(curves(("m", "g", 0, 0, 0.0), ("m", "g", 0, 9, 1.0), ("n", "g", 0, 10, 1.0), ("n", "g", 0, 20, 1.0))).empty


def test_a_curve_of_one_point_has_its_height() -> None:
    assert areas(curves(("m", "g", 0, 100, 0.25)))["value"].tolist() == [0.25]


def test_the_paired_test_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1 / √3, two degrees of freedom."""
    test = paired_test(np.array([1.0, 2.0, 3.0]), margin=4.0)
    error = 1 / np.sqrt(3)
    assert test.estimate == 2.0
    assert test.high - test.estimate == pytest.approx(4.302653 * error, rel=1e-6)
    assert test.p_difference == pytest.approx(stats.ttest_1samp([1.0, 2.0, 3.0], 0.0).pvalue)
    assert test.p_equivalence == pytest.approx(stats.ttest_1samp([1.0, 2.0, 3.0], 4.0, alternative="less").pvalue)
    assert test.relative_spread == 0.25
    assert seeds_needed(0.25) == 3  # two have a power of 0.56: t with one degree of freedom leaves little of the margin


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12), st.floats(0.01, 1))
def test_equivalence_is_significant_exactly_when_the_ninety_per_cent_interval_lies_within_the_margin(
    values: list[float], margin: float
) -> None:
    differences = np.array(values)
    test = paired_test(differences, margin)
    error = differences.std(ddof=1) / np.sqrt(len(values))
    half = stats.t.ppf(0.95, len(values) - 1) * error
    edge = margin - abs(differences.mean()) - half
    if abs(edge) > 1e-9:
        assert (test.p_equivalence < 0.05) == (edge > 0)


def test_the_level_holds_at_the_margin_and_equal_methods_are_called_so() -> None:
    random = np.random.default_rng(26)
    at_margin = [paired_test(random.normal(0.06, 0.06, 10), 0.06).p_equivalence < 0.05 for _ in range(4_000)]
    equal = [paired_test(random.normal(0.0, 0.064, 16), 0.06).p_equivalence < 0.05 for _ in range(4_000)]
    assert np.mean(at_margin) == pytest.approx(0.05, abs=0.012)
    assert np.mean(equal) == pytest.approx(0.95, abs=0.02)  # what suites/reanalysis.yaml states


@pytest.mark.parametrize(("ratio", "needed"), [(0.2, 3), (0.45, 4), (0.6, 5), (0.917, 9), (1.0, 11)])
def test_as_many_seeds_as_are_called_needed_have_the_power_that_is_stated_and_one_fewer_has_not(
    ratio: float, needed: int
) -> None:
    half = ratio * 0.06 / np.sqrt(2)  # two differences ±half deviate by half * sqrt(2)
    assert seeds_needed(paired_test(np.array([-half, half]), 0.06).relative_spread) == needed
    random = np.random.default_rng(5)
    for count in (needed - 1, needed):
        differences = random.normal(0.0, ratio, (40_000, count))
        half = stats.t.ppf(0.95, count - 1) * differences.std(1, ddof=1) / np.sqrt(count)
        assert ((np.abs(differences.mean(1)) + half < 1).mean() >= 0.8) == (count == needed)


def test_equal_differences_need_no_test() -> None:
    test = paired_test(np.array([0.25, 0.25]), 0.5)
    assert (test.low, test.high, test.p_difference, test.p_equivalence) == (0.25, 0.25, 0.0, 0.0)
    assert paired_test(np.array([0.25, 0.25]), 0.125).p_equivalence == 1.0


def test_a_report_judges_each_learner_against_the_baseline_and_the_primary_method(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", methods=METHODS[:3], seeds=range(6), equivalence_margin=10.0)
    table = judge_equivalence(read_study([run]))
    baseline, primary, third = (method.name for method in METHODS[:3])
    assert list(table[["method", "reference"]].itertuples(index=False, name=None)) == [
        (primary, baseline),
        (third, baseline),
        (third, primary),
    ]
    assert set(table["verdict"]) == {"equivalent"}  # the margin is ten times a human's score
    page = write_report([run], tmp_path / "report").read_text(encoding="utf-8")
    assert 'id="equivalence"' in page and "suite sets on the normalized scale" in page


def test_a_method_that_helps_in_one_game_and_harms_in_another_is_seen_to_do_both(make_run: MakeRun) -> None:
    study = read_study([make_run("run", games=("Alien", "Amidar"), seeds=range(6), equivalence_margin=0.05)])
    rows = study.tables["curves"]
    gain = rows["game"].map({"Alien": 0.5, "Amidar": -0.5}) * (rows["method"] == METHODS[1].name)
    study.tables["curves"] = rows.assign(normalized=gain + 0.001 * rows["seed"] ** 2 * (rows["method"] == METHODS[1].name))
    assert list(judge_equivalence(study)["verdict"]) == ["equivalent"]
    table = judge_each_game(study).set_index("game")
    assert dict(table["verdict"]) == {"Alien": "better", "Amidar": "worse"}
    assert table.loc["Alien", "estimate"] == pytest.approx(0.5 + 0.055 / 6)
    findings = analyse(study)
    assert answer(findings).startswith(
        f"By the area under the learning curve {METHODS[1].name} is 0.01 above {METHODS[0].name} in normalized score "
    )
    assert f": equivalent (p < 0.001). Game by game {METHODS[1].name} is better on Alien and worse on Amidar." in answer(findings)
    section = equivalence_section(findings)
    assert section is not None
    by_game = next(block for block in section.blocks if isinstance(block, Table) and block.name == "equivalence_games")
    (row,) = by_game.rows
    assert [cell.text.rpartition(", ")[2] for cell in row.cells[1:]] == ["better", "worse"]


def test_the_answer_says_why_fewer_than_five_seeds_are_undecided(make_run: MakeRun) -> None:
    for num_seeds in (FEWEST_SEEDS - 1, FEWEST_SEEDS):
        study = read_study([make_run(f"{num_seeds}", seeds=range(num_seeds), equivalence_margin=0.05)])
        assert ("undecided, as fewer than 5 seeds always are (p" in answer(analyse(study))) == (num_seeds < FEWEST_SEEDS)


def test_each_table_is_corrected_for_the_tests_that_it_shows(make_run: MakeRun) -> None:
    study = read_study([make_run("run", methods=METHODS[:3], seeds=range(6), equivalence_margin=0.5)])
    table = judge_equivalence(study)
    (row,) = table[table["reference"] == METHODS[1].name].itertuples()
    areas_of = areas(study.tables["curves"]).pivot(index=["seed", "game"], columns="method", values="value")
    differences = (areas_of[row.method] - areas_of[row.reference]).groupby("seed").mean()
    alone = paired_test(differences.to_numpy(), 0.5)
    assert (row.p_difference, row.p_equivalence) == pytest.approx((alone.p_difference, alone.p_equivalence))


def test_more_tests_need_more_seeds_to_show_equality(make_run: MakeRun) -> None:
    needed = []
    for num_methods in (2, 3):
        study = read_study([make_run(f"{num_methods}", methods=METHODS[:num_methods], seeds=range(6), equivalence_margin=0.05)])
        table = judge_equivalence(study).set_index(["method", "reference"])
        row = table.loc[(METHODS[1].name, METHODS[0].name)]
        assert row["seeds_needed"] == max(FEWEST_SEEDS, seeds_needed(row["relative_spread"], 0.05 / (num_methods - 1)))
        needed.append(row["seeds_needed"])
    assert needed[0] < needed[1]


def test_a_game_without_pairs_is_left_out_of_what_is_judged_game_by_game(make_run: MakeRun) -> None:
    study = read_study([make_run("run", games=("Alien", "Amidar", "Assault"), seeds=range(6), equivalence_margin=0.05)])
    rows = study.tables["curves"]
    study.tables["curves"] = rows[(rows["game"] != "Amidar") | (rows["seed"] == 0)]
    assert set(judge_each_game(study)["game"]) == {"Alien", "Assault"}
    study.tables["curves"] = rows[(rows["game"] == "Alien") | (rows["seed"] == 0)]
    assert judge_each_game(study).empty


def test_game_by_game_p_values_are_corrected_for_all_games(make_run: MakeRun) -> None:
    """Holm's method for two: the smaller p-value twice, and the larger one, or that."""
    study = read_study([make_run("run", games=("Alien", "Amidar"), seeds=range(6), equivalence_margin=0.05)])
    together, rows = judge_each_game(study).set_index("game")["p_difference"], study.tables["curves"]
    alone = {}
    for game in ("Alien", "Amidar"):
        study.tables["curves"] = rows[rows["game"] == game]
        assert judge_each_game(study).empty  # one game is what the main table tells
        alone[game] = judge_equivalence(study)["p_difference"].iloc[0]
    first, second = sorted(alone, key=lambda game: alone[game])
    assert together[first] == pytest.approx(2 * alone[first])
    assert together[second] == pytest.approx(max(2 * alone[first], alone[second]))


def test_a_margin_that_nothing_can_be_judged_by_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    one_seed = make_run("run", seeds=range(1), equivalence_margin=0.1)
    page = write_report([one_seed], tmp_path / "one").read_text(encoding="utf-8")
    assert "no two learning methods have curves with two seeds in common yet" in page
    study = read_study([make_run("other", seeds=range(3), equivalence_margin=0.1)])
    study.tables["curves"]["normalized"] = np.nan
    section = equivalence_section(analyse(study))
    assert section is not None and isinstance(section.blocks[0], Paragraph)
    assert "no game of this study has a reference score" in section.blocks[0].text


def test_without_a_margin_nothing_is_judged(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", seeds=range(6))
    assert judge_equivalence(read_study([run])).empty
    assert 'id="equivalence"' not in write_report([run], tmp_path / "report").read_text(encoding="utf-8")


def test_two_runs_with_different_margins_make_no_report(make_run: MakeRun) -> None:
    runs = [make_run("one", equivalence_margin=0.1), make_run("two", methods=METHODS[2:3], equivalence_margin=0.2)]
    with pytest.raises(InputError, match=r"different margins: 0\.1 .*one.* and 0\.2 .*two"):
        read_study(runs)


def significant_studies(num_seeds: int, num_games: int = 1) -> float:
    """The share of studies in which one of 14 methods is told from the first in some game, with Holm's correction over methods
    and games, where all 15 learn in half of their runs."""
    random = np.random.default_rng(num_seeds)
    shape = (3_000, num_games, 15, num_seeds)
    scores = (random.random(shape) < 0.5) + 0.02 * random.standard_normal(shape)
    p_values = stats.ttest_1samp(scores[:, :, 1:] - scores[:, :, :1], 0.0, axis=3).pvalue
    return float((14 * num_games * p_values.min(axis=(1, 2)) < 0.05).mean())


def test_verdicts_begin_where_runs_that_learn_or_do_not_are_seldom_told_apart_by_chance() -> None:
    assert significant_studies(FEWEST_SEEDS) < 0.05 < significant_studies(FEWEST_SEEDS - 1)
    assert significant_studies(FEWEST_SEEDS, num_games=3) < 0.09


def test_below_the_fewest_seeds_nothing_is_decided(make_run: MakeRun) -> None:
    for num_seeds, verdict in ((FEWEST_SEEDS - 1, "undecided"), (FEWEST_SEEDS, "equivalent")):
        run = make_run(f"run{num_seeds}", methods=METHODS[:2], seeds=range(num_seeds), equivalence_margin=10.0)
        assert set(judge_equivalence(read_study([run]))["verdict"]) == {verdict}
