"""Intervals that stay honest with few runs, and what they refuse to say."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from xtra_analysis.aggregates import AGGREGATES, IQM_OF_FEW_GAMES, estimate, mean
from xtra_analysis.comparison import compare
from xtra_analysis.games import compare_games, denominator_is_unstable, game_scores
from xtra_analysis.intervals import (
    STUDENT_LEVEL,
    effective_degrees_of_freedom,
    generator,
    joint_distribution,
    pool_spread,
    small_sample_interval,
)
from xtra_analysis.matrices import InputError
from xtra_analysis.precision import Spread, relative_spread
from xtra_analysis.provenance import TEXT
from xtra_analysis.study import read_study

ROOT = Path(__file__).parents[2]
DIFFERENCES = ("mean_ratio", "probability_of_improvement", "mean_difference")
COVERAGE = ROOT / "results" / "ours" / "interval_coverage.csv"


def frame_of(scores: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    rows = [
        {"method": method, "game": game, "seed": seed, "status": "complete", "score": value, "normalized": value}
        for (method, game), values in scores.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_one_seed_gives_no_interval() -> None:
    table = estimate(frame_of({("a", "g"): [1.0], ("a", "h"): [2.0]}), reps=100)
    assert table["estimate"].notna().all()
    assert table[["low", "high", "percentile_low", "percentile_high"]].isna().all(axis=None)


@pytest.mark.parametrize("compared", [compare, compare_games])
def test_a_baseline_that_is_no_method_is_refused_with_those_that_are(compared: Callable[..., pd.DataFrame]) -> None:
    with pytest.raises(InputError, match="no method 'nope'; there are a, b"):
        compared(frame_of({("a", "g"): [1.0, 2.0], ("b", "g"): [1.0]}), baseline="nope")


def test_runs_all_alike_give_no_small_sample_interval() -> None:
    table = estimate(frame_of({("a", "g"): [1.0, 1.0, 1.0]}), reps=100)
    assert table[["low", "high"]].isna().all(axis=None)


def test_with_equal_games_every_run_counts_and_with_one_that_dominates_only_its_own() -> None:
    random = np.random.default_rng(0)
    equal = np.tile(random.standard_normal((5, 1)), (1, 10))
    assert effective_degrees_of_freedom(mean, [equal]) == pytest.approx(10 * 4)
    dominated = equal * np.where(np.arange(10) == 0, 1.0, 1e-6)
    assert effective_degrees_of_freedom(mean, [dominated]) == pytest.approx(4, rel=1e-6)


def test_the_interval_of_one_normal_game_is_students() -> None:
    """One game, the mean: estimate ± t(0.9825, n - 1) · s / sqrt(n); what the bootstrap adds is Monte-Carlo error."""
    scores = np.array([[1.0], [2.0], [4.0], [7.0]])
    drawn = joint_distribution(mean, [scores], 200_000, generator(0))
    interval = small_sample_interval(mean, [scores], drawn)
    reach = 3.670003453 * scores.std(ddof=1) / 2
    assert (interval.high - interval.low) / 2 == pytest.approx(reach, rel=0.01)
    assert (interval.high + interval.low) / 2 == pytest.approx(3.5)


def test_pooling_moves_no_mean_and_shrinks_no_spread() -> None:
    scores = np.random.default_rng(1).lognormal(size=(4, 6))
    scores[3, 2] = np.nan
    pooled = pool_spread(scores)
    np.testing.assert_allclose(np.nanmean(pooled, axis=0), np.nanmean(scores, axis=0))
    assert (np.nanstd(pooled, axis=0) >= np.nanstd(scores, axis=0) - 1e-12).all()


def test_pooling_by_hand() -> None:
    """Deviations sqrt(200) around 1, which counts as 2 times the mean, and sqrt(2) around 10: on average sqrt(2.01) times it."""
    pooled = pool_spread(np.array([[-9.0, 9.0], [11.0, 11.0]]))
    reach = 10 * np.sqrt(2.01) / np.sqrt(2.0)
    np.testing.assert_allclose(pooled, [[-9.0, 10 - reach], [11.0, 10 + reach]])


def test_scores_are_told_with_the_deviation_of_a_sample(make_run: Callable[..., Path]) -> None:
    run = make_run("run")
    rows = pd.read_csv(run / "scores.csv")
    table = game_scores(read_study([run])).set_index(["game", "method"])
    for (game, method), scores in rows[rows["status"] == "complete"].groupby(["game", "method"])["score"]:
        row = table.loc[(game, method)]
        assert row["std"] == pytest.approx(statistics.stdev(scores))
        assert (row["mean"], row["num_runs"]) == (pytest.approx(scores.mean()), len(scores))


def test_ratios_by_hand() -> None:
    table = compare(frame_of({("b", "g"): [1.0, 3.0], ("b", "h"): [10.0], ("m", "g"): [4.0, 4.0], ("m", "h"): [5.0]}), "b")
    ratios = table.set_index("statistic")["estimate"]
    assert ratios["mean_ratio"] == pytest.approx((4 / 2 + 5 / 10) / 2)
    assert ratios["probability_of_improvement"] == pytest.approx((1.0 + 0.0) / 2)


def test_the_baselines_own_uncertainty_is_in_the_interval() -> None:
    steady, noisy = [10.0, 10.1, 9.9, 10.0, 10.05], [10.0, 16.0, 5.0, 8.0, 11.0]
    method = [12.0, 12.2, 11.9, 12.1, 12.0]
    widths = []
    for baseline in (steady, noisy):
        row = compare(frame_of({("b", "g"): baseline, ("m", "g"): method}), "b").iloc[0]
        widths.append(row["high"] - row["low"])
    assert widths[1] > 10 * widths[0]


def test_a_ratio_to_a_baseline_near_zero_is_flagged_and_kept_out_of_averages() -> None:
    frame = frame_of(
        {
            ("b", "ok"): [5.0, 6.0, 7.0],
            ("m", "ok"): [6.0, 7.0, 8.0],
            ("b", "bad"): [-1.0, 0.5, 1.0],
            ("m", "bad"): [3.0, 4.0, 5.0],
        }
    )
    games = compare_games(frame, "b").set_index("game")
    assert bool(games.loc["bad", "unstable"]) and not bool(games.loc["ok", "unstable"])
    assert np.isnan(games.loc["bad", "low"])
    table = compare(frame, "b").set_index("statistic")
    assert table.loc["mean_ratio", "num_games"] == 1
    assert table.loc["probability_of_improvement", "num_games"] == 2


def test_no_interval_of_an_optimality_gap_is_below_zero() -> None:
    frame = frame_of({("m", "g"): [0.0, 0.0, 0.9], ("m", "h"): [0.9, 0.9, 0.3]})
    gap = estimate(frame, reps=500).set_index("statistic").loc["optimality_gap"]
    assert gap["low"] == 0.0 < gap["percentile_low"] < gap["estimate"] < gap["high"]


def test_fiellers_condition_by_hand() -> None:
    """s = 1, n = 4: the 95 % interval is the mean ± 3.18 · 0.5, above zero around 2, not around 1.5; nor is it with s = 2."""
    spread = np.array([-1.0, -1.0, 1.0, 1.0]) * np.sqrt(3) / 2
    assert not denominator_is_unstable(2.0 + spread)
    assert denominator_is_unstable(1.5 + spread)
    assert denominator_is_unstable(2.0 + 2 * spread)


def test_more_seeds_see_smaller_differences() -> None:
    spread = Spread(("g", "h"), np.array([0.04, 0.16]))
    sizes = [spread.detectable_ratio(seeds) for seeds in (2, 3, 5, 10, 50)]
    assert sizes == sorted(sizes, reverse=True)
    assert np.isnan(spread.detectable_ratio(1))
    needed = spread.seeds_needed(0.2)
    assert needed is not None
    assert spread.detectable_ratio(needed) <= 0.2 < spread.detectable_ratio(needed - 1)


def test_the_detectable_difference_by_hand() -> None:
    """One game, spread 20 %, 8 seeds: (t(0.9825, 14) + t(0.8, 14)) · 0.2 · sqrt(2/8)."""
    assert Spread(("g",), np.array([0.04])).detectable_ratio(8) == pytest.approx((2.334214 + 0.868055) * 0.1, rel=1e-5)


def test_the_relative_spread_is_that_of_the_rows() -> None:
    spread = relative_spread(frame_of({("a", "g"): [10.0, 11.0], ("b", "g"): [10.0, 10.0]}), ["a", "b"])
    assert spread is not None
    assert spread.relative_variance.tolist() == [pytest.approx((0.5 / 10.5**2 + 0.0) / 2)]


def test_a_method_whose_mean_is_not_clear_of_zero_has_no_relative_spread() -> None:
    frame = frame_of({("a", "g"): [10.0, 11.0], ("b", "g"): [-1.0, 0.4, 0.7], ("b", "h"): [-1.0, 0.4, 0.7]})
    spread = relative_spread(frame, ["a", "b"])
    assert spread is not None and (spread.games, spread.left_out) == (("g",), ("h",))
    assert spread.relative_variance.tolist() == [pytest.approx(0.5 / 10.5**2)]
    assert relative_spread(frame, ["b"]) is None


def test_the_committed_study_shows_what_the_report_claims() -> None:
    study = pd.read_csv(COVERAGE)
    claimed = study[(study["population"] != "extreme_skew") & study["statistic"].isin([*AGGREGATES, *DIFFERENCES])]
    assert set(claimed["runs"]) == {3, 5}
    assert claimed["simulations"].min() >= 1000
    assert claimed["small_sample_coverage"].min() >= 0.94
    assert claimed["percentile_coverage"].max() < 0.97


def test_the_level_of_t_and_the_sizes_that_were_measured_are_told_where_intervals_are_explained() -> None:
    text = " ".join((ROOT / "docs" / "explanation" / "intervals.md").read_text(encoding="utf-8").split())
    assert f"Student's at {100 * STUDENT_LEVEL:g} %" in text
    study = pd.read_csv(COVERAGE)
    games, runs = (" and ".join(map(str, sorted(study[column].unique()))) for column in ("games", "runs"))
    assert f"at {games} games with {runs} seeds" in text
    assert f"for {games} games with {runs} seeds" in " ".join(TEXT.split())


def test_what_is_said_of_few_games_is_what_was_measured() -> None:
    study = pd.read_csv(COVERAGE.with_name("interval_coverage_few_games.csv"))
    assert (set(study["games"]), set(study["runs"])) == ({1, 2, 3, 4, 5}, {2, 3, 5})
    held = study[study["population"] != "extreme_skew"].set_index(["statistic", "games", "runs"])["small_sample_coverage"]
    worst = held.groupby(level=[0, 1, 2]).min()
    page = (ROOT / "docs" / "explanation" / "intervals.md").read_text(encoding="utf-8")
    table = page.partition("2 / 3 / 5 seeds")[2]
    words = {"P(better)": "probability_of_improvement", "difference of means": "mean_difference"}
    levels, comparisons = ("IQM", "median", "mean", "optimality gap"), ("mean ratio", "median ratio", "IQM ratio")
    for name in (*levels, *comparisons, *words):
        statistic = words.get(name, name.lower().replace(" ", "_"))
        cells = (" / ".join(f"{100 * worst[statistic, games, runs]:.0f}" for runs in (2, 3, 5)) for games in range(1, 6))
        assert f"| {name} | {' | '.join(cells)} |" in table
    least = worst.loc[["mean_ratio", "median_ratio", "iqm_ratio", "mean_difference"]].min()
    assert f"({100 * least:.1f} % at the least" in page
    assert f"rare breakthroughs in {100 * worst['mean', 1, 5]:.0f} % of studies" in " ".join(TEXT.split())
    assert f"as little as {100 * worst['iqm'][[2, 3, 4]].min():.0f} % in simulated studies" in IQM_OF_FEW_GAMES


@pytest.mark.slow
def test_the_study_can_be_repeated_in_small() -> None:
    table = _coverage_study().coverage("skewed", 10, 3, 200).set_index("statistic")
    assert table.loc["iqm", "small_sample_coverage"] >= 0.93
    assert table.loc["iqm", "percentile_coverage"] <= 0.93


def _coverage_study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_study", ROOT / "analysis" / "coverage_study.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_frame_without_a_column_is_refused_by_the_columns_name() -> None:
    frame = pd.DataFrame({"method": ["A"], "game": ["g"], "seed": [0], "score": [1.0]})
    with pytest.raises(InputError, match="no column 'normalized'; it has method, game, seed, score"):
        estimate(frame)
    with pytest.raises(InputError, match="no column 'status'; it has method, game, seed, score"):
        compare(frame, baseline="A")
