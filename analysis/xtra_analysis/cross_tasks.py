"""Cross-tasks: task weights over time, where they ended, and how similar the gradients of the games are."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xtra_analysis.drawing import (
    MAX_COLUMNS,
    Curve,
    Look,
    add_legend,
    draw_band,
    draw_curves,
    label_steps,
    legend_handles,
    legend_height,
    looks,
    new_figure,
    xtra_style,
)
from xtra_analysis.findings import Findings
from xtra_analysis.page import Column, Picture, Section, Table
from xtra_analysis.text import number, short


def plot_task_weights(table: pd.DataFrame) -> Figure:
    """Draws rows of the table `task_weights` of one method: one panel per target game, one line per source game, mean over seeds.

    Bands reach from the lowest to the highest seed.
    """
    games, sources = sorted(table["game"].unique()), sorted(table["source_game"].unique())
    drawn, points = looks(sources), weights_over_seeds(table)
    width = min(len(games), MAX_COLUMNS)
    height = math.ceil(len(games) / width)
    with xtra_style():
        inches = max(2.6 * width, 5.5)
        figure = new_figure(inches, 2.1 * height + 0.8 + legend_height(drawn, inches))
        panels = figure.subplots(height, width, squeeze=False, sharex=True, sharey=True)
        for axes, game in zip(panels.flat, games, strict=False):
            _draw_sources(axes, points[points["game"] == game], drawn)
            axes.set_title(short(game, 20))
            axes.set_ylim(-0.04, max(1.0, float(table["weight"].max())) + 0.04)
            label_steps(axes)
            axes.tick_params(labelbottom=True)
        for axes in panels.flat[len(games) :]:
            axes.set_visible(False)
        figure.supxlabel("Updates", fontsize=10.5)
        figure.supylabel("Task weight", fontsize=10.5)
        add_legend(figure, legend_handles(drawn))
    return figure


def _draw_sources(axes: Axes, rows: pd.DataFrame, drawn: dict[str, Look]) -> None:
    curves = []
    for source, part in rows.groupby("source_game"):
        draw_band(axes, part["updates"], part, str(source), drawn[str(source)])
        curves.append(Curve(str(source), list(part["updates"]), list(part["estimate"])))
    draw_curves(axes, curves, drawn)


def weights_over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Computes mean, lowest and highest weight over seeds of each (target game, source game) after each number of updates."""
    grouped = rows.groupby(["game", "source_game", "updates"])["weight"]
    return grouped.agg(estimate="mean", low="min", high="max", num_runs="size").reset_index()


def mean_similarity(rows: pd.DataFrame) -> pd.DataFrame:
    """Computes the mean cosine over seeds and updates of each (target game, source game)."""
    return rows.groupby(["game", "source_game"])["gradient_similarity"].mean().reset_index()


def plot_gradient_similarity(table: pd.DataFrame) -> Figure:
    """Draws rows of the table `task_weights` of one method: a heat map of source × target games.

    Each cell is the mean cosine over seeds and updates.
    """
    matrix = mean_similarity(table).pivot(index="source_game", columns="game", values="gradient_similarity")
    largest = max(0.05, float(matrix.abs().max().max()))
    with xtra_style():
        figure = new_figure(2.6 + 0.72 * matrix.shape[1], 1.5 + 0.42 * matrix.shape[0])
        axes = figure.subplots()
        sns.heatmap(
            matrix, ax=axes, annot=True, fmt=".2f", cmap="PuOr_r", vmin=-largest, vmax=largest, linewidths=1.5, linecolor="white",
            cbar_kws={"label": "Mean cosine of gradients", "shrink": 0.85}, annot_kws={"size": 9},
        )  # fmt: skip
        axes.set(xlabel="Target game", ylabel="Source game")
        axes.grid(visible=False)
        axes.tick_params(length=0, rotation=0)
        axes.set_xticklabels([short(game, 20) for game in matrix.columns], rotation=35, ha="right")
        axes.set_yticklabels([short(game, 20) for game in matrix.index])
    return figure


BESIDE = 2
"""Most target games with which weights and similarities stand side by side."""


def cross_tasks_section(findings: Findings) -> Section | None:
    """Shows, for each method with cross-tasks, weights over updates and similarity of source and target; for all, the final
    weights."""
    table = findings.study.tables["task_weights"]
    if table.empty:
        return None
    wide = table["game"].nunique() > BESIDE
    blocks: list[Picture | Table] = []
    for place, (method, part) in enumerate(table.groupby("method", sort=False)):
        blocks += _pictures(str(method), part, place, wide)
    return Section("transfer", "Cross-tasks", [*blocks, _final_table(final_weights(table), findings.primary)])


def final_weights(table: pd.DataFrame) -> pd.DataFrame:
    """Makes one row per (method, target game, source game): each run's last weight and similarity, mean and spread over seeds.

    table: in the order of a study's, in which a run's measurements follow one another.
    """
    runs = table.groupby(["method", "game", "source_game", "seed"], sort=False).tail(1)
    return (
        runs.groupby(["method", "game", "source_game"], sort=False)
        .agg(
            weight=("weight", "mean"),
            weight_std=("weight", "std"),
            lowest=("weight", "min"),
            highest=("weight", "max"),
            gradient_similarity=("gradient_similarity", "mean"),
            updates=("updates", "max"),
            num_runs=("weight", "size"),
        )
        .reset_index()
    )


def _pictures(method: str, part: pd.DataFrame, place: int, wide: bool) -> list[Picture]:
    weights = Picture(
        f"task_weights_{place}",
        plot_task_weights(part),
        f"Line charts of {method}, one per target game: weight of each source game over updates.",
        f"{method}: how much each source game counts while finetuning; mean over seeds, bands from the lowest to the highest.",
        weights_over_seeds(part),
        wide=wide,
        folded=place > 0,
    )
    if not part["gradient_similarity"].notna().any():
        return [weights]
    similarity = Picture(
        f"gradient_similarity_{place}",
        plot_gradient_similarity(part),
        f"Heat map of {method}: mean cosine similarity of gradients, source games by target games.",
        f"{method}: cosine of the gradients of source and target game, mean over seeds and updates. "
        "Orange pulls the same way, purple against, clear or not: the colours span what there is.",
        mean_similarity(part),
        wide=wide,
        folded=place > 0,
    )
    return [weights, similarity]


def _final_table(weights: pd.DataFrame, primary: str | None) -> Table:
    shown = primary if primary in set(weights["method"]) else str(weights["method"].iloc[0])
    columns = [
        Column("Target game", lambda row: row.game, numeric=False),
        Column("Source game", lambda row: row.source_game, numeric=False),
        Column("Final weight", _weight),
        Column("Lowest to highest", lambda row: f"{number(row.lowest)} to {number(row.highest)}"),
        Column("Cosine", lambda row: number(row.gradient_similarity)),
        Column("Seeds", lambda row: str(row.num_runs)),
    ]
    notes = ["The last measurement of each run: mean ± standard deviation over seeds, their range, and the mean cosine then."]
    note = "of every method" if weights["method"].nunique() > 1 else ""
    frame = weights[weights["method"] == shown]
    return Table("final_task_weights", f"Final task weights of {shown}", frame, columns, notes, weights, note)


def _weight(row: Any) -> str:
    return number(row.weight) + ("" if pd.isna(row.weight_std) else f" ± {number(row.weight_std)}")
