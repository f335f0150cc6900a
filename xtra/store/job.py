"""A job: what is computed. Its key names its place in the store; equal keys mean equal results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xtra.store.files import DamagedError, OtherReleaseError, UnreadableError

JOB_SCHEMA_VERSION = 1
"""Version of `job.json`."""


def canonical_json(value: Any) -> str:
    """Returns the one text that stands for a value: sorted keys, no spaces, shortest round-trip floats. Raises ValueError for NaN
    and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Returns the SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


KEY_DIGITS = 24
"""Hex digits of the hash in a key: 96 bits."""


@dataclass(frozen=True)
class Resources:
    """Resources that a job asks for. They are not part of its key: more cores must not make another result.

    checkpoint_minutes: between checkpoints at most. slurm: options for SLURM besides, as JSON data (`xtra.suite.resources`).
    """

    cpus: int = 1
    gpus: int = 0
    memory_gb: float = 4.0
    hours: float = 24.0
    jobs_per_gpu: int = 1
    checkpoint_minutes: float = 5.0
    slurm: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def num_sharers(self) -> int:
        """Jobs that go onto the same GPU, or GPUs; 1 for a job that asks for none."""
        return self.jobs_per_gpu if self.gpus else 1


@dataclass(frozen=True)
class Job:
    """A node of the plan: a stage, its version, its full configuration (defaults included) and the keys of its inputs.

    `inputs` maps a role to the keys of the jobs whose outputs it reads, in an order that matters.
    """

    stage: str
    version: int
    config: Mapping[str, Any]
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    resources: Resources = Resources()
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Code of others that it runs on: the name of each plugin, and its version and the hash of its source."""

    @cached_property
    def key(self) -> str:
        """The job's key: `<stage>-<hash>` over everything but the resources."""
        identity = {name: value for name, value in self.to_record().items() if name != "resources"}
        return f"{self.stage}-{digest(identity)[:KEY_DIGITS]}"

    @property
    def input_keys(self) -> tuple[str, ...]:
        """The keys of every job this one waits for."""
        return tuple(key for keys in self.inputs.values() for key in keys)

    def to_record(self) -> dict[str, Any]:
        """Returns the job as JSON data."""
        return {
            "stage": self.stage,
            "version": self.version,
            "config": self.config,
            "inputs": {role: list(keys) for role, keys in self.inputs.items()},
            "resources": asdict(self.resources),
            **({"plugins": self.plugins} if self.plugins else {}),
        }


def read_job(path: Path, key: str) -> Job:
    """Reads the record of the job of that key.

    Raises DamagedError when it is missing, truncated, or no longer hashes to its key, UnreadableError when it cannot be read,
    OtherReleaseError when it is of another schema.
    """
    try:
        record = json.loads(path.read_bytes())
        if record["schema_version"] != JOB_SCHEMA_VERSION:
            raise OtherReleaseError(path, record["schema_version"], JOB_SCHEMA_VERSION)
        inputs = {role: tuple(keys) for role, keys in record["inputs"].items()}
        resources, plugins = Resources(**record["resources"]), record.get("plugins", {})
        job = Job(record["stage"], record["version"], record["config"], inputs, resources, plugins)
        own_key = job.key
    except FileNotFoundError:
        raise DamagedError(path, "is missing") from None
    except OSError as error:
        raise UnreadableError(path, error) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedError(path, "is not a job record (truncated?)") from None
    if own_key != key:
        raise DamagedError(path, f"describes {own_key}, not {key}")
    return job
