"""Curves over env steps and hours, worst cases, and what a random baseline may not be used for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from xtra_analysis import figures
from xtra_analysis.aggregates import estimate
from xtra_analysis.analyse import analyse
from xtra_analysis.costs import efficiency_section, machine, over_time, seconds_per_run, stage_costs
from xtra_analysis.learning_curves import common_points, relative_efficiency, sample_efficiency
from xtra_analysis.missing import worst_case
from xtra_analysis.overview import answer
from xtra_analysis.page import Picture, Table
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS
from xtra_analysis.text import duration, percent, span

MakeRun = Callable[..., Path]


def test_a_curve_ends_where_the_aggregate_is(make_run: MakeRun) -> None:
    study = read_study([make_run("run")])
    curve = sample_efficiency(study.tables["curves"], reps=50)
    table = estimate(study.scores, reps=50)
    for method in study.learners:
        last = curve[curve["method"] == method].iloc[-1]
        iqm = table[(table["method"] == method) & (table["statistic"] == "iqm")].iloc[0]
        assert last["env_steps"] == 100_000
        assert last["estimate"] == pytest.approx(iqm["estimate"], rel=1e-3)  # curves are rounded in the rows


def test_the_baselines_relative_curve_ends_at_one(make_run: MakeRun) -> None:
    study = read_study([make_run("run")])
    curve = relative_efficiency(study.tables["curves"], study.scores, "EfficientZero", reps=50)
    assert curve[curve["method"] == "EfficientZero"].iloc[-1]["estimate"] == pytest.approx(1.0)


def test_a_point_counts_only_where_every_run_has_been_evaluated() -> None:
    rows = [("g", 0, 0), ("g", 0, 10), ("g", 1, 0), ("g", 1, 10), ("g", 1, 15)]
    curves = pd.DataFrame(rows, columns=["game", "seed", "env_steps"])
    assert sorted(common_points(curves)["env_steps"].unique()) == [0, 10]


def write_costs(run: Path, scale: float = 1.0) -> None:
    """XTRA's six runs, three on each of two games: all stand on one source run, those of a game on one pretrained network."""
    stages = (
        "train,source,{hours[0]},cuda,6", "pretrain,p-{game},{hours[1]},cuda,3",
        "train,train-synthetic-XTRA-{game}-{seed},{hours[2]},cuda,1", "evaluate,e-{game}-{seed},{hours[3]},cuda,1",
    )  # fmt: skip
    hours = [scale * 3600 * hours for hours in (3.0, 1.5, 2.0, 0.5)]
    rows = [
        f"XTRA,{game},{seed},{stage}\n".format(game=game, seed=seed, hours=hours)
        for game in ("Alien", "Carnival")
        for seed in range(3)
        for stage in stages
    ]
    (run / "costs.csv").write_text("method,game,seed,stage,key,seconds,device,sharers\n" + "".join(rows))


def test_time_starts_with_the_share_of_what_a_method_stands_on_and_a_source_run_is_no_training(make_run: MakeRun) -> None:
    run = make_run("run")
    write_costs(run)
    study = read_study([run])

    costs = seconds_per_run(study)
    parts = costs[["source", "pretrain", "preparation", "train", "evaluate", "total"]].iloc[0] / 3600
    assert parts.tolist() == pytest.approx([0.5, 0.5, 1.0, 2.0, 0.5, 3.5])
    points = pd.DataFrame({"method": ["XTRA"] * 3, "env_steps": [0, 50, 100], "estimate": [0.0, 0.5, 1.0]})
    timed, unit = over_time(points, costs)
    assert (timed["time"].tolist(), unit, machine(study)) == (pytest.approx([1.0, 2.0, 3.0]), "hours", "GPU")


def test_the_whole_study_counts_every_job_once(make_run: MakeRun) -> None:
    run = make_run("run")
    write_costs(run)
    table = stage_costs(read_study([run])).set_index("kind")
    assert (table["num_jobs"].to_dict(), table.loc["Source runs", "max_sharers"]) == (
        {"Source runs": 1, "Pretraining": 2, "Training": 6, "Evaluation": 6},
        6,
    )
    assert table["seconds"].sum() / 3600 == pytest.approx(3.0 + 2 * 1.5 + 6 * 2.5)


def test_small_costs_are_told_in_small_units(make_run: MakeRun) -> None:
    run = make_run("run")
    write_costs(run, scale=1 / 3600)
    section = efficiency_section(analyse(read_study([run])))
    assert section is not None
    texts = [cell.text for block in section.blocks if isinstance(block, Table) for row in block.rows for cell in row.cells]
    assert "0.5\u00a0s" in texts and "0.00" not in texts
    assert any(isinstance(block, Picture) and "GPU-seconds" in block.svg for block in section.blocks)
    assert [duration(seconds) for seconds in (0.0, 0.004, 45.0, 720.0, 12240.0)] == [
        "–", "< 0.1\u00a0s", "45\u00a0s", "12\u00a0min", "3.4\u00a0h",
    ]  # fmt: skip


def test_a_share_above_one_has_no_decimals() -> None:
    told = [percent(value, 1).replace("\u00a0", " ") for value in (0.0512, 0.9994, 0.9996, -4.842)]
    assert told == ["5.1 %", "99.9 %", "100 %", "−484 %"]


def test_a_flat_curve_looks_flat_and_a_steep_one_is_not_squeezed() -> None:
    points = pd.DataFrame({"method": ["m"] * 2, "env_steps": [0, 10], "low": [np.nan] * 2, "high": [np.nan] * 2})
    spans = []
    for values in ([0.5, 0.501], [0.0, 3.0], [4000.0, 4001.0]):
        low, high = figures.sample_efficiency(points.assign(estimate=values)).axes[0].get_ylim()
        spans.append(high - low)
    assert spans == pytest.approx([0.1, 3.3, 400.0], rel=0.01)


def test_missing_runs_are_filled_with_the_worst_and_best_of_their_game() -> None:
    scores = pd.DataFrame(
        [("a", "g", 0, 0.2), ("a", "g", 1, None), ("b", "g", 0, 0.0), ("b", "g", 1, 1.0)],
        columns=["method", "game", "seed", "normalized"],
    )
    table = worst_case(scores.astype({"normalized": "float64"}))
    assert table["method"].tolist() == ["a"]
    assert table.iloc[0][["num_missing", "estimate", "worst", "best"]].tolist() == pytest.approx([1, 0.2, 0.1, 0.6])


def test_nothing_is_divided_by_a_random_agents_score(make_run: MakeRun) -> None:
    findings = analyse(read_study([make_run("run", methods=[METHODS[0], METHODS[-1]], baseline="Random")]))
    assert set(findings.comparison["statistic"]) == {"probability_of_improvement"}
    assert findings.game_ratios.empty and findings.relative_efficiency.empty


def test_no_interval_reaches_beyond_the_maximum_of_a_game(make_run: MakeRun) -> None:
    methods = [dataclasses.replace(METHODS[0], factor=2.7), METHODS[-1]]
    run = make_run("run", methods=methods, games=["Catch"], normalization="maximum", protocol="catch", baseline="Random")
    study = read_study([run])
    assert estimate(study.scores, reps=200)["high"].max() > 1.0
    findings = analyse(study)
    raised = findings.estimates[findings.estimates["statistic"] != "optimality_gap"]
    assert raised["high"].max() <= 1.0 and findings.efficiency["high"].max() <= 1.0
    assert "A run of it scores higher than one of Random with probability" in answer(findings)


def test_a_bound_shows_on_which_side_of_zero_it_lies() -> None:
    assert span(-0.0047, 0.4424) == "−0.005 to 0.44"
    assert span(0.00021, 0.0049) == "0.0002 to 0.005"
    assert span(-0.005001, 0.0) == "−0.01 to 0.00"
    assert span(-1e-17, 12.0) == "0.00 to 12.0"  # what rounding leaves is no side
