"""From game to game: what each source game brings to each target game, where methods have one source each.

Each pair is compared by itself with the runs from scratch, so the columns of a study in which no method plays all games can be
read side by side.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from scipy import stats

from xtra_analysis.columns import METHOD
from xtra_analysis.drawing import new_figure, xtra_style
from xtra_analysis.findings import Findings
from xtra_analysis.learning_curves import areas
from xtra_analysis.matrices import Array
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.significance import holm
from xtra_analysis.study import OTHER_TARGETS, Study
from xtra_analysis.text import NONE, counted, listed, number, percent, probability, short, span

MATRIX_COLUMNS = [
    "measure", "method", "source", "game", "scratch", "mean", "difference", "low", "high", "unit", "p_value", "p_holm",
    "num_runs", "num_scratch_runs",
]  # fmt: skip
AREA, FINAL = "mean score while learning", "final score"
"""Measures: the area under the learning curve over its length, and the score of the run's last network."""
LEVEL = 0.05


def single_sources(study: Study) -> dict[str, str]:
    """Returns the source game of each method that has one alone; empty unless these methods have several sources between them."""
    transfers = {method.name: method.transfer for method in study.record.methods}
    sources = {
        name: transfer.sources[0]
        for name, transfer in transfers.items()
        if transfer is not None and len(transfer.sources) == 1 and transfer.sources != (OTHER_TARGETS,)
    }
    return sources if len(set(sources.values())) > 1 else {}


def transfer_matrix(study: Study) -> pd.DataFrame:
    """Compares each method that has one source with the baseline in each game: `MATRIX_COLUMNS`, raw scores.

    `difference` is between mean scores, with Welch's 95 % interval over seeds and the p-value of "there is none", corrected by
    Holm's method over all pairs of a measure, and for looks. `unit`: the baseline's mean final score, NaN where that is not above
    zero, by which differences in several games can be compared. Empty without a baseline that learns.
    """
    sources, baseline = single_sources(study), study.ratio_baseline
    if not sources or baseline is None:
        return pd.DataFrame(columns=MATRIX_COLUMNS)
    final = study.complete.rename(columns={"score": "value"})
    units = final[final["method"] == baseline].groupby("game")["value"].mean()
    units = units.where(units > 0)
    parts = [
        _compare_pairs(measure, values[values["method"].isin([baseline, *sources])], sources, baseline, units, study.looks)
        for measure, values in ((AREA, areas(study.tables["curves"], "score")), (FINAL, final))
    ]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=MATRIX_COLUMNS)


def _compare_pairs(
    measure: str, values: pd.DataFrame, sources: dict[str, str], baseline: str, units: pd.Series, looks: int
) -> pd.DataFrame:
    by_cell = {cell: part["value"].to_numpy(np.float64) for cell, part in values.groupby(["method", "game"])}
    games = sorted({game for method, game in by_cell if method == baseline})
    rows = []
    for method, source in sources.items():
        for game in games:
            runs = by_cell.get((method, game))
            if runs is None:
                continue
            scratch = by_cell[baseline, game]
            row = {"measure": measure, "method": method, "source": source, "game": game, "unit": units.get(game, np.nan)}
            rows.append(row | {"num_runs": len(runs), "num_scratch_runs": len(scratch)} | welch(runs, scratch))
    frame = pd.DataFrame(rows, columns=MATRIX_COLUMNS)
    tested = frame["p_value"].notna()
    frame.loc[tested, "p_holm"] = np.minimum(1.0, looks * holm(frame.loc[tested, "p_value"].to_numpy(np.float64)))
    return frame


def welch(runs: Array, scratch: Array) -> dict[str, float]:
    """Computes the means of runs `[R]` and of runs from scratch `[S]`, and Welch's interval and test of their difference; NaN
    where one of them has a single run, or no run differs."""
    row = {"mean": float(runs.mean()), "scratch": float(scratch.mean()), "difference": float(runs.mean() - scratch.mean())}
    if min(len(runs), len(scratch)) < 2 or runs.std() + scratch.std() == 0.0:
        return row | dict.fromkeys(("low", "high", "p_value"), float("nan"))
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # one of the two may have no spread
        test = stats.ttest_ind(runs, scratch, equal_var=False)
        interval = test.confidence_interval(1 - LEVEL)
    return row | {"low": float(interval.low), "high": float(interval.high), "p_value": float(test.pvalue)}


def plot_transfer_matrix(table: pd.DataFrame) -> Figure:
    """Draws a heat map for each measure, methods by games: the difference in shares of the baseline's mean final score."""
    measures = list(dict.fromkeys(table["measure"]))
    methods, games = list(dict.fromkeys(table["method"])), sorted(table["game"].unique())
    with xtra_style():
        figure = new_figure(1.9 + 1.35 * len(games) * len(measures), 1.4 + 0.5 * len(methods))
        panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, measure in zip(panels, measures, strict=True):
            part = table[table["measure"] == measure].set_index(["method", "game"])
            cells = [[part.loc[(method, game)] if (method, game) in part.index else None for game in games] for method in methods]
            shares = [[np.nan if cell is None else cell["difference"] / cell["unit"] for cell in row] for row in cells]
            labels = np.array([[_cell_text(cell) for cell in row] for row in cells])
            sns.heatmap(
                np.clip(np.array(shares, np.float64), -1.0, 1.0), ax=axes, annot=labels, fmt="", cmap="PuOr_r", cbar=False,
                norm=TwoSlopeNorm(0.0, -1.0, 1.0), linewidths=1.5, linecolor="white", annot_kws={"size": 8},
            )  # fmt: skip
            axes.grid(visible=False)
            axes.xaxis.tick_top()
            axes.tick_params(length=0, rotation=0)
            axes.set_xticklabels([short(game, 20) for game in games], rotation=25, ha="left")
            axes.set_yticklabels([short(method) for method in methods])
            axes.set_xlabel(f"{measure[0].upper()}{measure[1:]}")
            axes.set_ylabel("")
    return figure


def _cell_text(cell: pd.Series | None) -> str:
    """Writes a difference, and its interval below, in per cent of the baseline's mean final score."""
    if cell is None or np.isnan(cell["unit"]):
        return ""
    share, low, high = (percent(cell[name] / cell["unit"]) for name in ("difference", "low", "high"))
    share = f"+{share}" if cell["difference"] > 0 else share
    low = low.removesuffix("\u00a0%")
    return share if np.isnan(cell["low"]) else f"{share}\n{low} to {high}"


def transfer_matrix_section(findings: Findings) -> Section | None:
    """Shows what each source brings to each target, where methods have one source each."""
    table, looks, baseline = findings.transfer_matrix, findings.study.looks, str(findings.study.ratio_baseline)
    if table.empty:
        return None
    corrected = f", and for {looks} looks" if looks > 1 else ""
    columns = [
        Column("Measure", lambda row: row.measure, numeric=False),
        METHOD,
        Column("Target", lambda row: row.game, numeric=False),
        Column("Mean", lambda row: number(row.mean)),
        Column(baseline, lambda row: number(row.scratch)),
        Column("Difference", lambda row: number(row.difference)),
        Column("95 % interval", lambda row: span(row.low, row.high)),
        Column("p, corrected", lambda row: NONE if np.isnan(row.p_holm) else probability(row.p_holm)),
        Column("Seeds", lambda row: f"{row.num_runs} / {row.num_scratch_runs}"),
    ]
    return Section(
        "transfer_matrix",
        "From game to game",
        [
            Paragraph(matrix_sentence(table, baseline)),
            Picture(
                "transfer_matrix",
                plot_transfer_matrix(table),
                f"Heat maps of methods by target games: difference from {baseline}'s mean score, orange above, purple below.",
                f"Difference from {baseline} in per cent of {baseline}'s mean final score in that game, with Welch's 95 % "
                "interval over seeds, not corrected. Orange is better, purple worse; no number where that mean is not above "
                "zero.",
                table,
            ),
            Table(
                "transfer_matrix",
                "Every pair of a source and a target game",
                table,
                columns,
                [
                    f"Raw scores. P-values: Welch's t-test, corrected by Holm's method for all pairs of a measure{corrected}. "
                    f"Seeds: of the method / of {baseline}."
                ],
            ),
        ],
    )


def matrix_sentence(table: pd.DataFrame, baseline: str) -> str:
    """Tells in how many pairs transfer is seen to help or to harm, by the first measure that there is, and in which."""
    measure = str(table["measure"].iloc[0])
    rows = table[table["measure"] == measure]
    tested, pairs = rows[rows["p_holm"].notna()], f"{counted(len(rows), 'pair')} of a source and a target game"
    if tested.empty:
        return f"Of {pairs} none has two seeds to be compared with {baseline}'s."
    decided = tested[tested["p_holm"] < LEVEL]
    helped, harmed = (_named(decided[sign * decided["difference"] > 0]) for sign in (1, -1))
    apart = int((tested["low"].gt(0) | tested["high"].lt(0)).sum())
    rest = f" Not corrected, the interval leaves out zero in {apart} of them." if apart > len(decided) else ""
    return (
        f"Transfer is seen to help in {helped} of {pairs}, and to harm in {harmed}: {measure} against {baseline}'s, by Welch's "
        f"t-test corrected for {counted(len(tested), 'comparison')}.{rest}"
    )


def _named(pairs: pd.DataFrame) -> str:
    names = listed([f"{row.source} to {row.game}" for row in pairs.itertuples()])
    return f"{len(pairs)} ({names})" if len(pairs) else "none"
