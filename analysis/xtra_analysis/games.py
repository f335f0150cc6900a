"""Each game on its own: raw scores, the ratio to the baseline with its interval, and learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from scipy import stats

from xtra_analysis.columns import METHOD, cell_text
from xtra_analysis.comparison import RATIO_REPS, mean_ratio
from xtra_analysis.drawing import new_figure, xtra_style
from xtra_analysis.findings import Findings
from xtra_analysis.intervals import CONFIDENCE, generator, joint_estimate
from xtra_analysis.learning_curves import mean_curves, plot_learning_curves
from xtra_analysis.matrices import (
    Array,
    score_matrix,
    split_by_baseline,
)
from xtra_analysis.page import Column, Picture, Section, Table
from xtra_analysis.study import Study
from xtra_analysis.text import number, short, span

GAME_RATIO_COLUMNS = [
    "method", "game", "estimate", "low", "high", "percentile_low", "percentile_high", "num_runs", "num_baseline_runs", "unstable",
]  # fmt: skip


def compare_games(frame: pd.DataFrame, baseline: str, seed: int = 0) -> pd.DataFrame:
    """Computes the ratio to the baseline in each game: one row per (method, game), with intervals and `unstable`.

    A ratio is unstable where the baseline's own 95 % interval reaches zero (Fieller's condition); it has no interval where a run
    of the baseline is not positive, and no meaning (NaN) where its mean is not. Raises InputError as `compare` does.
    """
    others, reference = split_by_baseline(frame, baseline)
    rows = []
    for (method, game), part in others.groupby(["method", "game"], sort=False):
        baseline_rows = reference[reference["game"] == game]
        if len(baseline_rows):
            samples = [score_matrix(part, [game], "score"), score_matrix(baseline_rows, [game], "score")]
            row = _game_row(samples, generator(seed, "game ratio", str(method), str(game)))
            unstable = denominator_is_unstable(samples[1][:, 0])
            rows.append(
                {
                    "method": method,
                    "game": game,
                    "num_runs": len(part),
                    "num_baseline_runs": len(baseline_rows),
                    **row,
                    "unstable": unstable,
                }
            )
    return pd.DataFrame(rows, columns=GAME_RATIO_COLUMNS)


def _game_row(samples: list[Array], random: np.random.Generator) -> dict[str, Any]:
    baseline = samples[1][:, 0]
    if baseline.min() > 0:
        return joint_estimate(mean_ratio, samples, RATIO_REPS, random)
    ratio = float(mean_ratio(*samples)) if baseline.mean() > 0 else float("nan")
    return {"estimate": ratio} | dict.fromkeys(("low", "high", "percentile_low", "percentile_high"), float("nan"))


def denominator_is_unstable(scores: Array) -> bool:
    """Tells whether the 95 % Student interval of the mean of scores `[runs]` reaches zero. One run has no interval: only its sign
    counts."""
    center = scores.mean()
    if len(scores) < 2 or center <= 0:
        return bool(center <= 0)
    reach = stats.t.ppf(0.5 * (1 + CONFIDENCE), len(scores) - 1) * scores.std(ddof=1) / np.sqrt(len(scores))
    return bool(center - reach <= 0)


UNSTABLE_MARK = " *"


def plot_game_ratios(table: pd.DataFrame) -> Figure:
    """Draws `compare_games`' rows: a heat map of methods × games, the ratio in each cell, a star where it is unstable."""
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
    return "–" if np.isnan(ratio) else f"{number(ratio)}{UNSTABLE_MARK if unstable else ''}"


def games_section(findings: Findings) -> Section | None:
    """Shows raw scores, ratios to the baseline and learning curves, game by game."""
    study = findings.study
    if study.complete.empty:
        return None
    blocks: list[Table | Picture] = [_score_table(study)]
    if findings.game_ratios["estimate"].notna().any():
        blocks += [_heat_map(findings, str(study.baseline)), _ratio_table(findings)]
    curves = study.tables["curves"]
    if len(curves):
        blocks.append(
            Picture(
                "learning_curves",
                plot_learning_curves(curves, emphasis=findings.emphasis),
                "Small line charts, one per game: raw return over env steps for each method.",
                "Raw return while learning, mean over seeds; the thinnest lines are single runs.",
                mean_curves(curves),
            )
        )
    return Section("games", "Game by game", blocks)


def game_scores(study: Study) -> pd.DataFrame:
    """Computes mean, standard deviation over runs and number of runs of the raw score of each method and game."""
    grouped = study.complete.groupby(["game", "method"], sort=False)["score"]
    return grouped.agg(mean="mean", std="std", num_runs="count").reset_index()


def _score_table(study: Study) -> Table:
    scores = game_scores(study)
    methods = [name for name in study.methods if name in set(scores["method"])]
    cells = {(row.game, row.method): f"{mean_text(row)} ({row.num_runs})" for row in scores.itertuples()}
    columns = [Column("Game", lambda row: row.game, numeric=False)]
    means = {(row.game, row.method): row.mean for row in scores.itertuples()}
    learns = study.record.proves == "learning"
    columns += [
        Column(name, partial(cell_text, cells, name), value=partial(_mean, means, name) if learns else None, method=name)
        for name in methods
    ]
    wide = scores.pivot(index="game", columns="method", values=["mean", "std", "num_runs"])
    wide.columns = pd.Index([f"{method} {what}" for what, method in wide.columns])
    return Table(
        "games",
        "Raw scores",
        wide.reset_index(),
        columns,
        ["Mean ± standard deviation over seeds (number of seeds). One seed has no deviation."],
        best="across",
    )


def _mean(means: Mapping[tuple[str, str], float], method: str, row: Any) -> float:
    return means.get((row.game, method), float("nan"))


def mean_text(row: Any) -> str:
    """Writes mean and standard deviation of a row of `game_scores`."""
    return number(row.mean) + ("" if pd.isna(row.std) else f" ± {number(row.std)}")


def _heat_map(findings: Findings, baseline: str) -> Picture:
    return Picture(
        "game_ratios",
        plot_game_ratios(findings.game_ratios),
        f"Heat map of methods by games: mean score divided by {baseline}'s, orange above one, purple below.",
        f"Score over {baseline}'s in each game. Orange is higher, purple lower, clear or not; a star marks an unstable ratio.",
        findings.game_ratios,
    )


def _ratio_table(findings: Findings) -> Table:
    columns = [
        Column("Game", lambda row: row.game, numeric=False),
        METHOD,
        Column("Ratio", lambda row: number(row.estimate)),
        Column("95 % interval", lambda row: span(row.low, row.high)),
        Column("Seeds", lambda row: f"{row.num_runs} / {row.num_baseline_runs}"),
        Column("", lambda row: "unstable" if row.unstable and not np.isnan(row.estimate) else "", numeric=False),
    ]
    primary = findings.game_ratios[findings.game_ratios["method"] == findings.primary]
    notes = ["Seeds: of the method / of the baseline."]
    title = f"{findings.primary}'s ratio in each game"
    return Table("game_ratios", title, primary, columns, notes, findings.game_ratios, "of every method")
