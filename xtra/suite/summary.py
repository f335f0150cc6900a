"""A plan in numbers: what is done, what is left, and what the rest will cost, judged by finished jobs of the same kinds.

Jobs are of one kind when they differ in game, seed and inputs alone.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from xtra.store.files import StoreError
from xtra.store.job import Job, Resources, digest
from xtra.store.store import REPLAY, Store
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.plan import Plan
from xtra.suite.plan import plan as make_plan

MAX_COMPARED = 50
"""Suites that a plan is compared with."""


@dataclass(frozen=True)
class Share:
    """A share of `total` jobs or cells: `cached` are done."""

    cached: int
    total: int

    @property
    def missing(self) -> int:
        return self.total - self.cached


def cached_keys(plan: Plan, store: Store) -> frozenset[str]:
    """Returns the jobs of the plan that will not be run: they are finished, and have all that a dataset still to be made reads of
    them."""
    now = time.time()
    done = {key for key in plan.jobs if store.state(key, now).final}
    datasets = [job for job in plan.jobs.values() if job.stage == "dataset" and job.key not in done]
    return frozenset(done - {key for job in datasets for key in job.input_keys if store.has_lost(key, REPLAY)})


def by_stage(plan: Plan, cached: Collection[str]) -> dict[str, Share]:
    """Counts jobs of each stage, in the order in which stages first appear."""
    keys: dict[str, list[str]] = {}
    for key, job in plan.jobs.items():
        keys.setdefault(job.stage, []).append(key)
    return {stage: _share(own, cached) for stage, own in keys.items()}


def by_method(plan: Plan, cached: Collection[str]) -> dict[tuple[str, str, str], Share]:
    """Counts cells of each (method, agent, protocol label); a cell is cached when its evaluation is."""
    keys: dict[tuple[str, str, str], list[str]] = {}
    for cell in plan.cells:
        keys.setdefault((cell.method, cell.agent, cell.protocol), []).append(cell.evaluate_key)
    return {identity: _share(own, cached) for identity, own in keys.items()}


def shared_with(plan: Plan, directory: Path) -> dict[str, int]:
    """Counts the plan's jobs that the other suites in a directory need too, by suite; broken files are passed over."""
    shared: dict[str, int] = {}
    for path in sorted(directory.glob("*.yaml"))[:MAX_COMPARED]:
        try:
            other = make_plan(load_suite(path))
        except SuiteError:
            continue
        if other.suite != plan.suite and (common := plan.jobs.keys() & other.jobs.keys()):
            shared[other.suite] = len(common)
    return shared


def to_record(plan: Plan, cached: Collection[str]) -> dict[str, Any]:
    """Returns the whole plan as JSON data, for programs."""
    jobs = [
        {
            "key": job.key,
            "stage": job.stage,
            "version": job.version,
            "cached": job.key in cached,
            "inputs": {role: list(keys) for role, keys in job.inputs.items()},
            "resources": asdict(job.resources),
            "config": dict(job.config),
        }
        for job in plan.jobs.values()
    ]
    identity = {"suite": plan.suite, "version": plan.spec.version, "id": plan.id}
    return {**identity, "jobs": jobs, "cells": [asdict(cell) for cell in plan.cells]}


def _share(keys: list[str], cached: Collection[str]) -> Share:
    return Share(sum(key in cached for key in keys), len(keys))


BYTES_PER_GB = 1e9


@dataclass(frozen=True)
class Cost:
    """The cost of one job: time on its machine, and what it leaves in the store."""

    seconds: float
    bytes: float


@dataclass(frozen=True)
class Estimate:
    """The cost of the jobs to run. The other figures leave out `unknown` of them, which are of a kind that has never finished."""

    job_hours: float
    gpu_hours: float
    longest_hours: float
    """Hours of the longest chain of jobs that wait for one another: no number of machines is faster."""
    disk_gb: float
    unknown: int
    unknown_gpu_hours: float
    """GPU-hours that the time limits of the `unknown` jobs add up to."""


def kind(job: Job) -> str:
    """Identifies the kind of a job: equal for jobs that differ in games, seed and inputs alone; of several source games their
    number counts."""
    config: dict[str, Any] = {name: value for name, value in job.config.items() if name != "seed"}
    config["environment"] = {name: value for name, value in config.get("environment", {}).items() if name != "game"}
    config["games"] = len(config.get("games", ()))
    if config.get("finetuning"):
        config["finetuning"] = {**config["finetuning"], "sources": len(config["finetuning"]["sources"])}
    return digest([job.stage, job.version, config])


def finished_costs(store: Store) -> dict[str, Cost]:
    """Returns the mean cost of each kind of job that the store holds results of. Damaged records are skipped."""
    by_kind: dict[str, list[Cost]] = {}
    added = store.keys([])
    for key in added:
        try:
            manifest = store.manifest(key)
            if manifest is not None:
                by_kind.setdefault(kind(store.job(key)), []).append(Cost(manifest.seconds, manifest.size))
        except StoreError:
            continue
    return {name: Cost(fmean(c.seconds for c in costs), fmean(c.bytes for c in costs)) for name, costs in by_kind.items()}


def estimate(plan: Plan, cached: Collection[str], costs: Mapping[str, Cost]) -> Estimate:
    """Estimates the cost of the jobs that are not cached, where jobs of their kinds have finished."""
    waiting = {key: job for key, job in plan.jobs.items() if key not in cached}
    known = {key: cost for key, job in waiting.items() if (cost := costs.get(kind(job))) is not None}
    ends: dict[str, float] = {}
    for key, job in waiting.items():
        start = max((ends.get(input_key, 0.0) for input_key in job.input_keys), default=0.0)
        ends[key] = start + (known[key].seconds if key in known else 0.0)
    return Estimate(
        job_hours=sum(cost.seconds for cost in known.values()) / 3600,
        gpu_hours=sum(cost.seconds * _gpus(waiting[key].resources) for key, cost in known.items()) / 3600,
        longest_hours=max(ends.values(), default=0.0) / 3600,
        disk_gb=sum(cost.bytes for cost in known.values()) / BYTES_PER_GB,
        unknown=len(waiting) - len(known),
        unknown_gpu_hours=sum(job.resources.hours * _gpus(job.resources) for key, job in waiting.items() if key not in known),
    )


def _gpus(resources: Resources) -> float:
    return resources.gpus / resources.num_sharers


def estimate_sentence(estimate: Estimate, jobs: int) -> str:
    """Words the estimate for `jobs` jobs to run."""
    if not jobs:
        return "Nothing is left to run."
    limits = "its time limit is" if estimate.unknown == 1 else "their time limits add up to"
    limit = f"; {limits} {duration(estimate.unknown_gpu_hours * 3600, 'GPU-')}" if estimate.unknown_gpu_hours else ""
    if estimate.unknown == jobs:
        return f"No job of these kinds has finished here yet{limit or ', so there is no estimate'}."
    parts = [
        f"about {duration(estimate.job_hours * 3600)} of jobs",
        f"at least {duration(estimate.longest_hours * 3600)} from start to end on any number of machines",
        _size(estimate.disk_gb),
    ]
    if estimate.gpu_hours:
        parts.insert(1, duration(estimate.gpu_hours * 3600, "GPU-"))
    of_kinds = "1 job is of a kind that has" if estimate.unknown == 1 else f"{estimate.unknown} jobs are of kinds that have"
    rest = f"; {of_kinds} not finished here yet{limit}" if estimate.unknown else ""
    return f"To run: {', '.join(parts)}{rest}."


def duration(seconds: float, of: str = "") -> str:
    """Writes seconds in the largest unit of which there is one: `2.5 hours`, `1 minute`; with `of="GPU-"`, `4 GPU-hours`."""
    unit, length = next((pair for pair in _UNITS if seconds >= pair[1]), _UNITS[-1])
    number = _round(seconds / length)
    return f"{number} {of}{unit}{'' if number == '1' else 's'}"


_UNITS = (("hour", 3600), ("minute", 60), ("second", 1))


def _size(gigabytes: float) -> str:
    unit, size = next((pair for pair in _SIZES if gigabytes >= pair[1]), _SIZES[-1])
    return f"{_round(gigabytes / size)} {unit}"


_SIZES = (("GB", 1.0), ("MB", 1e-3), ("KB", 1e-6))


def _round(value: float) -> str:
    """Rounds to two digits, and to whole numbers above 10."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
