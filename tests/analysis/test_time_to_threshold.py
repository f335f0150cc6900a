"""Env steps until a score is reached: read off curves, cut at the budget, and compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from xtra_analysis import InputError, load, write_report
from xtra_analysis.analyse import analyse
from xtra_analysis.overview import answer
from xtra_analysis.page import Table
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS
from xtra_analysis.time_to_threshold import (
    compare_time,
    env_steps_to_threshold,
    estimate_time,
    time_to_threshold,
    time_to_threshold_section,
)

MakeRun = Callable[..., Path]


def curve(method: str, seed: int, scores: dict[int, float], game: str = "g") -> pd.DataFrame:
    rows = [(method, game, seed, env_steps, score) for env_steps, score in scores.items()]
    return pd.DataFrame(rows, columns=["method", "game", "seed", "env_steps", "score"])


def runs_of(steps: dict[str, list[float]]) -> pd.DataFrame:
    rows = [(method, "g", seed, value, True) for method, values in steps.items() for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["method", "game", "seed", "env_steps", "reached"])


@pytest.mark.parametrize(
    ("scores", "env_steps", "reached"),
    [
        ({0: -1.0, 100: 0.0, 200: 1.0}, 180.0, True),  # four fifths of the way from 0 to 1
        ({0: -1.0, 100: 0.8, 200: 0.0}, 100.0, True),  # reached exactly, and lost again
        ({0: 0.9, 100: 1.0}, 0.0, True),  # before the first env step
        ({0: -1.0, 100: 0.5, 200: 0.7}, 200.0, False),  # never: the whole budget
        ({200: 1.0, 0: -1.0, 100: 0.6}, 150.0, True),  # whatever the order of the rows
    ],
)
def test_the_first_crossing_by_hand(scores: dict[int, float], env_steps: float, reached: bool) -> None:
    found = env_steps_to_threshold(curve("m", 0, scores), 0.8).iloc[0]
    assert (found["env_steps"], found["reached"]) == (pytest.approx(env_steps), reached)


def test_methods_evaluated_at_other_env_steps_are_not_told_apart_by_that() -> None:
    """Neither ever arrives, and both are there at once: what is left is when they were looked at."""
    for scores in ((0.0, 0.0), (1.0, 1.0)):
        early, late = (dict(zip(steps, scores, strict=True)) for steps in ((500, 5_000), (512, 5_024)))
        runs = env_steps_to_threshold(pd.concat([curve("early", 0, early), curve("late", 0, late)]), 0.8)
        assert runs["env_steps"].nunique() == 1


def test_a_single_evaluation_does_not_narrow_the_span_and_one_that_is_too_low_counts_with_its_end() -> None:
    curves = pd.concat([curve("several", 0, {100: 0.0, 200: 1.0}), curve("single", 0, {0: 0.0})])
    runs = env_steps_to_threshold(curves, 0.5).set_index("method")
    assert runs.loc["several", ["env_steps", "reached"]].tolist() == [150.0, True]
    assert runs.loc["single", ["env_steps", "reached"]].tolist() == [200.0, False]


def test_a_run_that_arrives_after_the_last_evaluation_of_others_counts_with_the_end() -> None:
    curves = pd.concat([curve("short", 0, {0: 0.0, 100: 0.0}), curve("long", 0, {0: 0.0, 100: 0.0, 200: 1.0})])
    runs = env_steps_to_threshold(curves, 0.8)
    assert runs["env_steps"].tolist() == [100.0, 100.0] and not runs["reached"].any()


def test_a_run_that_never_arrives_counts_with_its_budget_and_is_counted_by_name() -> None:
    curves = pd.concat([curve("m", 0, {0: 0.0, 100: 1.0}), curve("m", 1, {0: 0.0, 100: 0.1})])
    row = estimate_time(env_steps_to_threshold(curves, 0.5), budget=100.0).iloc[0]
    assert row["estimate"] == pytest.approx((50 + 100) / 2)
    assert row["num_reached"] == 1
    assert row["low"] >= 0.0 and row["high"] <= 100.0


def test_the_interval_of_a_difference_in_one_game_is_welchs_with_shrunken_freedom() -> None:
    """Equal spreads, five runs each: freedom 8 · 4/6, standard error s · sqrt(2/5); the rest is Monte-Carlo error."""
    spread = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) * 100
    row = compare_time(runs_of({"b": list(2000 + spread), "m": list(1000 + spread)}), "b").iloc[0]
    reach = float(stats.t.ppf(0.9825, 8 * 4 / 6)) * spread.std(ddof=1) * np.sqrt(2 / 5)
    assert row["estimate"] == pytest.approx(-1000)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(reach, rel=0.03)


def test_games_count_equally_and_only_where_both_methods_have_runs() -> None:
    curves = pd.concat(
        [
            curve("b", 0, {0: 0.0, 100: 1.0}),
            curve("b", 0, {0: 0.0, 1000: 1.0}, "h"),
            curve("m", 0, {0: 1.0}),
            curve("m", 0, {0: 0.0, 1000: 2.0}, "h"),
            curve("m", 0, {0: 0.0, 10: 1.0}, "alone"),
        ]
    )
    row = compare_time(env_steps_to_threshold(curves, 1.0), "b").iloc[0]
    assert (row["estimate"], row["num_games"]) == (pytest.approx((-100 - 500) / 2), 2)
    assert np.isnan(row["low"])


def write_curves(run: Path, arrivals: dict[str, float]) -> None:
    """Straight curves from 0 to 1000, which reach 500 at the method's env step, give or take the seed."""
    curves = load(run, "curves").drop(columns="normalized")
    middle = curves["method"].map(arrivals) + 500 * curves["seed"]
    curves["score"] = (500 * curves["env_steps"] / middle).clip(upper=1000)
    curves.to_csv(run / "curves.csv", index=False)


def test_the_answer_says_who_was_sooner_by_how_much_and_what_the_ranks_say(make_run: MakeRun) -> None:
    run = make_run("run", score_threshold=500.0)
    write_curves(run, {"EfficientZero": 40_000, "XTRA": 20_000})
    clear = answer(analyse(read_study([run])))
    assert clear.startswith("XTRA reached a score of 500 after 20,500 env steps on average, EfficientZero after 40,500: ")
    # All 3 runs of each of two games are sooner: 2 of 20 * 20 ways to label them are as far apart.
    assert "; permutation test p = 0.005). XTRA scored" in clear

    write_curves(run, {"EfficientZero": 300_000, "XTRA": 20_000})
    missed = answer(analyse(read_study([run])))
    assert "after 20,500 env steps on average, no run of EfficientZero did within 100,000 env steps. Counted with the" in missed
    assert "; 6 of their 12 runs never got there" in missed

    write_curves(run, {"EfficientZero": 40_000, "XTRA": 300_000})
    assert "No run of XTRA reached a score of 500 within 100,000 env steps, EfficientZero did after 40," in answer(
        analyse(read_study([run]))
    )

    write_curves(run, {"EfficientZero": 20_100, "XTRA": 20_000})
    (p_value,) = re.findall(r"permutation test p = (\S+)\)", answer(analyse(read_study([run]))))
    assert float(p_value) > 0.3


def test_p_values_of_several_methods_are_corrected_for_their_number_and_for_looks() -> None:
    curves = pd.concat(
        [
            curve(method, seed, {0: 0.0, steps + seed: 1.0, 9000: 1.0})
            for method, steps in (("b", 2000), ("m", 1000), ("n", 2000))
            for seed in range(4)
        ]
    )
    times = time_to_threshold(curves, 1.0, "b", looks=2)
    assert times is not None
    table = times.differences.set_index("method")
    assert table.loc["m", "p_value"] == pytest.approx(2 / 70)
    assert table.loc["m", "p_holm"] == pytest.approx(2 * 2 * 2 / 70)
    assert table.loc["n", "p_holm"] == 1.0


def test_where_no_run_reached_the_score_the_report_says_that_none_did(make_run: MakeRun) -> None:
    run = make_run("run", score_threshold=500.0)
    write_curves(run, {"EfficientZero": 300_000, "XTRA": 200_000})
    findings = analyse(read_study([run]))
    sentence = (
        "Neither XTRA nor EfficientZero reached a score of 500 within 100,000 env steps: none of their 12 runs did. XTRA scored"
    )
    assert answer(findings).startswith(sentence)
    section = time_to_threshold_section(findings)
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert [row[1:4] for row in table.texts] == [["0 of 6", "none did", "–"]] * 2


def test_the_order_of_runs_does_not_matter_where_one_counts_env_steps_to_a_score(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run("one", score_threshold=500.0), make_run("two", methods=METHODS[:1], seeds=range(3, 5))]
    first, second = (write_report(order, tmp_path / name).parent for name, order in (("a", runs), ("b", runs[::-1])))
    for path in (path.relative_to(first) for path in first.rglob("*") if path.is_file()):
        assert (first / path).read_bytes() == (second / path).read_bytes()
    assert (first / "tables" / "time_to_threshold.csv").is_file()


def test_runs_that_count_env_steps_to_different_scores_are_refused(make_run: MakeRun) -> None:
    runs = [make_run("one", score_threshold=500.0), make_run("two", methods=METHODS[:1], score_threshold=600.0)]
    with pytest.raises(InputError, match=r"until different scores are reached: 500 .*600"):
        read_study(runs)


def test_the_report_has_a_section_on_it_with_every_method_that_has_a_curve(small_report: Path) -> None:
    page = (small_report / "report.html").read_text(encoding="utf-8")
    assert '<section id="time_to_threshold">' in page and re.search(r"\d+ runs of 36 never reached the score", page)
    table = pd.read_csv(small_report / "tables" / "time_to_threshold.csv").set_index("method")
    assert list(table.index) == ["EfficientZero", "XTRA", "XTRA, constant task weights"]
    assert np.isnan(table.loc["EfficientZero", "estimate_difference"])


def test_nothing_is_said_without_a_score_to_reach_or_a_baseline_that_learns(make_run: MakeRun) -> None:
    assert analyse(read_study([make_run("plain")])).time_to_threshold is None
    findings = analyse(read_study([make_run("run", methods=[METHODS[0], METHODS[-1]], baseline="Random", score_threshold=500.0)]))
    assert findings.time_to_threshold is not None and findings.time_to_threshold.differences.empty
    assert len(findings.time_to_threshold.estimates) == 1
    assert "reached a score of" not in answer(findings)
