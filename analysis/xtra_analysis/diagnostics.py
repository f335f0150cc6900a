"""The inside of training: what an agent has learned of its targets, with warnings where it seems to have learned nothing; and its
plasticity, whether the networks can still learn: dormant units and the effective rank of latents, over training and at its end.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from xtra_analysis.columns import METHOD
from xtra_analysis.findings import Findings
from xtra_analysis.learning_curves import mean_curves, plot_learning_curves
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.text import counted, number, percent

MODE_GAP = 1.5
"""Value prefixes whose loss grows by this factor from training mode to evaluation mode are not what the search sees."""
UNLEARNED_POLICY = 0.95
"""A policy that loses this share of what a uniform one loses has learned nothing."""
NOISY_SEARCH = 0.5
"""Below this share of equal first choices, two searches of one position by one network disagree more often than not."""
MOVING_POLICY = 0.5
"""A total variation between one target network's policy and the next one's that no policy can follow."""

COLUMNS = (
    "prefix_training",
    "prefix_evaluation",
    "consistency_training",
    "consistency_evaluation",
    "policy",
    "uniform",
    "entropy",
    "own_search",
    "agreement",
    "shift",
    "q_spread",
    "q_shift",
)

QUANTITIES = {
    "dormant_fraction": ("Dormant units", "share of dormant units"),
    "effective_rank": ("Effective rank", "effective rank of the latents"),
}
"""Columns of the table `plasticity`: a label for an axis, and words for a sentence."""


def last_diagnostics(table: pd.DataFrame) -> pd.DataFrame:
    """Makes one row per run, a (method, game, seed): the figures of the last point of its curve, summed over unroll steps.

    table: of a study, `diagnostics`. The columns besides are `COLUMNS`; figures that a run did not measure, NaN.
    """
    cell = ["method", "game", "seed"]
    last = table[table["env_steps"] == table.groupby(cell)["env_steps"].transform("max")]
    summed = last.groupby([*cell, "quantity"], sort=False)["value"].sum().unstack("quantity")
    first = last[last["unroll_step"] == 0].set_index([*cell, "quantity"])["value"].unstack("quantity")
    figures = pd.DataFrame(
        {
            "prefix_training": summed["value_prefix_loss.training"],
            "prefix_evaluation": summed["value_prefix_loss.evaluation"],
            "consistency_training": summed["consistency_loss.training"],
            "consistency_evaluation": summed["consistency_loss.evaluation"],
            "policy": first["policy_loss.evaluation"],
            "uniform": first["policy_loss.uniform"],
            "entropy": first["policy_target_entropy"],
            "own_search": first["policy_loss.own_search"],
            "agreement": first["search_agreement"],
            "shift": first["target_policy_shift"],
            # Older runs did not measure Q.
            "q_spread": first.get("q_spread", np.nan),
            "q_shift": first.get("q_shift", np.nan),
        }
    )
    # Unstacking sorts; rows stay in the study's order.
    return table[cell].drop_duplicates().merge(figures.reset_index(), on=cell)


def means_over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Makes one row per (method, game) of `last_diagnostics`: means of `COLUMNS` over its runs, and `num_seeds`."""
    grouped = runs.groupby(["method", "game"], sort=False)
    return grouped[list(COLUMNS)].mean().assign(num_seeds=grouped.size()).reset_index()


def warnings_about(runs: pd.DataFrame) -> list[str]:
    """Returns a sentence per kind of trouble that rows of `last_diagnostics` show, naming methods, games and how many runs.

    Each run is judged by itself: means over seeds can look healthy where one run has learned nothing.
    """
    kinds = {
        "The model acts differently from how it trains: its value prefixes are much worse with batch norm's running statistics, "
        "which searches use": (runs["prefix_evaluation"], MODE_GAP * runs["prefix_training"]),
        "The policy has learned next to nothing of its targets": (runs["policy"], UNLEARNED_POLICY * runs["uniform"]),
        "Policy targets are mostly noise: two searches of a position prefer different actions": (NOISY_SEARCH, runs["agreement"]),
        "Policies move faster than they can be learned, from one target network to the next": (runs["shift"], MOVING_POLICY),
        "Values of actions are mostly noise: from one target network to the next they change by more than they differ between "
        "actions; a larger agent.search.gumbel_min_span trusts them less": (runs["q_shift"], runs["q_spread"]),
    }
    warnings = []
    for kind, (larger, smaller) in kinds.items():
        # What a run did not measure is neither well nor ill.
        measured = (larger - smaller).dropna().gt(0.0).groupby([runs["method"], runs["game"]], sort=False)
        counts = [
            f"{method} on {game} in {troubled.sum()} of {counted(len(troubled), 'run')}"
            for (method, game), troubled in measured
            if troubled.any()
        ]
        if counts:
            warnings.append(f"{kind} ({'; '.join(counts)}).")
    return warnings


def diagnostics_section(findings: Findings) -> Section | None:
    """Shows losses, policies and searches at the last evaluation during training."""
    table = findings.study.tables["diagnostics"]
    if table.empty:
        return None
    runs = last_diagnostics(table)
    warned = [Paragraph(text, warning=True) for text in warnings_about(runs)]
    frame = means_over_seeds(runs).dropna(axis=1, how="all")
    columns = [
        Column("Method", lambda row: row.method, numeric=False),
        Column("Game", lambda row: row.game, numeric=False),
        Column("Value prefixes, training", lambda row: number(row.prefix_training)),
        Column("as it acts", lambda row: number(row.prefix_evaluation)),
        Column("Consistency, training", lambda row: number(row.consistency_training)),
        Column("as it acts", lambda row: number(row.consistency_evaluation)),
        Column("Policy", lambda row: number(row.policy)),
        Column("at best", lambda row: number(row.entropy)),
        Column("uniform", lambda row: number(row.uniform)),
        Column("own search", lambda row: number(row.own_search)),
        Column("Searches agree", lambda row: percent(row.agreement)),
        Column("Targets move", lambda row: percent(row.shift)),
        Column("Seeds", lambda row: str(row.num_seeds)),
    ]
    if "q_spread" in frame:
        columns[-1:-1] = [
            Column("Q differs", lambda row: number(row.q_spread)),
            Column("Q moves", lambda row: number(row.q_shift)),
        ]
    notes = [
        "Losses on one batch of the replay at the end of training, as a mean over seeds: those of value prefixes and consistency "
        "summed over unroll steps, the policy's at the observation itself. As it acts: with batch norm's running statistics.",
        "Compare a policy's loss with the entropy of its targets (at best: no policy can lose less) and with what a policy loses "
        "that is uniform over the game's valid actions. Early in training it can be far above that: where a network has outputs "
        "for more actions, weight on invalid ones costs too, although searches leave them out. Own search: of the acting "
        "network's prior, over valid actions, towards its own searches.",
        "Searches agree: two searches of a position, with other noise at the root, prefer the same action. Targets move: total "
        "variation between the policies of two target networks in a row.",
    ]
    if "q_spread" in frame:
        notes.append(
            "Q differs: standard deviation of a one-step Q over the actions. Q moves: how much an action's Q, less the mean of "
            "all, changes from one target network to the next; differences are noise where it moves as much."
        )
    return Section(
        "diagnostics", "What training learned", [*warned, Table("diagnostics", "At the end of training", frame, columns, notes)]
    )


def plasticity_section(findings: Findings) -> Section | None:
    """Makes curves of both quantities, one panel per game, and where each method began and ended."""
    table = findings.study.tables["plasticity"]
    if table.empty:
        return None
    pictures = [
        Picture(
            f"plasticity_{quantity}",
            plot_learning_curves(table, quantity, label, findings.emphasis),
            f"Line charts, one per game: {words} over env steps. At the end: {_at_the_end(table, quantity)}.",
            f"The {words} while learning: means over seeds, thin lines are runs.",
            mean_curves(table, quantity),
            folded=quantity != "dormant_fraction",
        )
        for quantity, (label, words) in QUANTITIES.items()
    ]
    return Section("plasticity", "Can the networks still learn?", [*pictures, _plasticity_table(first_and_last(table))])


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


def _at_the_end(table: pd.DataFrame, quantity: str) -> str:
    last = first_and_last(table).groupby("method", sort=False)[f"{quantity}_last"].mean()
    return "; ".join(f"{method} {number(value)}" for method, value in last.items())


def _plasticity_table(frame: pd.DataFrame) -> Table:
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
