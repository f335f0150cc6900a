"""What to call a job in front of people: its key means nothing to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtra.store.job import Job
from xtra.suite.plan import Plan


def plan_labels(plan: Plan) -> dict[str, str]:
    """`train EfficientZero/Pong/0` for the jobs of a cell (and how many more cells share it), `stage game` for others."""
    cells: dict[str, list[str]] = {}
    for cell in plan.cells:
        for key in cell.keys:
            cells.setdefault(key, []).append(cell.name)
    return {key: _shared(job, cells[key]) if key in cells else job_label(job) for key, job in plan.jobs.items()}


def job_label(job: Job) -> str:
    """Stage, game or games, and seed, as far as the configuration has them."""
    environment: Any = job.config.get("environment")
    game = environment.get("game") if isinstance(environment, Mapping) else None
    games, seed = job.config.get("games", ()), job.config.get("seed")
    several = f"{len(games)} games" if len(games) > 1 else "".join(games)
    return " ".join(part for part in (job.stage, game or several, "" if seed is None else f"seed {seed}") if part)


def _shared(job: Job, names: list[str]) -> str:
    more = f" (+{len(names) - 1})" if len(names) > 1 else ""
    return f"{job.stage} {names[0]}{more}"
