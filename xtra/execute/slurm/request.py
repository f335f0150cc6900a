"""The request of an array to SLURM, in submitit's words and in sbatch's."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xtra.store.job import Resources
from xtra.suite.resources import SlurmSettings

SIGNAL_SECONDS = 90
"""Before the time limit, SLURM tells submitit, which requeues the job; a quarter of the limit where that is less."""


def parameters(asked: Resources, num_jobs: int, site: SlurmSettings, dependency: str | None) -> dict[str, Any]:
    """Returns submitit's parameters for elements of `num_jobs` jobs side by side: GPUs are shared, cores and memory are not.

    `kill-on-invalid-dep`: what can never start leaves the queue.
    """
    minutes = max(1, math.ceil(asked.hours * 60))
    cpus = asked.cpus * num_jobs
    chosen = {
        "time": minutes,
        "cpus_per_task": cpus,
        "mem": f"{math.ceil(asked.memory_gb * num_jobs * 1024)}M",
        "srun_args": [f"--cpus-per-task={cpus}"],  # since 22.05 srun does not take it over from sbatch
        "gpus_per_node": _gpus(asked, site),
        "partition": site.partition,
        "account": site.account,
        "qos": site.qos,
        "constraint": site.constraint,
        "array_parallelism": site.max_running,
        "dependency": dependency,
        "setup": list(site.setup) or None,
        "signal_delay_s": min(SIGNAL_SECONDS, minutes * 15),
        "stderr_to_stdout": True,
        "additional_parameters": {"kill-on-invalid-dep": "yes", "requeue": True, **site.sbatch},
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _gpus(asked: Resources, site: SlurmSettings) -> str | int | None:
    if not asked.gpus:
        return None
    return asked.gpus if site.gpu_type is None else f"{site.gpu_type}:{asked.gpus}"


def sbatch_script(request: Mapping[str, Any], num_elements: int, folder: Path, job_name: str) -> str:
    """Returns the script that submitit hands to sbatch for such an array."""
    from submitit.slurm.slurm import _make_sbatch_string

    return _make_sbatch_string(
        command=f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(folder))}",
        folder=folder,
        job_name=job_name,
        map_count=num_elements if num_elements > 1 else None,
        **request,
    )
