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

from xtra_analysis.columns import METHOD, looks_note
from xtra_analysis.drawing import new_figure, xtra_style
from xtra_analysis.findings import Findings
from xtra_analysis.learning_curves import areas
from xtra_analysis.matrices import Array
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.significance import LEVEL, fewest_runs, holm, least_p_value, permutation_test
from xtra_analysis.sources import coverage
from xtra_analysis.study import OTHER_TARGETS, Study
from xtra_analysis.text import corrected, counted, each, listed, number, percent, probability, short, span

MATRIX_COLUMNS = [
    "measure", "method", "source", "game", "scratch", "mean", "difference", "low", "high", "unit", "p_value", "p_holm",
    "num_runs", "num_scratch_runs",
]  # fmt: skip
AREA, FINAL = "mean score while learning", "final score"
"""Measures: the area under the learning curve over its length, and the score of the run's last network."""
MOST_NAMED = 4
"""Most pairs that a sentence names."""
MOST_WITH_INTERVALS = 10
"""Most target games of a heat map whose cells hold intervals."""


def single_sources(study: Study) -> dict[str, str]:
    """Returns the source game of each method that has one alone, but for the baseline; empty unless these methods have several
    sources between them."""
    transfers = {method.name: method.transfer for method in study.record.methods if method.name != study.ratio_baseline}
    sources = {
        name: transfer.sources[0]
        for name, transfer in transfers.items()
        if transfer is not None and len(transfer.sources) == 1 and transfer.sources != (OTHER_TARGETS,)
    }
    return sources if len(set(sources.values())) > 1 else {}


def transfer_matrix(study: Study) -> pd.DataFrame:
    """Compares each method that has one source with the baseline in each game: `MATRIX_COLUMNS`, raw scores.

    `difference` is between mean scores, with Welch's 95 % interval over seeds. `p_value` is of the permutation test of "there is
    none", exact at any number of runs, and `p_holm` corrects it by Holm's method for all pairs of a measure, and for looks.
    `unit` is `units`'. Empty without a baseline that learns.
    """
    sources, baseline = single_sources(study), study.ratio_baseline
    if not sources or baseline is None:
        return pd.DataFrame(columns=MATRIX_COLUMNS)
    curves, final = (rows[rows["method"].isin([baseline, *sources])] for rows in (study.tables["curves"], study.complete))
    _, unit = units(study)
    parts = [
        _compare_pairs(measure, values, sources, baseline, unit, study.looks)
        for measure, values in ((AREA, areas(curves, "score")), (FINAL, final.rename(columns={"score": "value"})))
    ]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=MATRIX_COLUMNS)


def units(study: Study) -> tuple[str, pd.Series]:
    """Chooses the unit in which differences of several games are compared, in words and in raw scores by game: the way from
    random play to the reference where every game has one; else the baseline's mean final score, NaN where that is not above
    zero."""
    final, baseline = study.complete, study.ratio_baseline
    endpoints, games = study.scale.endpoints or {}, list(final["game"].unique())
    if all(game in endpoints for game in games):
        ways = {game: endpoints[game][1] - endpoints[game][0] for game in games}
        return f"normalized score ({study.scale.meaning})", pd.Series(ways)
    means = final[final["method"] == baseline].groupby("game")["score"].mean()
    return f"{baseline}'s mean final score in that game", means.where(means > 0)


def _compare_pairs(
    measure: str, values: pd.DataFrame, sources: dict[str, str], baseline: str, unit: pd.Series, looks: int
) -> pd.DataFrame:
    by_cell = {cell: part["value"].to_numpy(np.float64) for cell, part in values.groupby(["method", "game"])}
    rows = [
        {"measure": measure, "method": method, "source": source, "game": game, "unit": unit.get(game, np.nan)}
        | compare_runs(by_cell[method, game], by_cell[baseline, game])
        for method, source in sources.items()
        for game in sorted(game for name, game in by_cell if name == baseline)
        if (method, game) in by_cell
    ]
    frame = pd.DataFrame(rows, columns=MATRIX_COLUMNS)
    return frame.assign(p_holm=np.minimum(1.0, looks * holm(frame["p_value"].to_numpy(np.float64))))


def compare_runs(scores: Array, scratch: Array) -> dict[str, float]:
    """Compares runs `[R]` with runs from scratch `[S]`: means, their difference with Welch's interval (NaN where one of them has
    a single run, or neither has any spread), and the p-value of the permutation test.

    Welch's test decides nothing here: where runs either learn or do not, two of each that happen to be alike would be decided.
    """
    row = {
        "mean": float(scores.mean()),
        "scratch": float(scratch.mean()),
        "difference": float(scores.mean() - scratch.mean()),
        "p_value": permutation_test(scores[:, None], scratch[:, None]),
        "num_runs": len(scores),
        "num_scratch_runs": len(scratch),
    }
    spread, size = max(np.ptp(scores), np.ptp(scratch)), max(np.abs(scores).max(), np.abs(scratch).max())
    if min(len(scores), len(scratch)) < 2 or spread <= 1e-12 * size:
        return row | {"low": float("nan"), "high": float("nan")}
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # one of the two may have no spread
        interval = stats.ttest_ind(scores, scratch, equal_var=False).confidence_interval(1 - LEVEL)
    return row | {"low": float(interval.low), "high": float(interval.high)}


def plot_transfer_matrix(table: pd.DataFrame) -> Figure:
    """Draws a heat map for each measure, methods by games: the difference in the game's unit."""
    measures = list(dict.fromkeys(table["measure"]))
    methods, games = list(dict.fromkeys(table["method"])), sorted(table["game"].unique())
    wide = len(games) <= MOST_WITH_INTERVALS
    with xtra_style():
        figure = new_figure(2.2 + (1.35 if wide else 0.75) * len(games), (1.2 + 0.5 * len(methods)) * len(measures))
        panels = figure.subplots(len(measures), 1, squeeze=False)[:, 0]
        for axes, measure in zip(panels, measures, strict=True):
            part = table[table["measure"] == measure].set_index(["method", "game"])
            cells = [[part.loc[(method, game)] if (method, game) in part.index else None for game in games] for method in methods]
            shares = [[np.nan if cell is None else cell["difference"] / cell["unit"] for cell in row] for row in cells]
            labels = np.array([[cell_text(cell, with_interval=wide) for cell in row] for row in cells])
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


def cell_text(cell: pd.Series | None, *, with_interval: bool) -> str:
    """Writes a difference in per cent of its unit, and its interval below; nothing without a cell or a unit."""
    if cell is None or np.isnan(cell["unit"]):
        return ""
    share, low, high = (_share(cell[name] / cell["unit"]) for name in ("difference", "low", "high"))
    share = f"+{share}" if cell["difference"] > 0 else share
    low = low.removesuffix("\u00a0%")
    return f"{share}\n{low} to {high}" if with_interval and np.isfinite(cell["low"]) else share


def _share(value: float) -> str:
    return percent(value, digits=1 if abs(value) < 0.0995 else 0)


def transfer_matrix_section(findings: Findings) -> Section | None:
    """Shows what each source brings to each target, where methods have one source each."""
    table, study, baseline = findings.transfer_matrix, findings.study, str(findings.study.ratio_baseline)
    if table.empty:
        return None
    columns = [
        Column("Measure", lambda row: row.measure, numeric=False),
        METHOD,
        Column("Source", lambda row: row.source, numeric=False),
        Column("Target", lambda row: row.game, numeric=False),
        Column("Mean", lambda row: number(row.mean)),
        Column(baseline, lambda row: number(row.scratch)),
        Column("Difference", lambda row: number(row.difference)),
        Column("95 % interval", lambda row: span(row.low, row.high)),
        Column("p, corrected", lambda row: probability(row.p_holm)),
        Column("Seeds", lambda row: f"{row.num_runs} / {row.num_scratch_runs}"),
    ]
    notes = [
        "Raw scores. Intervals: Welch's, over seeds, not corrected; where runs are few and either learn or do not, they are too "
        "short. P-values: permutation test of ranks, exact at any number of seeds, corrected by Holm's method for all pairs of "
        f"a measure. Seeds: of the method / of {baseline}.",
        coverage([method for method in study.record.methods if method.name in set(table["method"])]),
    ]
    blocks: list[Paragraph | Picture | Table] = [Paragraph(matrix_sentence(table, baseline, study.looks))]
    if table["unit"].notna().any():
        blocks.append(_picture(table, baseline, units(study)[0]))
    if study.looks > 1:
        notes.append(looks_note(study))
    blocks.append(Table("transfer_matrix", "Every pair of a source and a target game", table, columns, notes))
    return Section("transfer_matrix", "From game to game", blocks)


def _picture(table: pd.DataFrame, baseline: str, unit: str) -> Picture:
    return Picture(
        "transfer_matrix",
        plot_transfer_matrix(table),
        f"Heat maps of methods by target games: difference from {baseline}'s mean score, orange above, purple below.",
        f"Difference from {baseline} in per cent of {unit}, with Welch's 95 % interval over seeds, not corrected; what the "
        "unit's own error adds is left out. Orange is better, purple worse; blank where nothing was run or there is no unit.",
        table,
    )


def matrix_sentence(table: pd.DataFrame, baseline: str, looks: int) -> str:
    """Tells in how many pairs transfer is seen to help or to harm, by the first measure that there is, and in which; or that so
    few seeds cannot show it."""
    measure = str(table["measure"].iloc[0])
    rows = table[table["measure"] == measure]
    giver = "method" if rows.duplicated(["source", "game"]).any() else "source"
    rows = rows.assign(pair=rows[giver] + " to " + rows["game"])
    pairs = f"{counted(len(rows), 'pair')} of a {giver} and a target game"
    test = f"permutation test{corrected(len(rows), looks)}"
    decided, better, worse = rows[rows["p_holm"] < LEVEL], rows[rows["low"] > 0], rows[rows["high"] < 0]
    tests = len(rows) * looks
    if min(map(least_p_value, rows["num_runs"], rows["num_scratch_runs"])) * tests >= LEVEL:
        counts = rows[["num_runs", "num_scratch_runs"]].to_numpy()
        verdict = (
            f"With {each(int(counts.min()), int(counts.max()))} none of {pairs} can be decided: a {test}, "
            f"cannot give less than {LEVEL} before there are {fewest_runs(LEVEL / tests)} of each."
        )
    else:
        helped, harmed = (_named(decided[sign * decided["difference"] > 0]) for sign in (1, -1))
        verdict = (
            f"Transfer is seen to help in {helped} of {pairs}, and to harm in {harmed}: {measure} against {baseline}'s, by a "
            f"{test}."
        )
    if len(better) + len(worse) <= len(decided):
        return verdict
    return (
        f"{verdict} Not corrected, the interval of the difference in {measure} from {baseline}'s lies above zero in "
        f"{_named(better)} and below in {_named(worse)}."
    )


def _named(pairs: pd.DataFrame) -> str:
    names = list(pairs["pair"])
    shown = names if len(names) <= MOST_NAMED else [*names[: MOST_NAMED - 1], f"{len(names) - MOST_NAMED + 1} more"]
    return f"{len(names)} ({listed(shown)})" if names else "none"
