"""Components and ablations: every variant against the full method."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.columns import METHOD, SEEDS, sample_text, spoken
from xtra_analysis.comparison import COMPARISON_COLUMNS, compare, looks_note
from xtra_analysis.drawing import RULE, interval_rows, new_figure, reference_line, xtra_style
from xtra_analysis.findings import Findings, primary_method
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.study import Study
from xtra_analysis.text import percent, probability, short


def compare_variants(study: Study, seed: int) -> pd.DataFrame:
    """Compares variants with the primary method, where there are any beside it and the baseline."""
    primary = primary_method(study)
    variants = [name for name in study.learners if name not in (primary, study.baseline)]
    if primary is None or primary == study.baseline or not variants:
        return pd.DataFrame(columns=COMPARISON_COLUMNS)
    others = [name for name in study.learners if name != primary]
    return compare(study.scores[study.scores["method"].isin([primary, *others])], primary, seed)


BOUNDS = ("estimate", "low", "high", "percentile_low", "percentile_high")


def plot_ablations(table: pd.DataFrame) -> Figure:
    """Draws `compare`'s rows: how far each variant falls below (or rises above) the full method, in suite order."""
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


def ablations_section(findings: Findings) -> Section | None:
    """Shows what each variant loses or gains against the method the question is about."""
    table = findings.ablations[findings.ablations["statistic"] == "mean_ratio"]
    if table.empty:
        return None
    improvement = findings.ablations[findings.ablations["statistic"] == "probability_of_improvement"]
    frame = table.drop(columns=["p_value", "p_holm"]).merge(improvement[["method", "p_value", "p_holm"]], on="method", how="left")
    columns = [
        METHOD,
        Column("Change", lambda row: percent(row.estimate - 1), value=lambda row: row.estimate),
        Column("95 % interval", lambda row: f"{percent(row.low - 1)} to {percent(row.high - 1)}"),
        Column("p, corrected", lambda row: probability(row.p_holm)),
        SEEDS,
    ]
    notes = [looks_note(findings.study)] if findings.study.looks > 1 else []
    blocks: list[Table | Picture | Paragraph] = [
        Paragraph(
            f"Each row is a variant, in the suite's order; zero is {findings.primary} itself. Bars to the left cost score."
        ),
        Picture(
            "ablations",
            plot_ablations(findings.ablations),
            f"Horizontal bars: mean change of score of each variant against {findings.primary}. Ratios: {spoken(table)}",
            f"Mean over games of the score over {findings.primary}'s, as a change in per cent. Thin line: 95 % interval that "
            f"allows for few seeds; thick line: rliable's. {sample_text(table)}",
            table,
        ),
        Table("ablations", f"Change against {findings.primary}", frame, columns, notes),
    ]
    return Section("ablations", "Components and ablations", blocks)
