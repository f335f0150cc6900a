"""What the SLURM controller knows of our submissions. A controller that does not answer is unknown, never "finished"."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xtra.store.files import write_json

NAME_PREFIX = "xtra-"
GONE = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"})
NEVER = "DependencyNeverSatisfied"
DEFAULT_MAX_ARRAY_SIZE = 1001


class SlurmError(Exception):
    """A SLURM command failed or could not be run; the message quotes it."""


@dataclass(frozen=True)
class Queued:
    """A job of the store that SLURM has: its SLURM id (`123` or `123_4`), state and, while pending, the reason."""

    slurm_id: str
    state: str
    reason: str


class Submissions:
    """The record of every `sbatch` call, `<directory>/<id>/submission.json`, written before the call.

    The id is in the SLURM job's name, so a call whose launcher was killed before it learned the SLURM id is found all the same.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def record(self, identity: str, keys: Sequence[str]) -> Path:
        """Creates the directory of a submission that is about to be made; element i of the array runs `keys[i]`."""
        folder = self.directory / identity
        folder.mkdir(parents=True)
        write_json(folder / "submission.json", {"schema_version": 1, "keys": list(keys)})
        return folder

    def queued(self) -> dict[str, Queued]:
        """The jobs that SLURM has pending or running, by key. Raises SlurmError when the controller does not answer."""
        if not self.directory.is_dir():
            return {}
        found: dict[str, Queued] = {}
        for slurm_id, name, state, reason in _squeue():
            keys = self._keys(name)
            index = int(slurm_id.partition("_")[2] or 0)
            if index < len(keys) and state not in GONE and reason != NEVER:
                found[keys[index]] = Queued(slurm_id, state, reason)
        return found

    def logs(self, key: str) -> list[Path]:
        """What SLURM and submitit said around a job, the latest start last; the job's own words are in its log in the store."""
        found: list[Path] = []
        for record in self.directory.glob("*/submission.json"):
            keys = self._keys(record.parent.name)
            if key in keys:
                found += record.parent.glob("*_0_log.out" if len(keys) == 1 else f"*_{keys.index(key)}_0_log.out")
        return sorted(found, key=lambda path: path.stat().st_mtime)

    def _keys(self, job_name: str) -> list[str]:
        try:
            record = json.loads((self.directory / job_name.removeprefix(NAME_PREFIX) / "submission.json").read_bytes())
            return list(record["keys"])
        except (OSError, ValueError, KeyError):
            return []  # of another store


def cancel(queued: Iterable[Queued]) -> None:
    """Ends these jobs. Raises SlurmError."""
    identities = [entry.slurm_id for entry in queued]
    for start in range(0, len(identities), 500):
        run_slurm(["scancel", *identities[start : start + 500]])


def max_array_size() -> int:
    """The controller's MaxArraySize; SLURM's default when it does not say."""
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", run_slurm(["scontrol", "show", "config"]), re.MULTILINE)
    return int(match[1]) if match else DEFAULT_MAX_ARRAY_SIZE


def run_slurm(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """The standard output of a SLURM command. Raises SlurmError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    except FileNotFoundError:
        raise SlurmError(f"{command[0]} is not here: run this where SLURM's commands are, or with --executor local") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]} did not answer within a minute; is the controller up? (`scontrol ping`)") from None
    if done.returncode:
        raise SlurmError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _squeue() -> list[list[str]]:
    # Of all users: a colleague may have submitted jobs of the same store.
    listing = run_slurm(["squeue", "--noheader", "--array", "--format", "%i|%j|%T|%r"])
    return [line.split("|", 3) for line in listing.splitlines() if f"|{NAME_PREFIX}" in line]
