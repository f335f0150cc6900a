"""Methods against a baseline: ratios and the probability of improvement."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from xtra_analysis.figures.aggregates import interval_rows, reference_line
from xtra_analysis.palette import RULE, short
from xtra_analysis.style import new_figure, xtra_style

UNSTABLE_MARK = " *"
BOUNDS = ("estimate", "low", "high", "percentile_low", "percentile_high")


def comparison(table: pd.DataFrame) -> Figure:
    """Of `compare`'s rows: the mean ratio to the baseline (line at 1) and the probability of improvement (line at ½)."""
    methods = list(dict.fromkeys(table["method"]))
    baseline = str(table["baseline"].iloc[0])
    panels = [
        ("mean_ratio", f"Mean score / {short(baseline, 22)}", 1.0),
        ("probability_of_improvement", f"P(better than {short(baseline, 18)})", 0.5),
    ]
    with xtra_style():
        figure = new_figure(8.6, 1.0 + 0.33 * len(methods))
        for axes, (statistic, title, neutral) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
            interval_rows(axes, table[table["statistic"] == statistic], methods)
            reference_line(axes, neutral)
            axes.set_title(title)
        axes.set_xlim(-0.03, 1.03)
    return figure


def ladder(table: pd.DataFrame) -> Figure:
    """Of `compare`'s rows: how far each variant falls below (or rises above) the full method, in suite order."""
    rows = table[table["statistic"] == "mean_ratio"].reset_index(drop=True)
    methods = list(rows["method"])
    change = rows.assign(**{column: 100 * (rows[column] - 1) for column in BOUNDS})
    with xtra_style():
        figure = new_figure(7.2, 1.0 + 0.36 * len(methods))
        axes = figure.subplots()
        axes.barh(range(len(methods)), change["estimate"], height=0.62, color=RULE, zorder=0.6)
        interval_rows(axes, change, methods)
        reference_line(axes, 0.0)
        axes.set_xlabel(f"Change against {short(str(table['baseline'].iloc[0]))}, %")
    return figure


def game_ratios(table: pd.DataFrame) -> Figure:
    """Of `compare_games`' rows: a heat map of methods × games, the ratio in each cell, a star where it is unstable."""
    methods, games = list(dict.fromkeys(table["method"])), sorted(table["game"].unique())
    ratio = table.pivot(index="method", columns="game", values="estimate").reindex(index=methods, columns=games)
    unstable = table.pivot(index="method", columns="game", values="unstable").reindex(index=methods, columns=games)
    labels = [[_ratio_text(ratio.loc[method, game], unstable.loc[method, game]) for game in games] for method in methods]
    shown = np.log2(ratio.clip(lower=0.25, upper=4.0))
    with xtra_style():
        figure = new_figure(2.4 + 0.78 * len(games), 1.3 + 0.36 * len(methods))
        axes = figure.subplots()
        sns.heatmap(
            shown, ax=axes, annot=np.array(labels), fmt="", cmap="PuOr_r", norm=TwoSlopeNorm(0.0, -2.0, 2.0), cbar=False,
            linewidths=1.5, linecolor="white", annot_kws={"size": 9},
        )  # fmt: skip
        axes.set(xlabel="", ylabel="")
        axes.grid(visible=False)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, rotation=0)
        axes.set_xticklabels([short(game, 20) for game in games], rotation=35, ha="left")
        axes.set_yticklabels([short(method) for method in methods])
    return figure


def _ratio_text(ratio: float, unstable: bool) -> str:
    return "–" if np.isnan(ratio) else f"{ratio:.2f}{UNSTABLE_MARK if unstable else ''}"
