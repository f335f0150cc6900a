"""What runs cost: seconds of training and of what it stands on, and learning curves over time instead of env steps."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.formatting import TIME_UNITS, time_unit
from xtra_analysis.study import Study

PREPARATION = {
    "source": "Source runs",
    "dataset": "Datasets",
    "teacher": "Teachers",
    "label": "Labels",
    "pretrain": "Pretraining",
}
"""What a run stands on, by kind of job. A source run has stage `train` too, but is not the run's own training."""
OWN = {"train": "Training", "evaluate": "Evaluation"}
KINDS = PREPARATION | OWN

RUN_COST_COLUMNS = ["method", *KINDS, "preparation", "total", "device", "num_runs"]
STAGE_COST_COLUMNS = ["kind", "num_jobs", "seconds", "seconds_per_job", "max_sharers", "device"]


def seconds_per_run(study: Study) -> pd.DataFrame:
    """Mean seconds of a complete run of each method, by kind of job; of a job in common only the run's share counts."""
    cells = study.complete[["method", "game", "seed", "train_key"]]
    costs = study.tables["costs"].merge(cells, on=["method", "game", "seed"])
    costs["kind"] = costs["stage"].where((costs["stage"] != "train") | (costs["key"] == costs["train_key"]), "source")
    rows = []
    for method, part in costs.groupby("method", sort=False):
        num_runs = len(part[["game", "seed"]].drop_duplicates())
        shares = part["seconds"] / part["sharers"].clip(lower=1) / num_runs
        spent = [float(shares[part["kind"] == kind].sum()) for kind in KINDS]
        rows.append((method, *spent, sum(spent[: len(PREPARATION)]), sum(spent), _devices(part), num_runs))
    return pd.DataFrame(rows, columns=RUN_COST_COLUMNS)


def stage_costs(study: Study) -> pd.DataFrame:
    """What the whole study cost by kind of job, each job once; `max_sharers` runs at most stand on one of them."""
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
    """The points of `sample_efficiency` with a column `time`, and the unit in which it is readable.

    costs: of `seconds_per_run`. What precedes training is spent before its first env step.
    """
    known = points[points["method"].isin(costs["method"])]
    cost = costs.set_index("method")
    share = known["env_steps"] / known.groupby("method")["env_steps"].transform("max").clip(lower=1)
    spent = known["method"].map(cost["preparation"]) + share * known["method"].map(cost["train"])
    unit = time_unit(float(spent.max()))
    return known.assign(time=spent / TIME_UNITS[unit]), unit


def machine(study: Study) -> str:
    """Whose time it is, to stand before a unit: of GPUs, of CPUs, or of both."""
    devices = set(study.tables["costs"]["device"])
    on_gpu = {device for device in devices if "cpu" not in device.lower()}
    return "GPU" if on_gpu == devices else "CPU" if not on_gpu else "machine"


def _devices(part: pd.DataFrame) -> str:
    return ", ".join(sorted(part["device"].unique()))
