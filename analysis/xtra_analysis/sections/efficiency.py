"""How fast methods learn: IQM over env steps and over hours, and the paper's Figure 1."""

from __future__ import annotations

from xtra_analysis import figures
from xtra_analysis.compute import hours_label, hours_per_run, over_hours
from xtra_analysis.content import Column, Picture, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import number
from xtra_analysis.sections.cells import METHOD, band_text, spoken


def efficiency(findings: Findings) -> Section | None:
    """Sample efficiency, efficiency in hours, and the cost of a run."""
    points, relative = findings.efficiency, findings.relative_efficiency
    blocks: list[Table | Picture] = []
    if len(relative):
        baseline = str(findings.study.yardstick)
        blocks.append(
            Picture(
                "relative_efficiency",
                figures.sample_efficiency(
                    relative, y_label=f"Mean score / {baseline} at the end", reference=1.0, emphasis=findings.emphasis
                ),
                f"Line chart: score divided by {baseline}'s final score over env steps, mean over games. "
                f"At the end: {spoken(relative)}",
                f"The paper's Figure 1: score over {baseline}'s final mean, averaged over games, while learning. The dashed line "
                f"is where {baseline} ends. {band_text(relative)}",
                wide=False,
            )
        )
    if len(points):
        blocks.append(
            Picture(
                "sample_efficiency",
                figures.sample_efficiency(points, emphasis=findings.emphasis),
                f"Line chart: interquartile mean of the normalized score over env steps. At the end: {spoken(points)}",
                f"IQM of the normalized score over env steps. {band_text(points)}",
                wide=False,
            )
        )
    blocks += _hours(findings)
    return Section("efficiency", "Sample and compute efficiency", blocks) if blocks else None


def _hours(findings: Findings) -> list[Table | Picture]:
    study, points = findings.study, findings.efficiency
    hours = hours_per_run(study)
    if hours.empty:
        return []
    label = hours_label(study)
    blocks: list[Table | Picture] = []
    if len(points):
        blocks.append(
            Picture(
                "compute_efficiency",
                figures.sample_efficiency(over_hours(points, hours), x="hours", x_label=label, emphasis=findings.emphasis),
                f"Line chart: interquartile mean of the normalized score over {label}, one line per method.",
                f"The same over {label} of one run. A method that builds on other jobs starts later, by its share of their cost; "
                "time within training is taken to pass evenly.",
                wide=False,
            )
        )
    columns = [
        METHOD,
        Column("Preparation", lambda row: number(row.preparation_hours)),
        Column("Training", lambda row: number(row.training_hours)),
        Column("Evaluation", lambda row: number(row.evaluation_hours)),
        Column("Total", lambda row: number(row.total_hours)),
        Column("On", lambda row: row.device, numeric=False),
        Column("Runs", lambda row: str(row.num_runs)),
    ]
    notes = ["Preparation: the run's share of datasets, teachers and pretraining, which other runs use too."]
    return [*blocks, Table("costs", f"{label} of one run", hours, columns, notes)]
