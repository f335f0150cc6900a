"""The first screen: missing cells, one figure and one table."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.aggregates import plot_aggregates
from xtra_analysis.columns import GAMES, METHOD, SEEDS, band_text, spoken
from xtra_analysis.findings import Findings
from xtra_analysis.games import game_scores, mean_text
from xtra_analysis.learning_curves import plot_efficiency
from xtra_analysis.missing import incomplete_methods, missing_line
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.published import PROTOCOL
from xtra_analysis.text import NONE, counted, number, span

MOST_RAW = 4
"""Most games whose raw scores the first screen shows."""


def overview_section(findings: Findings) -> Section:
    """Shows the missing cells, the figure that answers the question, and the table of methods."""
    blocks: list[Table | Picture | Paragraph] = [missing_line(findings), *incomplete_methods(findings)]
    if len(findings.estimates) or len(findings.relative_efficiency):
        blocks.append(_figure(findings))
    table = _count_table(findings) if findings.study.record.proves == "wiring" else _table(findings)
    return Section("overview", "Overview", [*blocks, table])


def _figure(findings: Findings) -> Picture:
    """Draws learning curves relative to the baseline where there is one, else learning curves, else the aggregate itself."""
    relative, points = findings.relative_efficiency, findings.efficiency
    if len(relative):
        baseline = str(findings.study.ratio_baseline)
        return Picture(
            "overview",
            plot_efficiency(relative, y_label=f"Mean score / {baseline} at the end", emphasis=findings.emphasis, reference=1.0),
            f"Line chart: score divided by {baseline}'s final score over env steps, mean over games. "
            f"At the end: {spoken(relative)}",
            f"{_figure_name(findings)}core over {baseline}'s final mean while learning, averaged over games. The dashed line is "
            f"where {baseline} ends. {band_text(relative)}",
            relative,
            wide=False,
        )
    if len(points) and points.groupby("method")["env_steps"].nunique().max() > 1:
        return Picture(
            "overview",
            plot_efficiency(points, emphasis=findings.emphasis),
            f"Line chart: interquartile mean of the normalized score over env steps. At the end: {spoken(points)}",
            f"IQM of the normalized score while learning. {band_text(points)}",
            points,
            wide=False,
        )
    iqm = findings.estimates[findings.estimates["statistic"] == "iqm"]
    return Picture(
        "overview",
        plot_aggregates(iqm),
        f"Points with intervals: interquartile mean of the normalized score. {spoken(iqm)}",
        "IQM of the normalized score. Thin line: 95 % interval that allows for few seeds; thick line: rliable's.",
        iqm,
        wide=False,
    )


def _figure_name(findings: Findings) -> str:
    """Begins the caption: XTRA's paper draws this figure of XTRA and EfficientZero on Atari 100k."""
    pair = tuple(str(name).casefold() for name in (findings.primary, findings.study.ratio_baseline))
    return "The paper's Figure 1: s" if findings.study.record.protocol == PROTOCOL and pair == ("xtra", "efficientzero") else "S"


def _count_table(findings: Findings) -> Table:
    """Counts the runs of each method that have a score: all that a run which proves the wiring can show."""
    cells = findings.study.scores.assign(scored=lambda frame: frame["status"] == "complete")
    frame = cells.groupby("method", sort=False).agg(num_scored=("scored", "sum"), num_runs=("scored", "size")).reset_index()
    columns = [METHOD, Column("Runs with a score", lambda row: f"{row.num_scored} of {row.num_runs}")]
    return Table("overview", "Methods", frame, columns)


def _table(findings: Findings) -> Table:
    """Tells of each method its ratio to the baseline, its IQM, and raw scores as far as `_raw_games` goes."""
    iqm = findings.estimates[findings.estimates["statistic"] == "iqm"]
    ratios = findings.comparison[findings.comparison["statistic"] == "mean_ratio"]
    games = _raw_games(findings)
    frame = pd.DataFrame({"method": findings.study.methods}).merge(iqm, on="method", how="left")
    frame = frame.merge(ratios[["method", "estimate", "low", "high"]], on="method", how="left", suffixes=("", "_ratio"))
    runs = findings.study.complete.groupby(["method", "game"]).size().groupby("method").agg(["min", "max"])
    for column, raw in (("min_runs", frame["method"].map(runs["min"])), ("max_runs", frame["method"].map(runs["max"]))):
        frame[column] = frame[column].astype("float64").fillna(raw).fillna(0).astype(int)
    frame["num_games"] = frame["num_games"].astype("float64").fillna(0).astype(int)
    scores = game_scores(findings.study)
    means = scores[scores["game"].isin(games)].pivot(index="method", columns="game", values="mean").add_prefix("mean ")
    columns = [METHOD]
    if len(ratios):
        columns += _ratio_columns(str(findings.study.baseline))
    if len(iqm):
        columns += [
            Column("IQM", lambda row: number(row.estimate), value=lambda row: row.estimate),
            Column("95 % interval", lambda row: span(row.low, row.high)),
        ]
    columns += [_raw_column(scores[scores["game"] == game], f"Raw score, {game}") for game in games]
    columns += [SEEDS, GAMES] if iqm["num_games"].nunique() > 1 else [SEEDS]
    known = int(iqm["num_games"].max()) if len(iqm) else 0
    notes = ["Raw score: mean ± standard deviation over seeds."] if games else []
    if 0 < known < len(findings.study.record.games):
        notes.append(f"IQM of the normalized score, over the {counted(known, 'game')} whose scale is known.")
    return Table("overview", "Methods", frame.merge(means.reset_index(), on="method", how="left"), columns, notes)


def _raw_games(findings: Findings) -> list[str]:
    """Returns the games whose raw scores the first screen shows: a single one, or a few where no normalized score is known."""
    games = sorted(findings.study.complete["game"].unique())
    return games if len(games) == 1 or (findings.estimates.empty and len(games) <= MOST_RAW) else []


def _ratio_columns(baseline: str) -> list[Column]:
    return [
        Column(
            f"×\u00a0{baseline}",
            lambda row: "1" if row.method == baseline else number(row.estimate_ratio),
            value=lambda row: 1.0 if row.method == baseline else row.estimate_ratio,
        ),
        Column("95 % interval", lambda row: "" if row.method == baseline else span(row.low_ratio, row.high_ratio)),
    ]


def _raw_column(scores: pd.DataFrame, heading: str) -> Column:
    """Makes the column of one game's rows of `game_scores`."""
    rows = {row.method: row for row in scores.itertuples()}
    return Column(
        heading,
        lambda row: mean_text(rows[row.method]) if row.method in rows else NONE,
        value=lambda row: rows[row.method].mean if row.method in rows else float("nan"),
    )
