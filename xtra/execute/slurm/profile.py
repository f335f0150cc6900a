"""Options of SLURM jobs: a site's profile, in a file outside the suites that `--profile` names, and what each array asks for."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from xtra.config import Config
from xtra.stages.registry import STAGES
from xtra.store.job import Resources
from xtra.suite.diagnostics.document import Document, parse, read_text
from xtra.suite.diagnostics.errors import Problem, SuiteError, shown, suggest
from xtra.suite.diagnostics.validation import validation_problems
from xtra.suite.resources import SlurmSettings, combine

REPORT = "report"
"""The stage of a launch's last job, which collects and reports."""


class SlurmProfile(Config):
    """The profile file."""

    default: SlurmSettings = SlurmSettings()
    """Settings of every stage, where neither the suite nor `stages` says otherwise."""
    stages: dict[str, SlurmSettings] = Field(default_factory=dict)
    """Settings by stage; they win over the suite, which wins over `default`: who runs a suite knows the site better than who
    wrote it."""
    max_array_size: int | None = Field(None, ge=1)
    """Elements in one array at most; the controller's MaxArraySize if not given."""
    max_queued: int | None = Field(None, ge=2)
    """Jobs of ours in the queue at most, the one that reports included: the site's submit limit.
    What does not fit is submitted by a later `run`."""

    def of(self, stage: str, asked: Resources) -> SlurmSettings:
        """Returns the settings of a stage's jobs that ask for these resources."""
        of_suite = SlurmSettings.model_validate_json(json.dumps(asked.slurm))
        return combine([self.default, of_suite, *([self.stages[stage]] if stage in self.stages else [])])


class ProfileError(SuiteError):
    """A profile that cannot be used, with every problem in it."""


def load_profile(path: Path | None) -> SlurmProfile:
    """Loads the profile in a YAML file, or the empty one. Raises ProfileError."""
    if path is None:
        return SlurmProfile()
    try:
        document = parse(read_text(path, "profile"), str(path))
    except SuiteError as error:
        raise ProfileError(error.problems) from None
    if document.data is None:
        document.data = {}
    if isinstance(document.data, dict) and {"suite", "methods"} <= document.data.keys():
        remedy = f"a profile has the keys {', '.join(SlurmProfile.model_fields)}; see docs/howto/site_profile.md"
        raise ProfileError([Problem(document.key_location(("suite",)), "this is a suite, not a profile", remedy)])
    problems = [*document.problems, *(problem for _, problem in validation_problems(document, SlurmProfile))]
    problems += _unknown_stages(document)
    if problems:
        raise ProfileError(problems)
    return SlurmProfile.model_validate_json(json.dumps(document.data))


def _unknown_stages(document: Document) -> Iterator[Problem]:
    known = (*STAGES, REPORT)
    stages = document.data.get("stages") if isinstance(document.data, dict) else None
    for stage in stages if isinstance(stages, dict) else ():
        if stage not in known:
            location = document.key_location(("stages", stage))
            yield Problem(location, f"unknown stage {shown(stage)}", suggest(stage, known, "stages"))


SIGNAL_SECONDS = 90
"""Seconds before the time limit at which SLURM signals submitit, which requeues the job; a quarter of the limit where that is
less."""


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

    script: str = _make_sbatch_string(
        command=f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(folder))}",
        folder=folder,
        job_name=job_name,
        map_count=num_elements if num_elements > 1 else None,
        **request,
    )
    return script
