"""The speed of planning, submitting and looking at ten thousand jobs: a simulated suite, a complete store, no SLURM."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from xtra.execute.slurm.launch import SlurmLauncher
from xtra.execute.slurm.profile import SlurmProfile
from xtra.execute.slurm.queue import DEFAULT_MAX_ARRAY_SIZE
from xtra.execute.status import by_stage, job_statuses
from xtra.store.files import json_text
from xtra.store.manifest import Manifest, record_files
from xtra.store.provenance import hardware
from xtra.store.store import State, Store
from xtra.suite.load import load_suite
from xtra.suite.plan import Plan, plan

T = TypeVar("T")

NUM_VARIANTS = 10
"""Variants of EfficientZero in the suite, and as many of XTRA."""

TARGETS = ("Assault", "BattleZone", "Hero", "Krull", "Seaquest")
SOURCES = ("Carnival", "Centipede", "Phoenix", "Pooyan")


@dataclass(frozen=True)
class Duration:
    """Seconds by the clock, and of this process's CPU time: they differ where the machine is busy or its disk slow."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class PlanningTimes:
    """`submit`: deciding what goes into which array; what sbatch itself takes depends on the controller.

    submitted: jobs of the first launch; what exceeds the submit limit is left to later ones.  complete: jobs that `status` saw.
    """

    num_jobs: int
    num_cells: int
    plan: Duration
    submit: Duration
    sbatch_calls: int
    submitted: int
    max_array_size: int
    status: Duration
    complete: int
    machine: dict[str, Any]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


def measure(num_jobs: int, max_array_size: int = DEFAULT_MAX_ARRAY_SIZE, max_queued: int | None = None) -> PlanningTimes:
    """Plans at least `num_jobs` jobs, decides how they would be submitted, and looks at their status once all are complete."""
    with tempfile.TemporaryDirectory() as directory:
        suite, store = Path(directory) / "simulated.yaml", Store(Path(directory) / "store")
        suite.write_text(_suite_text(num_jobs), encoding="utf-8")
        planned, planning = _timed(lambda: plan(load_suite(suite)))
        profile = SlurmProfile(max_array_size=max_array_size, max_queued=max_queued)
        launcher = SlurmLauncher(store, Path(directory) / "slurm", profile)
        submitted, submission = _timed(lambda: launcher.simulate(planned.jobs))
        _complete(planned, store)
        counts, looking = _timed(lambda: by_stage(job_statuses(store, store.keys())))
        return PlanningTimes(
            num_jobs=len(planned.jobs),
            num_cells=len(planned.cells),
            plan=planning,
            submit=submission,
            sbatch_calls=submitted.calls,
            submitted=len(submitted.new),
            max_array_size=max_array_size,
            status=looking,
            complete=sum(states[State.COMPLETE] for states in counts.values()),
            machine=hardware(),
        )


def _suite_text(num_jobs: int) -> str:
    """Writes a suite of two families of methods; each (method, game, seed) is two jobs, and the sources' jobs come on top."""
    transfer = {"transfer.pretraining.method": "distillation", "transfer.cross_tasks.enabled": True}
    rates = [0.2 - 0.001 * number for number in range(NUM_VARIANTS)]
    scratch = [{"name": f"EfficientZero {n}", "set": {"agent.optimizer.learning_rate": rate}} for n, rate in enumerate(rates)]
    transferred = [
        {"name": f"XTRA {n}", "set": {**transfer, "agent.optimizer.learning_rate": rate}} for n, rate in enumerate(rates)
    ]
    methods = [*scratch, *transferred]
    num_seeds = math.ceil(num_jobs / (2 * len(methods) * len(TARGETS)))
    suite = {
        "suite": "simulated",
        "version": 1,
        "question": "How fast is a large suite planned?",
        "protocol": "atari100k",
        "preset": "efficientzero",
        "seeds": list(range(num_seeds)),
        "targets": TARGETS,
        "sources": SOURCES,
        "source_method": "EfficientZero 0",
        "pretrain_seeds": [0],
        "methods": methods,
    }
    return json.dumps(suite)  # which is YAML


def _complete(planned: Plan, store: Store) -> None:
    """Puts every job into the store as if it had run. Unsynced: the files are temporary."""
    provenance = {"hardware": hardware()}
    for key, job in planned.jobs.items():
        store.add(job)
        store.out(key).mkdir()
        (store.out(key) / "summary.json").write_text("{}\n", encoding="utf-8")
        manifest = Manifest(key, job.stage, job.version, "complete", record_files(store.out(key)), 1.0, provenance)
        (store.directory(key) / "manifest.json").write_text(json_text(manifest.to_record()), encoding="utf-8")


def _timed(function: Callable[[], T]) -> tuple[T, Duration]:
    clock, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, Duration(round(time.perf_counter() - clock, 3), round(time.process_time() - cpu, 3))
