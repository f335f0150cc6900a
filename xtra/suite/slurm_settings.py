"""What SLURM is told of a stage's jobs beyond their size: in a suite's `resources`, and in a site's profile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from xtra.config import Config


class SlurmSettings(Config):
    """Where jobs go. None leaves SLURM's default."""

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
    """One block from several, weakest first: a key that a later one sets wins, `null` too; options of `sbatch` one by one."""
    values: dict[str, Any] = {}
    for layer in layers:
        own = {name: getattr(layer, name) for name in layer.model_fields_set}
        values |= own | {"sbatch": {**values.get("sbatch", {}), **layer.sbatch}}
    return SlurmSettings(**values)
