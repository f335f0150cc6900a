"""Curves over env steps and hours, worst cases, and what a random baseline may not be used for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from xtra_analysis.compute import hours_label, hours_per_run, over_hours
from xtra_analysis.curves import common_points, relative_efficiency, sample_efficiency
from xtra_analysis.estimates import estimate
from xtra_analysis.findings import find
from xtra_analysis.headline import answer
from xtra_analysis.sensitivity import worst_case
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS

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


def test_hours_start_with_the_share_of_what_a_method_stands_on(make_run: MakeRun) -> None:
    run = make_run("run")
    header = "method,game,seed,stage,key,seconds,device,sharers\n"
    rows = [
        f"XTRA,{game},{seed},{stage}\n"
        for game in ("Alien", "Carnival")
        for seed in range(3)
        for stage in (
            f"pretrain,p-{game},36000,cuda,10",
            f"train,t-{game}-{seed},7200,cuda,1",
            f"evaluate,e-{game}-{seed},1800,cuda,1",
        )
    ]
    (run / "costs.csv").write_text(header + "".join(rows))
    study = read_study([run])

    hours = hours_per_run(study)
    assert hours[["preparation_hours", "training_hours", "evaluation_hours", "total_hours"]].iloc[0].tolist() == pytest.approx(
        [1.0, 2.0, 0.5, 3.5]
    )
    points = pd.DataFrame({"method": ["XTRA"] * 3, "env_steps": [0, 50, 100], "estimate": [0.0, 0.5, 1.0]})
    assert over_hours(points, hours)["hours"].tolist() == pytest.approx([1.0, 2.0, 3.0])
    assert hours_label(study) == "GPU-hours"


def test_missing_runs_are_filled_with_the_worst_and_best_of_their_game() -> None:
    scores = pd.DataFrame(
        [("a", "g", 0, 0.2), ("a", "g", 1, None), ("b", "g", 0, 0.0), ("b", "g", 1, 1.0)],
        columns=["method", "game", "seed", "normalized"],
    )
    table = worst_case(scores.astype({"normalized": "float64"}))
    assert table["method"].tolist() == ["a"]
    assert table.iloc[0][["num_missing", "estimate", "worst", "best"]].tolist() == pytest.approx([1, 0.2, 0.1, 0.6])


def test_nothing_is_divided_by_a_random_agents_score(make_run: MakeRun) -> None:
    findings = find(read_study([make_run("run", methods=[METHODS[0], METHODS[-1]], baseline="Random")]))
    assert set(findings.comparison["statistic"]) == {"probability_of_improvement"}
    assert findings.game_ratios.empty and findings.relative_efficiency.empty


def test_no_interval_reaches_beyond_the_maximum_of_a_game(make_run: MakeRun) -> None:
    methods = [dataclasses.replace(METHODS[0], factor=2.7), METHODS[-1]]
    run = make_run("run", methods=methods, games=["Catch"], normalization="maximum", protocol="catch", baseline="Random")
    study = read_study([run])
    assert estimate(study.scores, reps=200)["high"].max() > 1.0
    findings = find(study)
    raised = findings.estimates[findings.estimates["statistic"] != "optimality_gap"]
    assert raised["high"].max() <= 1.0 and findings.efficiency["high"].max() <= 1.0
    assert "A run of it beats one of Random with probability" in answer(findings)
