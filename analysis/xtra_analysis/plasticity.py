"""Plasticity, whether networks can still learn: dormant units and the effective rank of latents, over training and at its end."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.columns import METHOD
from xtra_analysis.findings import Findings
from xtra_analysis.learning_curves import mean_curves, plot_learning_curves
from xtra_analysis.page import Column, Picture, Section, Table
from xtra_analysis.text import number, percent

QUANTITIES = {
    "dormant_fraction": ("Dormant units", "share of dormant units"),
    "effective_rank": ("Effective rank", "effective rank of the latents"),
}
"""Columns of the table `plasticity`: a label for an axis, and words for a sentence."""


def plasticity_section(findings: Findings) -> Section | None:
    """Makes curves of both quantities, one panel per game, and where each method began and ended."""
    table = findings.study.tables["plasticity"]
    if table.empty:
        return None
    pictures = [
        Picture(
            f"plasticity_{quantity}",
            plot_learning_curves(table, quantity, label, findings.emphasis),
            f"Line charts, one per game: {words} over env steps. At the end: {_spoken(table, quantity)}.",
            f"The {words} while learning: means over seeds, thin lines are runs.",
            mean_curves(table, quantity),
            folded=quantity != "dormant_fraction",
        )
        for quantity, (label, words) in QUANTITIES.items()
    ]
    return Section("plasticity", "Can the networks still learn?", [*pictures, _table(first_and_last(table))])


def first_and_last(table: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per (method, game): both quantities at each run's first and last measurement, as means over seeds.

    table: of a study, `plasticity`. The columns are `<quantity>_first`, `<quantity>_last` and `num_seeds`.
    """
    runs = table.sort_values("env_steps", kind="stable").groupby(["method", "game", "seed"], sort=False)[list(QUANTITIES)]
    ends = runs.first().join(runs.last(), lsuffix="_first", rsuffix="_last")
    grouped = ends.groupby(["method", "game"], sort=False)
    ends_of_method = grouped.mean().assign(num_seeds=grouped.size())
    # Sorted by env steps the runs come in another order than the study's methods.
    order = table.drop_duplicates(["method", "game"])[["method", "game"]]
    return order.merge(ends_of_method.reset_index(), on=["method", "game"])


def _spoken(table: pd.DataFrame, quantity: str) -> str:
    last = first_and_last(table).groupby("method", sort=False)[f"{quantity}_last"].mean()
    return "; ".join(f"{method} {number(value)}" for method, value in last.items())


def _table(frame: pd.DataFrame) -> Table:
    columns = [
        METHOD,
        Column("Game", lambda row: row.game, numeric=False),
        Column("Dormant units, first", lambda row: percent(row.dormant_fraction_first)),
        Column("last", lambda row: percent(row.dormant_fraction_last)),
        Column("Effective rank, first", lambda row: number(row.effective_rank_first)),
        Column("last", lambda row: number(row.effective_rank_last)),
        Column("Seeds", lambda row: str(row.num_seeds)),
    ]
    notes = [
        "At the first and at the last evaluation during training, means over seeds, on 256 observations that the agent has "
        "lately seen. A unit is dormant when its mean activation is at most 2.5 % of its layer's; the effective rank is the "
        "number of singular values of the latents that make 99 % of their sum.",
    ]
    return Table("plasticity", "Plasticity", frame, columns, notes)
