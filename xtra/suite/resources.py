"""Resources of a stage's jobs: their size, in a suite's `resources`, and SLURM's options, there and in a site's profile.

Resources are never part of what a job is: more cores do not make another result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from xtra.config import Config
from xtra.store.job import Resources


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
    max_running: int = Field(256, ge=1, examples=[64])
    """Elements of one array that run at once."""
    sbatch: dict[str, str | int] = Field(default_factory=dict, examples=[{"nice": 100}])
    """Any other option of sbatch, by its long name."""
    setup: tuple[str, ...] = Field((), examples=[["module load cuda"]])
    """Shell lines before the job."""


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
    memory_gb: float = Field(Resources().memory_gb, gt=0, examples=[4.0])
    """Main memory in GB."""
    hours: float = Field(Resources().hours, gt=0, examples=[24.0])
    """Time limit in hours."""
    jobs_per_gpu: int = Field(Resources().jobs_per_gpu, ge=1, examples=[1])
    """Jobs that share one GPU, where each of them is too small to fill it."""
    checkpoint_minutes: float = Field(Resources().checkpoint_minutes, gt=0, examples=[5.0])
    """Minutes between checkpoints at most: what a kill or a power cut can lose. A stop loses nothing."""
    slurm: SlurmSettings = Field(default_factory=SlurmSettings, examples=[{"partition": "gpu", "setup": ["module load cuda"]}])
    """Options for SLURM. A site's profile may override them."""
