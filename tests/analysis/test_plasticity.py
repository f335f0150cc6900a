"""Plasticity in the report: where runs began and ended by hand, curves of both quantities, nothing where nothing was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from xtra_analysis.plasticity import first_and_last
from xtra_analysis.report import write_report

from xtra.store.rows import PLASTICITY, to_csv


def rows(method: str = "XTRA", game: str = "Alien") -> pd.DataFrame:
    """Two seeds: the second begins later and ends earlier."""
    measured = [(0, 300, 0.1, 50), (0, 100, 0.4, 20), (0, 200, 0.9, 90), (1, 150, 0.2, 40), (1, 250, 0.3, 60)]
    frame = pd.DataFrame(measured, columns=["seed", "env_steps", "dormant_fraction", "effective_rank"])
    return frame.assign(method=method, game=game)


def test_each_run_counts_where_it_began_and_where_it_ended() -> None:
    (row,) = first_and_last(rows()).itertuples()
    assert (row.dormant_fraction_first, row.dormant_fraction_last) == (pytest.approx(0.3), pytest.approx(0.2))
    assert (row.effective_rank_first, row.effective_rank_last, row.num_seeds) == (30.0, 55.0, 2)


def test_methods_and_games_stay_in_the_order_of_the_study() -> None:
    later = rows("EfficientZero").assign(env_steps=lambda frame: frame["env_steps"] + 1_000)
    frame = first_and_last(pd.concat([later, rows("XTRA", "Pong"), rows()], ignore_index=True))
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
    measured = rows().assign(updates=0, **identity)
    (run / "plasticity.csv").write_text(to_csv(PLASTICITY, measured.to_dict("records")), encoding="utf-8")
    page = write_report([run], tmp_path / "report").read_text(encoding="utf-8")
    assert "Can the networks still learn?" in page
    for quantity in ("dormant_fraction", "effective_rank"):
        assert (tmp_path / "report" / "figures" / f"plasticity_{quantity}.svg").exists()
    assert pd.read_csv(tmp_path / "report" / "tables" / "plasticity.csv")["num_seeds"].tolist() == [2]
