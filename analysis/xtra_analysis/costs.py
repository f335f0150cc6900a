"""Costs of runs: seconds of training and of the jobs before it, learning curves over time, and what the study cost."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pandas as pd

from xtra_analysis.columns import METHOD, band_text, spoken
from xtra_analysis.findings import Findings
from xtra_analysis.learning_curves import plot_efficiency
from xtra_analysis.page import Column, Picture, Section, Table
from xtra_analysis.study import Study
from xtra_analysis.text import TIME_UNITS, duration, time_unit

PREPARATION = {
    "source": "Source runs",
    "dataset": "Datasets",
    "teacher": "Teachers",
    "label": "Labels",
    "pretrain": "Pretraining",
}
"""Kinds of jobs that a run depends on. A source run has stage `train` too, but is not the run's own training."""
OWN = {"train": "Training", "evaluate": "Evaluation"}
KINDS = PREPARATION | OWN
RUN_COST_COLUMNS = ["method", *KINDS, "preparation", "total", "device", "num_runs"]
STAGE_COST_COLUMNS = ["kind", "num_jobs", "seconds", "seconds_per_job", "max_sharers", "device"]


def seconds_per_run(study: Study) -> pd.DataFrame:
    """Computes the mean seconds of a complete run of each method, by kind of job; of a job in common only the run's share
    counts."""
    cells = study.complete[["method", "game", "seed", "train_key"]]
    costs = study.tables["costs"].merge(cells, on=["method", "game", "seed"])
    costs["kind"] = costs["stage"].where((costs["stage"] != "train") | (costs["key"] == costs["train_key"]), "source")
    rows = []
    for method, part in costs.groupby("method", sort=False):
        num_runs = len(part[["game", "seed"]].drop_duplicates())
        shares = part["seconds"] / part["sharers"].clip(lower=1) / num_runs
        spent = [float(shares[part["kind"] == kind].sum()) for kind in KINDS]
        # `sum` rounds otherwise from Python 3.12 on, and a page's bytes are to be the same everywhere.
        preparation, total = math.fsum(spent[: len(PREPARATION)]), math.fsum(spent)
        rows.append((method, *spent, preparation, total, _devices(part), num_runs))
    return pd.DataFrame(rows, columns=RUN_COST_COLUMNS)


def stage_costs(study: Study) -> pd.DataFrame:
    """Adds up what the whole study cost by kind of job, each job once; `max_sharers` runs at most need one of them."""
    jobs = study.tables["costs"].sort_values("sharers", ascending=False, kind="stable").drop_duplicates("key")
    trained = set(study.scores["train_key"])
    kinds = jobs["stage"].where((jobs["stage"] != "train") | jobs["key"].isin(trained), "source")
    rows = [
        (KINDS[kind], len(part), part["seconds"].sum(), part["seconds"].mean(), int(part["sharers"].max()), _devices(part))
        for kind in KINDS
        if len(part := jobs[kinds == kind])
    ]
    return pd.DataFrame(rows, columns=STAGE_COST_COLUMNS)


def over_time(points: pd.DataFrame, costs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Adds a column `time` to the points of `sample_efficiency`, and returns with them the unit in which it is readable.

    costs: of `seconds_per_run`. What precedes training is spent before its first env step.
    """
    known = points[points["method"].isin(costs["method"])]
    cost = costs.set_index("method")
    share = known["env_steps"] / known.groupby("method")["env_steps"].transform("max").clip(lower=1)
    spent = known["method"].map(cost["preparation"]) + share * known["method"].map(cost["train"])
    unit = time_unit(float(spent.max()))
    return known.assign(time=spent / TIME_UNITS[unit]), unit


def machine(study: Study) -> str:
    """Names the machines whose time it is, to stand before a unit: GPUs, CPUs, or both."""
    devices = set(study.tables["costs"]["device"])
    on_gpu = {device for device in devices if "cpu" not in device.lower()}
    return "GPU" if on_gpu == devices else "CPU" if not on_gpu else "machine"


def _devices(part: pd.DataFrame) -> str:
    return ", ".join(sorted(part["device"].unique()))


def efficiency_section(findings: Findings) -> Section | None:
    """Shows sample efficiency, efficiency in time, and costs. Figures of the first screen are not drawn again."""
    points = findings.efficiency
    blocks: list[Table | Picture] = []
    if len(points) and len(findings.relative_efficiency):
        blocks.append(
            Picture(
                "sample_efficiency",
                plot_efficiency(points, emphasis=findings.emphasis),
                f"Line chart: interquartile mean of the normalized score over env steps. At the end: {spoken(points)}",
                f"IQM of the normalized score over env steps. {band_text(points)}",
                points,
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
                plot_efficiency(timed, x="time", x_label=label, emphasis=findings.emphasis),
                f"Line chart: interquartile mean of the normalized score over {label}, one line per method.",
                f"IQM of the normalized score over {label} of one run. A method that builds on other jobs starts later, by its "
                "share of their cost; time within training is taken to pass evenly.",
                timed,
                wide=False,
            )
        )
    return [*blocks, _run_cost_table(costs), _stage_cost_table(stage_costs(study))]


def _run_cost_table(costs: pd.DataFrame) -> Table:
    columns = [METHOD]
    columns += [Column(heading, partial(_spent, kind)) for kind, heading in KINDS.items() if costs[kind].any()]
    columns += [
        Column("Total", lambda row: duration(row.total)),
        Column("On", lambda row: row.device, numeric=False),
        Column("Runs", lambda row: str(row.num_runs)),
    ]
    notes = ["Mean of a method's runs. A job that several runs stand on counts with each run's share."]
    return Table("costs", "What one run costs", costs, columns, notes, csv_note="in seconds")


def _spent(kind: str, row: Any) -> str:
    return duration(getattr(row, kind))


def _stage_cost_table(costs: pd.DataFrame) -> Table:
    columns = [
        Column("Jobs", lambda row: row.kind, numeric=False),
        Column("Number", lambda row: f"{row.num_jobs:,}"),
        Column("All of them", lambda row: duration(row.seconds)),
        Column("One", lambda row: duration(row.seconds_per_job)),
        Column("Runs that stand on one", lambda row: f"up to {row.max_sharers:,}" if row.max_sharers > 1 else "1"),
        Column("On", lambda row: row.device, numeric=False),
    ]
    notes = ["Each job once, whoever computed it. A source run that is also a run of this study is listed under training."]
    return Table("stage_costs", "What the whole study cost", costs, columns, notes, csv_note="in seconds")
