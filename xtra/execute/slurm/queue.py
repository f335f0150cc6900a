"""The SLURM controller's answers about our submissions. One that does not answer means unknown, never "finished"."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xtra.store.files import write_json

NAME_PREFIX = "xtra-"
ENDED_STATES = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"})
NEVER_SATISFIED = "DependencyNeverSatisfied"
DEFAULT_MAX_ARRAY_SIZE = 1001
RECORDS = "*/submission.json"
DOUBTFUL = "withdrawn"
"""In a submission's directory: its call of sbatch failed, and SLURM has not said since whether it has the jobs."""


NO_CLUSTER = "Could not establish a configuration source"
KNOWN_FAULTS = {
    NO_CLUSTER: "this machine belongs to no SLURM cluster",
    "Unable to process configuration file": "SLURM's configuration on this machine cannot be read",
    "Unable to contact slurm controller": "SLURM's controller does not answer",
}
"""Last words of SLURM's commands that say why nothing is known, and what they mean."""


class SlurmError(Exception):
    """Raised when a SLURM command failed or could not be run; the message, without a full stop, names what is unknown or undone,
    and why."""


class NoSlurmError(SlurmError):
    """Raised where a machine has no SLURM, or one that belongs to no cluster."""


class UnknownFateError(SlurmError):
    """Raised when a call of sbatch failed and SLURM does not say whether it has the jobs all the same."""


@dataclass(frozen=True)
class QueueEntry:
    """A job of the store that SLURM has: its SLURM id (`123` or `123_4`), state and, while pending, the reason.

    Jobs that share a GPU have one SLURM id.
    """

    slurm_id: str
    state: str
    reason: str


class Submissions:
    """The record of every `sbatch` call, `<directory>/<id>/submission.json`, written before the call.

    The id is in the SLURM job's name, so a call whose launcher was killed before it learned the SLURM id is found all the same.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def record(self, identity: str, elements: Sequence[Sequence[str]], report: str | None = None) -> Path:
        """Creates the directory of a submission that is about to be made; element i of the array runs the jobs `elements[i]`.

        report: the id of the plan, for the job that reports on it.
        """
        folder = self.directory / identity
        folder.mkdir(parents=True)
        record = {"schema_version": 2, "elements": [list(keys) for keys in elements]}
        write_json(folder / "submission.json", record | ({} if report is None else {"report": report}))
        return folder

    def withdraw(self, identity: str) -> None:
        """Forgets a submission whose call of sbatch has failed, and cancels what SLURM has of it all the same (the call timed
        out): submitit had not yet laid down what those tasks would run.

        Raises SlurmError, and keeps the record, when SLURM does not answer: the jobs may be queued until `withdraw_doubtful`.
        """
        name = f"{NAME_PREFIX}{identity}"
        (self.directory / identity / DOUBTFUL).touch()
        cancel(QueueEntry(slurm_id, state, reason) for slurm_id, other, state, reason in _squeue() if other == name)
        shutil.rmtree(self.directory / identity)

    def withdraw_doubtful(self) -> None:
        """Withdraws the submissions that SLURM did not answer about. Raises SlurmError when it still does not."""
        for mark in sorted(self.directory.glob(f"*/{DOUBTFUL}")):
            self.withdraw(mark.parent.name)

    def queued(self) -> dict[str, QueueEntry]:
        """Returns the jobs that SLURM has pending or running, by key. Raises SlurmError when the controller does not answer."""
        return {key: entry for key, entry in self.entries() if key}

    def entries(self) -> list[tuple[str, QueueEntry]]:
        """Returns key and entry of each of our jobs that SLURM has; the key of a report's job is empty. A job that was submitted
        twice is there twice. Raises SlurmError when the controller does not answer."""
        if next(self.directory.glob(RECORDS), None) is None:
            return []  # nothing was ever submitted, so it does not matter whether SLURM is here
        entries: list[tuple[str, QueueEntry]] = []
        elements_of = functools.cache(self._elements)
        for slurm_id, name, state, reason in _squeue():
            elements = elements_of(name)
            index = int(slurm_id.partition("_")[2] or 0)
            if elements is None or state in ENDED_STATES or reason == NEVER_SATISFIED:
                continue
            keys = elements[index] if index < len(elements) else []
            entries += [(key, QueueEntry(slurm_id, state, reason)) for key in keys or [""]]
        return entries

    def reports(self) -> set[str]:
        """Returns the ids of the plans whose job that reports SLURM has pending or running. Raises SlurmError when the controller
        does not answer."""
        live = {name for _, name, state, reason in _squeue() if state not in ENDED_STATES and reason != NEVER_SATISFIED}
        return {str(record["report"]) for record in map(self._record, live) if "report" in record}

    def logs(self, key: str) -> list[Path]:
        """Returns the logs of SLURM and submitit about a job, the latest start last; its own output is in its log in the
        store."""
        paths: list[Path] = []
        for record in self.directory.glob(RECORDS):
            elements = self._elements(record.parent.name) or []
            for index, keys in enumerate(elements):
                if key in keys:
                    paths += record.parent.glob("*_0_log.out" if len(elements) == 1 else f"*_{index}_0_log.out")
        return sorted(paths, key=lambda path: path.stat().st_mtime)

    def _elements(self, job_name: str) -> list[list[str]] | None:
        """Reads the keys in each element of a submission; None for one of another store, or where the record disagrees."""
        record = self._record(job_name)
        try:
            # Schema 1 knew no elements of several jobs.
            elements = [[key] for key in record["keys"]] if "keys" in record else record["elements"]
            return [[str(key) for key in keys if isinstance(key, str)] for keys in elements if isinstance(keys, list)]
        except (KeyError, TypeError):
            return None

    def _record(self, job_name: str) -> dict[str, Any]:
        """Reads the record of a submission; it is empty for one of another store, or where it is of another shape."""
        try:
            record = json.loads((self.directory / job_name.removeprefix(NAME_PREFIX) / "submission.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


def cancel(queued: Iterable[QueueEntry]) -> None:
    """Ends these jobs. Raises SlurmError."""
    identities = sorted({entry.slurm_id for entry in queued})
    for start in range(0, len(identities), 500):
        run_slurm(["scancel", "--quiet", *identities[start : start + 500]], "not every job is cancelled")


def max_array_size() -> int:
    """Returns the controller's MaxArraySize; SLURM's default when it does not answer with one."""
    settings = run_slurm(["scontrol", "show", "config"], "SLURM's largest array is unknown")
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", settings, re.MULTILINE)
    return max(1, int(match[1])) if match else DEFAULT_MAX_ARRAY_SIZE  # 0: this controller takes no arrays


def run_slurm(command: Sequence[str], otherwise: str) -> str:
    """Returns the standard output of a SLURM command. Raises SlurmError, which begins with `otherwise`: what its failure
    means."""
    program = command[0]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        raise NoSlurmError(f"{otherwise}: {program} is not on this machine, as it is on a cluster's login node") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{otherwise}: {program} got no answer from SLURM's controller within a minute") from None
    if process.returncode:
        output = process.stderr or process.stdout
        fault = NoSlurmError if NO_CLUSTER in output else SlurmError
        raise fault(f"{otherwise}: {_reason(program, output)}")
    return process.stdout


def _reason(program: str, output: str) -> str:
    last = (output.strip().splitlines() or ["it said nothing"])[-1].removeprefix(f"{program}: ").removeprefix("fatal: ")
    meanings = [meaning for fault_text, meaning in KNOWN_FAULTS.items() if fault_text in last]
    return f"{meanings[0]} ({program}: {last})" if meanings else f"{program} failed: {last}"


def _squeue() -> list[list[str]]:
    # Of all users: a colleague may have submitted jobs of the same store.
    listing = run_slurm(["squeue", "--noheader", "--array", "--format", "%i|%j|%T|%r"], "SLURM's queue is unknown")
    return [line.split("|", 3) for line in listing.splitlines() if f"|{NAME_PREFIX}" in line]
