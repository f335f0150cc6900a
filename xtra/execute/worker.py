"""Runs one job, named by two strings: `run_job(store_root, key)`, or `python -m xtra.execute.worker STORE KEY`.

The same on a laptop and on a cluster: read `job.json`, check the configuration and the inputs, claim, run the stage, commit.
Whoever starts the worker sends its output to `work/log.txt`, and gives it `machine.ONE_BLAS_THREAD` in its environment: by the
time that a job's configuration is read, NumPy is loaded, and a number of threads set here would come too late for its OpenBLAS.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import IntEnum
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from xtra.config import Config
from xtra.execute.machine import ONE_BLAS_THREAD
from xtra.plugins import PluginError, load_kept, plugins_of
from xtra.stages.context import Diverged, StageContext, Stopped, StopRequest
from xtra.stages.registry import Stage
from xtra.store.claim import ClaimLostError
from xtra.store.files import DamagedError, StoreError, write_text_atomically
from xtra.store.job import Job
from xtra.store.provenance import hardware, software
from xtra.store.store import SECONDS, Attempt, Store
from xtra.telemetry import Telemetry

STAGES = "xtra.stages.registry:STAGES"
"""Where the table of stages is, `module:name`; tests bring their own."""


Inputs = Mapping[str, tuple[Path, ...]]
"""For each role, the committed `out` directories of the jobs that are read."""


class Exit(IntEnum):
    """Exit status of the worker. A diverged run is DONE: it has been committed as such."""

    DONE = 0
    FAILED = 1
    CLAIMED_ELSEWHERE = 3
    CLAIM_LOST = 4


class UnusableJobError(Exception):
    """Raised for a job that cannot be run; the message says why and what to do."""


def run_job(store_root: str, key: str, stages: str = STAGES, stop: StopRequest | None = None) -> Exit:
    """Runs the job until it is committed, going on where an earlier attempt was killed. A failure leaves `work/error.txt`.

    Raises Stopped when a signal that `stop` listens for came before the end.
    """
    store = Store(Path(store_root))
    try:
        job = store.job(key)
        stage, config = _resolve(job, stages, store.root)
        inputs = _committed_inputs(store, job)
        attempt = store.begin(key)
    except ClaimLostError as error:
        print(error, file=sys.stderr)
        return Exit.CLAIM_LOST
    except (UnusableJobError, StoreError) as error:
        return _fail(store, key, str(error))
    except OSError as error:  # a claim that this user may not read, a directory that it may not write, a full disk
        return _fail(store, key, f"{error.filename or store.directory(key)}: {error.strerror}")
    if attempt is None:
        # Verified: a damaged result is not done, and its manifest is there until the process that has the claim sets it aside.
        return Exit.DONE if store.state(key, time.time(), verify=True).final else Exit.CLAIMED_ELSEWHERE
    _fix_threads(job.config)
    try:
        _attempt(store, attempt, stage, config, inputs, stop or StopRequest())
    except ClaimLostError as error:
        print(error, file=sys.stderr)
        return Exit.CLAIM_LOST
    except Exception as error:
        if not attempt.claim.held():  # whoever took the job over has cleared away what this one was writing to
            print(f"{key}: was taken over by another process", file=sys.stderr)
            return Exit.CLAIM_LOST
        return _fail(store, key, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")
    finally:
        with suppress(OSError):  # a claim that stays goes stale by itself
            attempt.claim.release()
    return Exit.DONE


def _attempt(store: Store, attempt: Attempt, stage: Stage, config: Config, inputs: Inputs, stop: StopRequest) -> None:
    stopwatch = _JobClock(attempt.work / SECONDS)
    started = datetime.now(UTC)
    checkpoint_seconds = attempt.job.resources.checkpoint_minutes * 60
    context = StageContext(attempt.work, attempt.out, inputs, Telemetry(attempt.work), stop, checkpoint_seconds)
    print(f"{started:%Y-%m-%d %H:%M:%S} UTC: {attempt.job.key} on {os.uname().nodename}, process {os.getpid()}", flush=True)
    with attempt.claim.kept_alive(beat=stopwatch.save, lost=_die_as_zombie):
        status = "complete"
        try:
            stage.load_run()(config, context)
        except Diverged as divergence:
            print(f"diverged: {divergence}", flush=True)
            status = "diverged"
        times = {"started": started.isoformat(timespec="seconds"), "finished": datetime.now(UTC).isoformat(timespec="seconds")}
        store.commit(attempt, status, stopwatch.seconds(), {"hardware": hardware(), **software(), **times})
    with suppress(OSError):  # the result is in place: nothing that follows makes it a failure
        (attempt.work / "progress.json").unlink(missing_ok=True)


def _resolve(job: Job, stages: str, store_root: Path) -> tuple[Stage, Config]:
    """Returns the stage and its checked configuration, with the job's plugins loaded. Raises UnusableJobError."""
    module, _, name = stages.partition(":")
    table: Mapping[str, Stage] = getattr(import_module(module), name)
    stage = table.get(job.stage)
    if stage is None:
        raise UnusableJobError(f"{job.key}: no stage {job.stage!r} in this version of xtra-bench; there are {', '.join(table)}")
    if stage.version != job.version:
        reason = (
            f"{job.key} was planned for version {job.version} of stage {job.stage}, but this code has version {stage.version}"
        )
        raise UnusableJobError(f"{reason}; run the suite again to plan it anew")
    try:
        load_kept(store_root, job.plugins)
    except PluginError as error:
        raise UnusableJobError(f"{job.key}: {error}; run the suite again to plan it anew") from None
    installed = plugins_of(job.config)
    for name in sorted(job.plugins.keys() | installed.keys()):
        planned, here = (plugins.get(name, "none") for plugins in (job.plugins, installed))
        if planned != here:
            reason = f"{job.key} was planned with plugin {name} ({planned}), but here is {here}"
            raise UnusableJobError(f"{reason}; install that one, or run the suite again to plan it anew")
    try:
        return stage, stage.config.model_validate_json(json.dumps(job.config))
    except ValidationError as error:
        raise UnusableJobError(f"{job.key}: its configuration is not one of stage {job.stage}: {error}") from None


def _committed_inputs(store: Store, job: Job) -> Inputs:
    """Returns the inputs' `out` directories, all bytes compared with their manifests. Raises UnusableJobError or DamagedError."""
    for key in job.input_keys:
        try:
            manifest = store.verify(key)
        except DamagedError:
            with suppress(OSError, StoreError):  # in a store that this user may only read, say; the damage is what counts
                store.discard_if_damaged(key)
            raise
        if manifest is None or manifest.status != "complete":
            state = "not finished" if manifest is None else manifest.status
            raise UnusableJobError(f"{job.key}: its input {key} is {state}; run the suite again to compute what is missing")
    return {role: tuple(store.out(key) for key in keys) for role, keys in job.inputs.items()}


def _fix_threads(config: Mapping[str, Any]) -> None:
    """Sets the variables that libraries read when they are first imported. A result depends on the number, so it comes from the
    configuration, but for OpenBLAS: every copy of it has the one thread that NumPy's began with."""
    blocks = [config, *(value for value in config.values() if isinstance(value, Mapping))]
    threads = max((block["num_threads"] for block in blocks if "num_threads" in block), default=1)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ.update(ONE_BLAS_THREAD)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it


def _fail(store: Store, key: str, message: str) -> Exit:
    print(message, file=sys.stderr, flush=True)
    with suppress(OSError):
        store.work(key).mkdir(parents=True, exist_ok=True)
        write_text_atomically(store.error_file(key), message.rstrip() + "\n")
    return Exit.FAILED


def _die_as_zombie() -> NoReturn:
    print("another process has taken this job over: stopping here", file=sys.stderr, flush=True)
    os._exit(Exit.CLAIM_LOST)


class _JobClock:
    """Measures the seconds spent on a job over all attempts; a kill loses less than one heartbeat."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._earlier = 0.0
        with suppress(OSError, ValueError):
            self._earlier = float(path.read_text(encoding="ascii"))
        self._started = time.monotonic()

    def seconds(self) -> float:
        return self._earlier + time.monotonic() - self._started

    def save(self) -> None:
        write_text_atomically(self._path, f"{self.seconds():.3f}\n")


def _die_with(parent: int) -> None:
    """Sends this process SIGTERM when the launcher dies, however it dies, so that no worker outlives it unnoticed. Linux only."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
        if os.getppid() != parent:
            raise Stopped(signal.SIGTERM, "where it stood")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m xtra.execute.worker", description=__doc__)
    parser.add_argument("store")
    parser.add_argument("key")
    parser.add_argument("--stages", default=STAGES)
    parser.add_argument("--parent", type=int, help="process to die with")
    arguments = parser.parse_args()
    stop = StopRequest()
    try:
        stop.listen()
        if arguments.parent:
            _die_with(arguments.parent)
        return run_job(arguments.store, arguments.key, arguments.stages, stop)
    except Stopped as stopped:
        print(f"stopped; the next run goes on from {stopped.resumes_from}", flush=True)
        return 128 + stopped.signal_number


if __name__ == "__main__":
    sys.exit(main())
