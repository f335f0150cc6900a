"""Timing of engines: each has a pinned process that lives for the whole run; they take turns, so all meet the same noise."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from xtra.perf.engines import ENGINES
from xtra.perf.problem import NotInstalled, SearchSize

WARM_UPS = 2
SHORTEST_SAMPLE = 0.05
"""Seconds; a sample repeats the search until it lasts this long."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


@dataclass
class Samples:
    """The times of one engine at one problem size."""

    absent: str | None = None
    first_call_s: float = 0.0
    seconds: list[float] = field(default_factory=list)
    """Per search, one entry a round."""
    cpu_seconds: list[float] = field(default_factory=list)
    elsewhere: list[float] = field(default_factory=list)
    """Cores that other processes kept busy meanwhile."""


def measure(size: SearchSize, names: list[str], num_rounds: int, cores: list[int]) -> dict[str, Samples]:
    """Runs the engines `names` in turns on `cores`; each round gives one sample of each."""
    return take_turns({name: EngineProcess(name, size, cores) for name in names}, num_rounds)


def take_turns(workers: dict[str, EngineProcess], num_rounds: int) -> dict[str, Samples]:
    """Takes samples in turns, by the workers' names; closes the workers."""
    try:
        samples = {name: worker.prepare() for name, worker in workers.items()}
        for _ in range(num_rounds):
            for name, worker in workers.items():
                if samples[name].absent is None:
                    worker.sample(samples[name])
        return samples
    finally:
        for worker in workers.values():
            worker.close()


class EngineProcess:
    """The parent's end of one engine's process."""

    def __init__(self, name: str, size: SearchSize, cores: list[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, child = context.Pipe()
        inherited = {key: os.environ.get(key) for key in ONE_THREAD}
        os.environ.update(ONE_THREAD)
        self._process = context.Process(target=serve, args=(child, name, size, cores), daemon=True)
        self._process.start()
        for key, value in inherited.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value

    def prepare(self) -> Samples:
        """Waits until the engine has warmed up."""
        return Samples(**self._ask("prepare"))

    def sample(self, into: Samples) -> None:
        """Takes one turn, and adds its sample to `into`."""
        before, begun = busy_seconds(), time.perf_counter()
        answer = self._ask("sample")
        others = busy_seconds() - before - answer["cpu"]
        into.seconds.append(answer["wall"] / answer["searches"])
        into.cpu_seconds.append(answer["cpu"] / answer["searches"])
        into.elsewhere.append(max(0.0, others / (time.perf_counter() - begun)))

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()

    def _ask(self, what: str) -> dict[str, Any]:
        self._pipe.send(what)
        answer: dict[str, Any] = self._pipe.recv()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


def serve(pipe: Connection, name: str, size: SearchSize, cores: list[int]) -> None:
    """Runs an engine's process: pins itself, then answers until the pipe closes."""
    os.sched_setaffinity(0, cores)
    import torch

    torch.set_num_threads(1)
    turn = Turn(name, size)
    while True:
        try:
            what = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(turn.prepare() if what == "prepare" else turn.sample())
        except Exception as error:
            pipe.send({"error": f"{name}: {type(error).__name__}: {error}"})


class Turn:
    """The turns of one engine, taken in its own process."""

    def __init__(self, name: str, size: SearchSize) -> None:
        self._name, self._size, self._index, self._repeats = name, size, 0, 1

    def prepare(self) -> dict[str, Any]:
        """Makes the engine, checks its output and decides how many searches a sample takes."""
        begun = time.perf_counter()
        try:
            self._search = ENGINES[self._name](self._size)
        except NotInstalled as error:
            return {"absent": str(error)}
        self._once()
        first = time.perf_counter() - begun
        for _ in range(WARM_UPS):
            lasted = self._once()
        self._repeats = max(1, int(np.ceil(SHORTEST_SAMPLE / lasted)))
        return {"first_call_s": first}

    def sample(self) -> dict[str, Any]:
        """Returns the seconds of `searches` searches, by the wall and on the processor."""
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(self._repeats):
            self._index += 1
            self._search(self._index)
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "searches": self._repeats}

    def _once(self) -> float:
        begun = time.perf_counter()
        self._index += 1
        output = self._search(self._index)
        lasted = time.perf_counter() - begun
        if (output.visits.sum(1) != self._size.num_simulations).any() or not np.isfinite(output.values).all():
            raise RuntimeError("visits do not sum to the simulations, or a value is not finite")
        return lasted


def busy_seconds() -> float:
    """Returns the processor time that all processes of this machine have used."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
