"""Resources of a stage's jobs: their size, in a suite's `resources`, and SLURM's options, there and in a site's profile.

Resources are never part of what a job is: more cores do not make another result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from xtra.config import Config
from xtra.store.job import Resources

_RESOURCES = "`{}` of the stage, in the suite's `resources`"
_BESIDE = "the key `{}` beside `sbatch`"
_ONE_TASK = "nothing: a job is one task on one node"
_OURS = "nothing: {}"

REPLACEMENTS = {
    "array": _BESIDE.format("max_running") + ", which says how many elements of an array run at once",
    "dependency": _OURS.format("a job waits for the jobs that it reads"),
    "time": _RESOURCES.format("hours"),
    "time-min": _RESOURCES.format("hours"),
    "cpus-per-task": _RESOURCES.format("cpus"),
    "cpus-per-gpu": _RESOURCES.format("cpus"),
    "mem": _RESOURCES.format("memory_gb"),
    "mem-per-cpu": _RESOURCES.format("memory_gb"),
    "mem-per-gpu": _RESOURCES.format("memory_gb"),
    "gpus": _RESOURCES.format("gpus") + ", and `gpu_type` beside `sbatch`",
    "gpus-per-node": _RESOURCES.format("gpus") + ", and `gpu_type` beside `sbatch`",
    "gpus-per-task": _RESOURCES.format("gpus") + ", and `gpu_type` beside `sbatch`",
    "partition": _BESIDE.format("partition"),
    "account": _BESIDE.format("account"),
    "qos": _BESIDE.format("qos"),
    "constraint": _BESIDE.format("constraint"),
    "nodes": _ONE_TASK,
    "ntasks": _ONE_TASK,
    "ntasks-per-node": _ONE_TASK,
    "job-name": _OURS.format("jobs are found in the queue by their names"),
    "output": _OURS.format("`xtra-bench logs` shows what a job printed"),
    "error": _OURS.format("`xtra-bench logs` shows what a job printed"),
    "open-mode": _OURS.format("`xtra-bench logs` shows what a job printed"),
    "signal": _OURS.format("a job is told before its time limit, saves and is requeued"),
    "requeue": _OURS.format("a job is told before its time limit, saves and is requeued"),
    "no-requeue": _OURS.format("a job is told before its time limit, saves and is requeued"),
    "kill-on-invalid-dep": _OURS.format("what can never start leaves the queue"),
    "wrap": _OURS.format("`setup` beside `sbatch` has lines that run before the job"),
    "parsable": _OURS.format("sbatch's answer is read here"),
}
"""Options of sbatch that are made here, and what to write in their place."""


def _free_option(name: str) -> str:
    """Raises ValueError for an option that would collide with one of ours, or that is not a long name."""
    plain = name.replace("_", "-").strip()
    if plain.startswith("-") or len(plain) < 2:
        raise ValueError(f"{name!r} is not the long name of an option, without dashes, such as mail-type")
    if plain in REPLACEMENTS:
        raise ValueError(f"sbatch's {plain} is set by xtra-bench; in its place write {REPLACEMENTS[plain]}")
    return name


class SlurmSettings(Config):
    """Options of sbatch. None leaves SLURM's default."""

    partition: str | None = Field(None, examples=["gpu"])
    """Partitions, separated by commas."""
    account: str | None = Field(None, examples=["my-lab"])
    """Account that is charged."""
    qos: str | None = Field(None, examples=["normal"])
    """Quality of service."""
    constraint: str | None = Field(None, examples=["a100"])
    """Features that nodes must have."""
    gpu_type: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$", examples=["a100"])
    """Kind of GPU, by the cluster's name for it (`scontrol show node` lists them under Gres); of jobs that ask for GPUs."""
    max_running: int = Field(256, ge=1, examples=[64])
    """Elements of one array that run at once."""
    sbatch: dict[Annotated[str, AfterValidator(_free_option)], str | int] = Field(
        default_factory=dict, examples=[{"mail-type": "FAIL", "reservation": "course"}]
    )
    """Any other option of sbatch, by its long name."""
    setup: tuple[str, ...] = Field((), examples=[["module load cuda"]])
    """Shell lines before the job."""

    @model_validator(mode="after")
    def _gpus_are_asked_for_once(self) -> Self:
        if str(self.sbatch.get("gres", "")).startswith("gpu"):
            raise ValueError(f"sbatch's gres asks for GPUs; in its place write {REPLACEMENTS['gpus']}")
        return self


def combine(layers: Iterable[SlurmSettings]) -> SlurmSettings:
    """Combines blocks, weakest first: a key that a later one sets wins, `null` too; options of `sbatch` one by one."""
    values: dict[str, Any] = {}
    for layer in layers:
        own = {name: getattr(layer, name) for name in layer.model_fields_set}
        values |= own | {"sbatch": {**values.get("sbatch", {}), **layer.sbatch}}
    return SlurmSettings(**values)


class ResourcesSpec(Config):
    """Resources that every job of one stage asks for."""

    cpus: int = Field(Resources().cpus, ge=1, examples=[1])
    """Cores."""
    gpus: int = Field(Resources().gpus, ge=0, examples=[0])
    """GPUs."""
    memory_gb: float = Field(Resources().memory_gb, gt=0, le=1_000_000, examples=[4.0])
    """Main memory in GB."""
    hours: float = Field(Resources().hours, gt=0, le=100_000, examples=[24.0])
    """Time limit in hours."""
    jobs_per_gpu: int = Field(Resources().jobs_per_gpu, ge=1, examples=[1])
    """Jobs that share one GPU, where each of them is too small to fill it."""
    checkpoint_minutes: float = Field(Resources().checkpoint_minutes, gt=0, examples=[5.0])
    """Minutes between checkpoints at most: what a kill or a power cut can lose. A stop loses nothing."""
    slurm: SlurmSettings = Field(default_factory=SlurmSettings, examples=[{"partition": "gpu", "setup": ["module load cuda"]}])
    """Options for SLURM. A site's profile may override them."""
