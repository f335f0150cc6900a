"""A plan as figures: what there is to do, stage by stage and method by method, and what is done already."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xtra.store.store import REPLAY, Store
from xtra.suite.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.plan import Plan
from xtra.suite.plan import plan as make_plan

MAX_COMPARED = 50
"""Suites that a plan is compared with."""


@dataclass(frozen=True)
class Share:
    """Of `total` jobs or cells, `cached` are done."""

    cached: int
    total: int

    @property
    def missing(self) -> int:
        return self.total - self.cached


def cached_keys(plan: Plan, store: Store) -> frozenset[str]:
    """The jobs of the plan that will not be run: finished, and with what a dataset still to be made reads of them."""
    now = time.time()
    done = {key for key in plan.jobs if store.state(key, now).final}
    datasets = [job for job in plan.jobs.values() if job.stage == "dataset" and job.key not in done]
    return frozenset(done - {key for job in datasets for key in job.input_keys if store.has_lost(key, REPLAY)})


def by_stage(plan: Plan, cached: Collection[str]) -> dict[str, Share]:
    """Jobs of each stage, in the order in which stages first appear."""
    keys: dict[str, list[str]] = {}
    for key, job in plan.jobs.items():
        keys.setdefault(job.stage, []).append(key)
    return {stage: _share(own, cached) for stage, own in keys.items()}


def by_method(plan: Plan, cached: Collection[str]) -> dict[tuple[str, str, str], Share]:
    """Cells of each (method, agent, protocol label); a cell is cached when its evaluation is."""
    keys: dict[tuple[str, str, str], list[str]] = {}
    for cell in plan.cells:
        keys.setdefault((cell.method, cell.agent, cell.protocol), []).append(cell.evaluate_key)
    return {identity: _share(own, cached) for identity, own in keys.items()}


def shared_with(plan: Plan, directory: Path) -> dict[str, int]:
    """How many of the plan's jobs the other suites in a directory stand on too, by suite; broken files are passed over."""
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
    """The whole plan as JSON data, for programs."""
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
