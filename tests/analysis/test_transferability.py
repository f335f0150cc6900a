"""Predictors of transfer in the report: pairs from rows by hand, the verdicts, and a section that says who does not beat whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from xtra_analysis.learning_curves import areas
from xtra_analysis.report import write_report
from xtra_analysis.study import Study, read_study
from xtra_analysis.transferability import (
    NO_STATIC,
    Pairs,
    early_scores,
    evaluate_predictors,
    finetuning_seconds,
    read_pairs,
    title,
    verdicts,
)

from xtra.store.rows import COSTS, CURVES, PROBES, SCORES, SOURCE_SCORES, TABLES, to_csv

GAMES = ("Catch", "CatchSlow", "CatchFast", "CatchWide")
SEEDS = (0, 1, 2)
STEPS = (250, 500, 2_500, 5_000)


def gain(source: str, target: str) -> float:
    """What a source brings to a target, in steps that no noise of these rows turns around."""
    return 0.1 * ((GAMES.index(source) - GAMES.index(target)) % len(GAMES))


def identity(method: str, game: str, seed: int) -> dict[str, Any]:
    agent = {"protocol": "catch", "method": method, "agent": "efficientzero"}
    return {"suite": "transferability", "suite_version": 1, **agent, "game": game, "seed": seed}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of four games, each from every other: `planted` is the gain itself, `backward` its opposite."""
    directory = tmp_path / "run"
    directory.mkdir()
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in TABLES}
    methods = ["EfficientZero", *(f"From {game}" for game in GAMES)]
    for method in methods:
        source = method.removeprefix("From ")
        for place, game in enumerate(GAMES):
            for seed in SEEDS:
                if source != game:
                    _add_cell(rows, identity(method, game, seed), source, -0.2 + 0.05 * place + 0.02 * seed)
    record = _record(methods)
    (directory / "run.json").write_text(json.dumps(record), encoding="utf-8")
    for table in TABLES:
        (directory / table.file_name).write_text(to_csv(table, rows[table.name]), encoding="utf-8")
    return directory


def _add_cell(rows: dict[str, list[dict[str, Any]]], cell: dict[str, Any], source: str, level: float) -> None:
    from_scratch = source == "EfficientZero"
    brought = 0.0 if from_scratch else gain(source, cell["game"])
    key = "-".join(str(cell[name]) for name in ("method", "game", "seed"))
    for step in STEPS:
        score = level + brought + step / 10_000
        rows[CURVES.name].append(cell | {"env_steps": step, "updates": step, "score": score, "num_episodes": 8})
    keys = {"train_key": f"train-{key}", "evaluate_key": f"evaluate-{key}"}
    counts = {"num_episodes": 8, "env_steps": 5_000, "updates": 1_000}
    score_rule = {"status": "complete", "score": level + brought + 0.5, "score_rule": "mean_episode_return"}
    rows[SCORES.name].append(cell | score_rule | counts | keys)
    named = {name: cell[name] for name in ("method", "game", "seed")}
    cost = {"stage": "train", "key": keys["train_key"], "device": "cpu", "sharers": 1}
    rows[COSTS.name].append(named | cost | {"seconds": 60.0 if from_scratch else 100.0})
    if not from_scratch:
        pair = cell | {"source_game": source}
        values = {"planted": brought, "backward": -brought, "reward_probe": 1.0}
        rows[PROBES.name] += [pair | {"predictor": name, "value": value, "seconds": 2.0} for name, value in values.items()]
        own = {"score": 0.5, "num_episodes": 8, "data_score": 0.9, "pretrain_key": f"pretrain-{source}"}
        rows[SOURCE_SCORES.name].append(pair | own)


def _record(methods: list[str]) -> dict[str, Any]:
    return {
        "schema_version": 2,
        "suite": "transferability",
        "suite_version": 1,
        "question": "Can it be told?",
        "protocol": "catch",
        "protocol_name": "catch",
        "protocol_summary": "Catch.",
        "proves": "learning",
        "normalization": "maximum",
        "games": list(GAMES),
        "seeds": list(SEEDS),
        "methods": [
            {"name": name, "agent": "efficientzero", "left_out": [game for game in GAMES if name == f"From {game}"]}
            for name in methods
        ],
        "baseline": "EfficientZero",
        "preset": "tiny",
        "provenance": {},
    }


@pytest.fixture
def study(run: Path) -> Study:
    return read_study([run])


def pairs_of(study: Study) -> Pairs:
    pairs = read_pairs(study)
    assert pairs is not None
    return pairs


def test_the_area_under_a_curve_is_its_mean_height_between_the_first_and_the_last_evaluation() -> None:
    curve = pd.DataFrame({"env_steps": [300, 100, 200], "normalized": [1.0, 0.0, 1.0]})
    # From 100 to 200 on average 0.5, from 200 to 300 it is 1.
    assert areas(curve.assign(method="A", game="Catch", seed=0))["value"].tolist() == pytest.approx([0.75])
    assert areas(curve[:1].assign(method="A", game="Catch", seed=0))["value"].tolist() == [1.0]


def test_methods_that_leave_their_own_games_out_are_told_of_once(run: Path, tmp_path: Path) -> None:
    page = write_report([run], tmp_path / "report").read_text(encoding="utf-8")
    assert page.count("play all games but those that they come from") == 1
    assert "No score on" not in page


def test_the_early_score_is_that_of_the_first_evaluation_after_a_twentieth_of_the_budget() -> None:
    curve = pd.DataFrame({"env_steps": [5_000, 240, 250, 500], "normalized": [0.9, 0.1, 0.2, 0.3]})
    assert early_scores(curve.assign(method="A", game="Catch", seed=0))["value"].tolist() == [0.2]


def test_games_without_reference_scores_are_compared_in_shares_of_what_scratch_scores(study: Study) -> None:
    normalized = pairs_of(study)
    assert normalized.unit == "normalized score"
    for table in ("curves", "source_scores"):
        study.tables[table]["normalized"] = np.nan
    pairs = pairs_of(study)
    assert pairs.unit == "shares of EfficientZero's mean final score"
    target, source = 1, 0
    place = GAMES.index(pairs.targets[target])
    final = np.mean([-0.2 + 0.05 * place + 0.02 * seed + max(STEPS) / 10_000 for seed in SEEDS])
    brought = gain(pairs.sources[source], pairs.targets[target])
    np.testing.assert_allclose(pairs.gains[target, source], brought / final)


def test_a_pair_gains_over_scratch_of_the_same_seed_and_is_absent_where_a_game_is_its_own_source(study: Study) -> None:
    pairs = pairs_of(study)
    assert (pairs.targets, pairs.sources, pairs.seeds) == (tuple(sorted(GAMES)), tuple(sorted(GAMES)), SEEDS)
    for place, target in enumerate(pairs.targets):
        for other, source in enumerate(pairs.sources):
            # Normalized by the span from a random agent (-0.6) to the maximum (1).
            expected = np.nan if source == target else gain(source, target) / 1.6
            assert pairs.gains[place, other].tolist() == pytest.approx([expected] * 3, nan_ok=True)
    np.testing.assert_allclose(pairs.predictors["early_gain"], pairs.gains)
    assert (pairs.seconds["planted"], finetuning_seconds(study)) == (2.0, 100.0)
    assert pairs.seconds["early_gain"] == pytest.approx(5.0)


def test_cells_that_a_method_leaves_out_are_not_missing(study: Study) -> None:
    assert study.missing.empty


def test_every_predictor_is_judged_beside_the_static_ranking(study: Study) -> None:
    frame = evaluate_predictors(pairs_of(study)).set_index("predictor")
    assert frame.loc[["planted", "backward", "reward_probe", "constant", "early_gain"], "tau"].tolist() == [1, -1, 0, 0, 1]
    assert frame.loc[["planted", "backward"], "gain_lost"].tolist() == pytest.approx([0.0, 0.2 / 1.6])
    # What is one-sided and ties everywhere cannot be called anything.
    assert frame.loc["reward_probe", "p_holm"] == frame.loc["backward", "p_holm"] == 1.0
    assert frame.loc["planted", "difference"] == pytest.approx(1 - frame.loc["static_ranker", "tau"])
    assert np.isnan(frame.loc["constant", "p_holm"])
    # Four games can be named in 24 ways, of which the gains have one, and four turn them round: 4 / 24 before Holm.
    assert frame.loc["planted", "p_holm"] > 0.05


def test_verdicts_name_everyone_once_in_sentences_alike() -> None:
    frame = pd.DataFrame(
        {
            "predictor": ["constant", "static_ranker", "cka", "logme", "value_prefix_fit.5", "early_gain"],
            "p_holm": [np.nan, 0.01, 0.01, 0.5, 0.01, 0.001],
            "difference_p_holm": [np.nan, np.nan, 0.2, 0.9, 0.06, 0.01],
        }
    )
    assert verdicts(frame) == [
        "Beats the static ranking of the sources: gain after 5 % of the budget.",
        "Not shown to beat the static ranking of the sources: CKA and value prefix fit (step 5).",
        "Not shown to beat the static ranking of the sources, and cannot be told from chance: LogME.",
    ]


def test_noise_on_one_target_beats_no_static_ranking_for_there_is_none() -> None:
    random = np.random.default_rng(7)
    noise, absent = random.normal(size=(1, 5, 5)), np.full((1, 5, 5), np.nan)
    pairs = Pairs(("X",), tuple("ABCDE"), (0, 1, 2, 3, 4), random.normal(size=(1, 5, 5)), {"cka": noise, "logme": absent}, {}, "")
    frame = evaluate_predictors(pairs).set_index("predictor")
    assert frame.loc["static_ranker", ["tau", "low", "high", "p_holm"]].isna().all()
    assert frame["difference_p_holm"].isna().all() and frame.loc["logme", ["tau", "low", "p_holm"]].isna().all()
    assert frame.loc["cka", ["tau", "low", "high", "p_holm"]].notna().all()
    assert verdicts(frame.reset_index()) == [
        NO_STATIC,
        "Cannot be told from chance: CKA.",
        "Not defined, since no target has two sources with a value: LogME.",
    ]


def test_titles_are_words() -> None:
    assert title("gradient_cosine.dynamics") == "gradient cosine (dynamics)"
    assert title("own_score") == "the source's own score"


def test_the_report_has_a_section_of_predictors_with_verdicts_in_plain_paragraphs(run: Path, tmp_path: Path) -> None:
    page = write_report([run], tmp_path / "report").read_text(encoding="utf-8")
    assert "Can transfer be foretold?" in page
    assert "<p>Not shown to beat the static ranking of the sources" in page
    table = pd.read_csv(tmp_path / "report" / "tables" / "predictors.csv")
    assert set(table["predictor"]) >= {"constant", "static_ranker", "own_score", "early_gain", "planted", "backward"}


def test_a_run_without_probes_has_no_such_section(run: Path) -> None:
    (run / "probes.csv").unlink()  # as runs have it that were collected before there were any
    assert read_pairs(read_study([run])) is None
