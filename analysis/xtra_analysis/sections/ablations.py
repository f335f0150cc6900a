"""Component and ablation ladders: every variant against the full method."""

from __future__ import annotations

from xtra_analysis import figures
from xtra_analysis.content import Column, Paragraph, Picture, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import percent, probability
from xtra_analysis.sections.cells import METHOD, SEEDS, sample_text, spoken


def ablations(findings: Findings) -> Section | None:
    """What each variant loses or gains against the method the question is about."""
    table = findings.ladder[findings.ladder["statistic"] == "mean_ratio"]
    if table.empty:
        return None
    improvement = findings.ladder[findings.ladder["statistic"] == "probability_of_improvement"]
    frame = table.drop(columns=["p_value", "p_holm"]).merge(improvement[["method", "p_value", "p_holm"]], on="method", how="left")
    columns = [
        METHOD,
        Column("Change", lambda row: percent(row.estimate - 1)),
        Column("95 % interval", lambda row: f"{percent(row.low - 1)} to {percent(row.high - 1)}"),
        Column("p, corrected", lambda row: probability(row.p_holm)),
        SEEDS,
    ]
    blocks: list[Table | Picture | Paragraph] = [
        Paragraph(
            f"Each row is a variant, in the suite's order; zero is {findings.primary} itself. Bars to the left cost score."
        ),
        Picture(
            "ladder",
            figures.ladder(findings.ladder),
            f"Horizontal bars: mean change of score of each variant against {findings.primary}. Ratios: {spoken(table)}",
            f"Mean over games of the score over {findings.primary}'s, as a change in per cent. Thin line: 95 % interval that "
            f"allows for few seeds; thick line: rliable's. {sample_text(table)}",
        ),
        Table("ladder", f"Change against {findings.primary}", frame, columns),
    ]
    return Section("ablations", "Components and ablations", blocks)
