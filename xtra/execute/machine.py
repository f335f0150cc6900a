"""Room on this machine: cores, memory and GPUs, handed out to jobs and taken back."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import psutil

from xtra.store.job import Resources

NO_GPU: Mapping[str, str] = {"CUDA_VISIBLE_DEVICES": ""}
"""CUDA_VISIBLE_DEVICES of a job that asks for no GPU, lest it use the one that another was given."""

ONE_BLAS_THREAD: Mapping[str, str] = {"OPENBLAS_NUM_THREADS": "1"}
"""What every worker's environment says before it starts: NumPy's linear algebra reads it once, when NumPy is loaded. Left alone
it takes a thread for each core, so that results would depend on the machine, and N workers on N cores would start N × N."""


@dataclass(frozen=True)
class Allocation:
    """A job's part of the machine; `share` is its part of each of `gpus`."""

    cpus: int
    memory_gb: float
    gpus: tuple[str, ...]
    share: Fraction

    def environment(self) -> Mapping[str, str]:
        """Returns the variables that the job's process gets: they name the GPUs that it may see, and no others."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)} if self.gpus else NO_GPU


class Machine:
    """A machine's room. A job that asks for more than there is gets all there is: it runs alone, and slower."""

    def __init__(self, cpus: int, memory_gb: float, gpus: Sequence[str] = ()) -> None:
        self.cpus = cpus
        self.memory_gb = memory_gb
        self._free_cpus = cpus
        self._free_memory = memory_gb
        self._free_gpus = dict.fromkeys(gpus, Fraction(1))

    @classmethod
    def this(cls, cpus: int | None = None) -> Machine:
        """Returns all of this machine that the process may use, or `cpus` of its cores."""
        return cls(cpus or _cores(), psutil.virtual_memory().total / 2**30, _visible_gpus())

    def __str__(self) -> str:
        gpus = ", ".join(self._free_gpus)
        cores = "1 core" if self.cpus == 1 else f"{self.cpus} cores"
        return f"{cores}, {self.memory_gb:.0f} GB, {f'GPU {gpus}' if gpus else 'no GPU'}"

    def lacks_gpus(self, resources: Resources) -> bool:
        """Tells whether a job that asks for a GPU gets none, and so computes on the CPU."""
        return resources.gpus > 0 and not self._free_gpus

    def lacks_room(self, resources: Resources) -> bool:
        """Tells whether a job gets fewer cores, less memory or fewer GPUs (but some) than it asks for."""
        gpus = len(self._free_gpus) or resources.gpus
        return resources.cpus > self.cpus or resources.memory_gb > self.memory_gb or resources.gpus > gpus

    def allocate(self, resources: Resources) -> Allocation | None:
        """Takes a part for a job; None while there is not enough left."""
        cpus, memory = min(resources.cpus, self.cpus), min(resources.memory_gb, self.memory_gb)
        share = Fraction(1, resources.jobs_per_gpu)
        count = min(resources.gpus, len(self._free_gpus))
        # The fullest GPU that has room first, so that sharers sit together and whole GPUs stay free.
        gpus = sorted((free, name) for name, free in self._free_gpus.items() if free >= share)[:count]
        if cpus > self._free_cpus or memory > self._free_memory or len(gpus) < count:
            return None
        return self._move(Allocation(cpus, memory, tuple(name for _, name in gpus), share), -1)

    def free(self, allocation: Allocation) -> None:
        """Frees a job's part."""
        self._move(allocation, 1)

    def _move(self, allocation: Allocation, sign: int) -> Allocation:
        self._free_cpus += sign * allocation.cpus
        self._free_memory += sign * allocation.memory_gb
        for name in allocation.gpus:
            self._free_gpus[name] += sign * allocation.share
        return allocation


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _visible_gpus() -> list[str]:
    """Names for CUDA_VISIBLE_DEVICES: those it lists already, else every GPU that the driver lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # As CUDA reads it: the first that names no GPU (`-1`, `none`, `NoDevFiles`) hides itself and all after it.
        return list(itertools.takewhile(lambda name: name.isdigit() or name.startswith(("GPU-", "MIG-")), names))
    try:
        listing = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(index) for index in range(len(listing.splitlines()))]
