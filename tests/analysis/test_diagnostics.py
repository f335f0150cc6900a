"""What training learned: the end of each run, and the sentences that say where something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from xtra_analysis.analyse import analyse
from xtra_analysis.diagnostics import diagnostics_section, first_and_last, last_diagnostics, means_over_seeds, warnings_about
from xtra_analysis.page import Table
from xtra_analysis.report import write_report
from xtra_analysis.study import read_study

from xtra.store.rows import PLASTICITY, to_csv

HEALTHY = {
    ("value_prefix_loss.training", 1): 1.0,
    ("value_prefix_loss.training", 2): 2.0,
    ("value_prefix_loss.evaluation", 1): 1.5,
    ("value_prefix_loss.evaluation", 2): 2.5,
    ("consistency_loss.training", 1): -0.9,
    ("consistency_loss.evaluation", 1): -0.8,
    ("policy_loss.evaluation", 0): 1.2,
    ("policy_loss.evaluation", 1): 9.0,
    ("policy_loss.uniform", 0): 2.0,
    ("policy_target_entropy", 0): 0.5,
    ("policy_loss.own_search", 0): 1.0,
    ("search_agreement", 0): 0.9,
    ("target_policy_shift", 0): 0.1,
    ("q_spread", 0): 0.3,
    ("q_shift", 0): 0.1,
}


def rows(
    figures: dict[tuple[str, int], float], method: str = "EfficientZero", seed: int = 0, env_steps: int = 20
) -> pd.DataFrame:
    table = [(method, "Pong", seed, env_steps, quantity, step, value) for (quantity, step), value in figures.items()]
    return pd.DataFrame(table, columns=["method", "game", "seed", "env_steps", "quantity", "unroll_step", "value"])


def test_the_last_point_counts_summed_over_unroll_steps_and_as_a_mean_over_seeds() -> None:
    early = rows(dict.fromkeys(HEALTHY, 100.0), env_steps=10)
    other = rows(HEALTHY | {("value_prefix_loss.training", 1): 2.0}, seed=1)
    row = means_over_seeds(last_diagnostics(pd.concat([early, rows(HEALTHY), other], ignore_index=True))).iloc[0]
    assert (row["prefix_training"], row["prefix_evaluation"]) == (pytest.approx(3.5), pytest.approx(4.0))
    # A policy is judged at the observation itself.
    assert (row["policy"], row["uniform"], row["num_seeds"]) == (pytest.approx(1.2), pytest.approx(2.0), 2)


def test_a_policys_loss_is_not_said_to_lie_below_a_uniform_ones(make_run: Callable[..., Path]) -> None:
    """Weight on actions that the game does not have costs too: a new network with 18 outputs loses log 18 where 3 are valid."""
    findings = analyse(read_study([make_run("run")]))
    section = diagnostics_section(replace(findings, study=replace(findings.study, tables={"diagnostics": rows(HEALTHY)})))
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    note = table.notes[1]
    assert "Early in training it can be far above that: where a network has outputs for more actions" in note
    assert "lies between" not in note


def test_nothing_is_said_of_a_training_that_learned() -> None:
    assert warnings_about(last_diagnostics(rows(HEALTHY))) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({("value_prefix_loss.evaluation", 2): 6.0}, "The model acts differently from how it trains"),
        ({("policy_loss.evaluation", 0): 1.95}, "The policy has learned next to nothing of its targets"),
        ({("search_agreement", 0): 0.4}, "Policy targets are mostly noise"),
        ({("target_policy_shift", 0): 0.6}, "Policies move faster than they can be learned"),
        ({("q_shift", 0): 0.4}, "Values of actions are mostly noise"),
    ],
)
def test_each_kind_of_trouble_is_told_with_its_method_and_game(change: dict[tuple[str, int], float], sentence: str) -> None:
    table = pd.concat([rows(HEALTHY), rows(HEALTHY | change, method="Other")], ignore_index=True)
    (warning,) = warnings_about(last_diagnostics(table))
    assert warning.startswith(sentence)
    assert "(Other on Pong in 1 of 1 run)" in warning


def test_a_run_that_learned_nothing_is_told_of_though_the_mean_looks_healthy() -> None:
    """Policy losses of 1.95 and 1.2 twice, where a uniform one loses 2.0: 1.45 on average."""
    table = pd.concat([rows(HEALTHY | {("policy_loss.evaluation", 0): 1.95}), rows(HEALTHY, seed=1), rows(HEALTHY, seed=2)])
    (warning,) = warnings_about(last_diagnostics(table))
    assert warning == "The policy has learned next to nothing of its targets (EfficientZero on Pong in 1 of 3 runs)."


def test_runs_that_did_not_measure_q_are_shown_without_it() -> None:
    older = {key: value for key, value in HEALTHY.items() if not key[0].startswith("q_")}
    frame = last_diagnostics(rows(older))
    assert frame[["q_spread", "q_shift"]].isna().all(axis=None)
    assert warnings_about(frame) == []
    troubled = rows(HEALTHY | {("q_shift", 0): 0.4}, seed=1)
    (warning,) = warnings_about(last_diagnostics(pd.concat([rows(older), troubled, rows(HEALTHY, seed=2)], ignore_index=True)))
    assert "(EfficientZero on Pong in 1 of 2 runs)" in warning
    mixed = means_over_seeds(last_diagnostics(pd.concat([rows(older), rows(HEALTHY, method="Other")], ignore_index=True)))
    spread = mixed.set_index("method")["q_spread"]
    assert spread["Other"] == pytest.approx(0.3)
    assert pd.isna(spread["EfficientZero"])


def plasticity_rows(method: str = "XTRA", game: str = "Alien") -> pd.DataFrame:
    """Two seeds: the second begins later and ends earlier."""
    measured = [(0, 300, 0.1, 50), (0, 100, 0.4, 20), (0, 200, 0.9, 90), (1, 150, 0.2, 40), (1, 250, 0.3, 60)]
    frame = pd.DataFrame(measured, columns=["seed", "env_steps", "dormant_fraction", "effective_rank"])
    return frame.assign(method=method, game=game)


def test_each_run_counts_where_it_began_and_where_it_ended() -> None:
    (row,) = first_and_last(plasticity_rows()).itertuples()
    assert (row.dormant_fraction_first, row.dormant_fraction_last) == (pytest.approx(0.3), pytest.approx(0.2))
    assert (row.effective_rank_first, row.effective_rank_last, row.num_seeds) == (30.0, 55.0, 2)


def test_methods_and_games_stay_in_the_order_of_the_study() -> None:
    later = plasticity_rows("EfficientZero").assign(env_steps=lambda frame: frame["env_steps"] + 1_000)
    frame = first_and_last(pd.concat([later, plasticity_rows("XTRA", "Pong"), plasticity_rows()], ignore_index=True))
    assert list(zip(frame["method"], frame["game"], strict=True)) == [
        ("EfficientZero", "Alien"),
        ("XTRA", "Pong"),
        ("XTRA", "Alien"),
    ]


def test_the_report_draws_both_quantities_where_they_were_measured(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run("run")
    silent = write_report([run], tmp_path / "silent").read_text(encoding="utf-8")
    assert "Can the networks still learn?" not in silent
    identity = {"suite": "synthetic", "suite_version": 1, "protocol": "atari100k", "agent": "efficientzero"}
    measured = plasticity_rows().assign(updates=0, **identity)
    (run / "plasticity.csv").write_text(to_csv(PLASTICITY, measured.to_dict("records")), encoding="utf-8")
    page = write_report([run], tmp_path / "report").read_text(encoding="utf-8")
    assert "Can the networks still learn?" in page
    for quantity in ("dormant_fraction", "effective_rank"):
        assert (tmp_path / "report" / "figures" / f"plasticity_{quantity}.svg").exists()
    assert pd.read_csv(tmp_path / "report" / "tables" / "plasticity.csv")["num_seeds"].tolist() == [2]
