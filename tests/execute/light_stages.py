"""A stage that counts instead of learning, for tests of everything around it. Imported by workers through PYTHONPATH.

Run as a program it is a launcher of its own: `python light_stages.py STORE CPUS JOB_KEY...`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from xtra.config import Config
from xtra.stages.context import Diverged, StageContext
from xtra.stages.registry import Stage
from xtra.store.checkpoint import Checkpoints

BLAS_THREADS = os.environ.get("OPENBLAS_NUM_THREADS")
"""What NumPy's OpenBLAS has found: stages are looked up before the worker sets any variable."""


class CountConfig(Config):
    name: str
    ledger: str
    """Every step that is done appends a line here, outside the store."""
    steps: int = 1
    seconds: float = 0.0
    fault: Literal["", "raise", "exit", "diverge", "kill"] = ""
    num_threads: int = 1


def run(config: CountConfig, context: StageContext) -> None:
    """A chain of hashes over the inputs and the steps, checkpointed at every step; what is redone would show in the ledger."""
    context.stop.defer()
    print(f"OpenBLAS began with {BLAS_THREADS} threads")
    checkpoints = Checkpoints(context.work / "checkpoints")
    found = checkpoints.load_latest()
    step, digest = (0, b"") if found is None else (found[0], found[1].read_bytes())
    for path in context.inputs.get("before", ()) if found is None else ():
        digest = hashlib.sha256(digest + (path / "result.txt").read_bytes()).digest()
    while step < config.steps:
        time.sleep(config.seconds)
        step, digest = step + 1, hashlib.sha256(digest + config.name.encode()).digest()
        checkpoints.save(step, lambda file: file.write(digest))  # noqa: B023 - called at once
        context.telemetry.progress(step, config.steps, "steps", {"loss": 1.0 / step}, force=True)
        with Path(config.ledger).open("a") as ledger:
            ledger.write(f"{config.name} {step} {os.environ['OMP_NUM_THREADS']}\n")
        context.stop.resumes_from = f"step {step}"
        context.stop.check()
    if config.fault:
        FAULTS[config.fault]()
    (context.out / "result.txt").write_text(digest.hex())


def _raise() -> None:
    raise RuntimeError("the ball went through the floor")


def _diverge() -> None:
    raise Diverged("loss is NaN at update 7")


FAULTS: dict[str, Callable[[], None]] = {
    "raise": _raise,
    "exit": lambda: sys.exit(5),
    "diverge": _diverge,
    "kill": lambda: os.kill(os.getpid(), 9),
}
STAGES = {"count": Stage("count", 1, CountConfig, "light_stages")}


if __name__ == "__main__":
    from xtra.execute.local import LocalQueue
    from xtra.execute.machine import Machine
    from xtra.store.store import Store

    store = Store(Path(sys.argv[1]))
    machine = Machine(int(sys.argv[2]), 1000.0)
    queue = LocalQueue(store, {key: store.job(key) for key in sys.argv[3:]}, machine, "light_stages:STAGES")
    queue.run(lambda queue: None)
