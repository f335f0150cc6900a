"""What a plan will cost, learned from finished jobs of the same kind: those that differ in game, seed and inputs alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from xtra.store.errors import DamagedError
from xtra.store.job import Job, Resources, digest
from xtra.store.store import Store
from xtra.suite.plan import Plan

BYTES_PER_GB = 1e9


@dataclass(frozen=True)
class Cost:
    """Of one job: time on its machine, and what it leaves in the store."""

    seconds: float
    bytes: float


@dataclass(frozen=True)
class Estimate:
    """Of the jobs to run. `unknown` of them are of a kind that has never finished, and are in none of the other figures."""

    job_hours: float
    gpu_hours: float
    longest_hours: float
    """Of the longest chain of jobs that wait for one another: no number of machines is faster."""
    disk_gb: float
    unknown: int
    unknown_gpu_hours: float
    """What their time limits add up to, one each."""


def kind(job: Job) -> str:
    """Equal for jobs that differ in games, seed and inputs alone; of several source games their number counts."""
    config: dict[str, Any] = {name: value for name, value in job.config.items() if name != "seed"}
    config["environment"] = {name: value for name, value in config.get("environment", {}).items() if name != "game"}
    config["games"] = len(config.get("games", ()))
    if config.get("finetuning"):
        config["finetuning"] = {**config["finetuning"], "sources": len(config["finetuning"]["sources"])}
    return digest([job.stage, job.version, config])


def finished_costs(store: Store) -> dict[str, Cost]:
    """The mean cost of each kind of job that the store holds results of. Damaged records are passed over."""
    met: dict[str, list[Cost]] = {}
    added = store.keys()
    for key in added:
        try:
            manifest = store.manifest(key)
            if manifest is not None:
                met.setdefault(kind(store.job(key)), []).append(Cost(manifest.seconds, manifest.size))
        except DamagedError:
            continue
    return {name: Cost(fmean(c.seconds for c in costs), fmean(c.bytes for c in costs)) for name, costs in met.items()}


def estimate(plan: Plan, cached: Collection[str], costs: Mapping[str, Cost]) -> Estimate:
    """What the jobs that are not cached will cost, where jobs of their kinds have finished."""
    waiting = {key: job for key, job in plan.jobs.items() if key not in cached}
    known = {key: cost for key, job in waiting.items() if (cost := costs.get(kind(job))) is not None}
    ends: dict[str, float] = {}
    for key, job in waiting.items():
        start = max((ends.get(needed, 0.0) for needed in job.input_keys), default=0.0)
        ends[key] = start + (known[key].seconds if key in known else 0.0)
    return Estimate(
        job_hours=sum(cost.seconds for cost in known.values()) / 3600,
        gpu_hours=sum(cost.seconds * _gpus(waiting[key].resources) for key, cost in known.items()) / 3600,
        longest_hours=max(ends.values(), default=0.0) / 3600,
        disk_gb=sum(cost.bytes for cost in known.values()) / BYTES_PER_GB,
        unknown=len(waiting) - len(known),
        unknown_gpu_hours=sum(job.resources.hours * _gpus(job.resources) for key, job in waiting.items() if key not in known),
    )


def _gpus(asked: Resources) -> float:
    return asked.gpus / asked.num_sharers


def sentence(found: Estimate, jobs: int) -> str:
    """The estimate in words, for `jobs` jobs to run."""
    if not jobs:
        return "Nothing is left to run."
    limits = "its time limit is" if found.unknown == 1 else "their time limits add up to"
    limit = f"; {limits} {duration(found.unknown_gpu_hours * 3600, 'GPU-')}" if found.unknown_gpu_hours else ""
    if found.unknown == jobs:
        return f"No job of these kinds has finished here yet{limit or ', so there is no estimate'}."
    parts = [
        f"about {duration(found.job_hours * 3600)} of jobs",
        f"at least {duration(found.longest_hours * 3600)} from start to end on any number of machines",
        _size(found.disk_gb),
    ]
    if found.gpu_hours:
        parts.insert(1, duration(found.gpu_hours * 3600, "GPU-"))
    of_kinds = "1 job is of a kind that has" if found.unknown == 1 else f"{found.unknown} jobs are of kinds that have"
    rest = f"; {of_kinds} not finished here yet{limit}" if found.unknown else ""
    return f"To run: {', '.join(parts)}{rest}."


def duration(seconds: float, of: str = "") -> str:
    """In the largest unit of which it has one: `2.5 hours`, `1 minute`; with `of="GPU-"`, `4 GPU-hours`."""
    unit, length = next((pair for pair in _UNITS if seconds >= pair[1]), _UNITS[-1])
    told = _round(seconds / length)
    return f"{told} {of}{unit}{'' if told == '1' else 's'}"


_UNITS = (("hour", 3600), ("minute", 60), ("second", 1))


def _size(gigabytes: float) -> str:
    unit, size = next((pair for pair in _SIZES if gigabytes >= pair[1]), _SIZES[-1])
    return f"{_round(gigabytes / size)} {unit}"


_SIZES = (("GB", 1.0), ("MB", 1e-3), ("KB", 1e-6))


def _round(value: float) -> str:
    """Two digits, more where they stand before the point."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
