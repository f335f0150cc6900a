"""What runs cost: hours of training and of what it stands on, and learning curves over hours instead of env steps."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.study import Study

SECONDS_PER_HOUR = 3600.0
HOURS_COLUMNS = ["method", "preparation_hours", "training_hours", "evaluation_hours", "total_hours", "device", "num_runs"]


def hours_per_run(study: Study) -> pd.DataFrame:
    """Mean hours of a complete cell of each method, by what they went into; of a job in common only the cell's share counts."""
    costs = study.tables["costs"]
    cells = study.complete[["method", "game", "seed"]]
    rows = []
    for method, part in costs.merge(cells).groupby("method", sort=False):
        num_runs = len(part[["game", "seed"]].drop_duplicates())
        hours = part["seconds"] / part["sharers"].clip(lower=1) / SECONDS_PER_HOUR / num_runs
        training, evaluation = (float(hours[part["stage"] == stage].sum()) for stage in ("train", "evaluate"))
        total = float(hours.sum())
        devices = ", ".join(sorted(part["device"].unique()))
        rows.append((method, total - training - evaluation, training, evaluation, total, devices, num_runs))
    return pd.DataFrame(rows, columns=HOURS_COLUMNS)


def over_hours(points: pd.DataFrame, hours: pd.DataFrame) -> pd.DataFrame:
    """The points of `sample_efficiency` with a column `hours`: what precedes training is spent before its first env step."""
    known = points[points["method"].isin(hours["method"])]
    cost = hours.set_index("method")
    share = known["env_steps"] / known.groupby("method")["env_steps"].transform("max").clip(lower=1)
    spent = known["method"].map(cost["preparation_hours"]) + share * known["method"].map(cost["training_hours"])
    return known.assign(hours=spent)


def hours_label(study: Study) -> str:
    """What an hour is an hour of: GPU, CPU, or both."""
    devices = set(study.tables["costs"]["device"])
    on_gpu = {device for device in devices if "cpu" not in device.lower()}
    return "GPU-hours" if on_gpu == devices else "CPU-hours" if not on_gpu else "hours of one machine"
