"""How fast methods learn, over env steps and over time, and what it costs."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from xtra_analysis import figures
from xtra_analysis.compute import KINDS, machine, over_time, seconds_per_run, stage_costs
from xtra_analysis.content import Column, Picture, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import duration
from xtra_analysis.sections.cells import METHOD, band_text, spoken


def efficiency(findings: Findings) -> Section | None:
    """Sample efficiency, efficiency in time, and costs. What the first screen shows is not drawn again."""
    points = findings.efficiency
    blocks: list[Table | Picture] = []
    if len(points) and len(findings.relative_efficiency):
        blocks.append(
            Picture(
                "sample_efficiency",
                figures.sample_efficiency(points, emphasis=findings.emphasis),
                f"Line chart: interquartile mean of the normalized score over env steps. At the end: {spoken(points)}",
                f"IQM of the normalized score over env steps. {band_text(points)}",
                wide=False,
            )
        )
    blocks += _costs(findings)
    return Section("efficiency", "Sample and compute efficiency", blocks) if blocks else None


def _costs(findings: Findings) -> list[Table | Picture]:
    study, points = findings.study, findings.efficiency
    costs = seconds_per_run(study)
    if costs.empty:
        return []
    blocks: list[Table | Picture] = []
    if len(points):
        timed, unit = over_time(points, costs)
        label = f"{machine(study)}-{unit}"
        blocks.append(
            Picture(
                "compute_efficiency",
                figures.sample_efficiency(timed, x="time", x_label=label, emphasis=findings.emphasis),
                f"Line chart: interquartile mean of the normalized score over {label}, one line per method.",
                f"The same over {label} of one run. A method that builds on other jobs starts later, by its share of their cost; "
                "time within training is taken to pass evenly.",
                wide=False,
            )
        )
    return [*blocks, _run_costs(costs), _stage_costs(stage_costs(study))]


def _run_costs(costs: pd.DataFrame) -> Table:
    columns = [METHOD]
    columns += [Column(heading, partial(_spent, kind)) for kind, heading in KINDS.items() if costs[kind].any()]
    columns += [
        Column("Total", lambda row: duration(row.total)),
        Column("On", lambda row: row.device, numeric=False),
        Column("Runs", lambda row: str(row.num_runs)),
    ]
    notes = [
        "Mean of a method's runs. A job that several runs stand on counts with each run's share. The CSV file is in seconds."
    ]
    return Table("costs", "What one run costs", costs, columns, notes)


def _spent(kind: str, row: Any) -> str:
    return duration(getattr(row, kind))


def _stage_costs(costs: pd.DataFrame) -> Table:
    columns = [
        Column("Jobs", lambda row: row.kind, numeric=False),
        Column("Number", lambda row: f"{row.num_jobs:,}"),
        Column("All of them", lambda row: duration(row.seconds)),
        Column("One", lambda row: duration(row.seconds_per_job)),
        Column("Runs that stand on one", lambda row: f"up to {row.max_sharers:,}" if row.max_sharers > 1 else "1"),
        Column("On", lambda row: row.device, numeric=False),
    ]
    notes = ["Each job once, whoever computed it. A source run that is also a run of this study is listed under training."]
    return Table("stage_costs", "What the whole study cost", costs, columns, notes)
