"""A test of exact resuming: does a killed run end as if it had not been killed? Signals at random moments, each followed by a
restart.

Every run's outputs (network, replay, curve, metrics) are compared byte for byte with those of a run that nobody disturbed.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from xtra.rng import stream
from xtra.stages.config import TrainConfig
from xtra.store.files import sha256

RUN: dict[str, Any] = {
    "environment": {"game": "Catch", "frame_size": 10},
    "agent": {
        "name": "efficientzero",
        "network": {"frame_stack": 2, "channels": 4, "num_halvings": 0, "head_channels": 2, "head_hidden": 8, "lstm_hidden": 8}
        | {"support": 5, "projection_hidden": 8, "projection_size": 8, "predictor_hidden": 4},
        "search": {"num_simulations": 3},
        "acting": {"num_envs": 3, "network_update_interval": 4},
        "targets": {"target_update_interval": 5, "reanalyze_fraction": 0.5},
        "optimizer": {"batch_size": 6, "learning_rate": 0.02, "warmup_updates": 5},
        "replay": {"min_transitions": 36},
    },
    "training": {"env_steps": 75, "final_updates": 45, "curve_interval": 39, "curve_episodes": 2, "checkpoint_interval": 4},
    "seed": 0,
}
"""A whole run of a second or two: collecting, updates, curve, checkpoints, replay segments."""


BY_TIME: dict[str, Any] = RUN | {"training": RUN["training"] | {"checkpoint_interval": 10**9}}
"""The same run, but one that never reaches a checkpoint by count."""

CHECKPOINT_SECONDS = 0.1
"""Seconds between checkpoints by time."""

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
"""Without warning, and as a request to stop."""


class Blow(NamedTuple):
    """The end of an attempt: a signal, so many seconds after its start."""

    seconds: float
    signal: signal.Signals


def report(num_kills: int, seed: int, kills_per_run: int | None = None) -> dict[str, Any]:
    """Ends `num_kills` attempts in all at random moments, by SIGKILL and SIGTERM in turn, of one run at most `kills_per_run`.

    Every other run has no checkpoint but by time and at a stop. Plain data; `different`: files that were not equal, by run.
    """
    moments = stream(seed, "kills")
    with tempfile.TemporaryDirectory() as directory:
        _run(Path(directory) / "first", RUN, [])  # starts the server, which is not to be taken for the run's own time
        expected, seconds, _ = _run(Path(directory) / "undisturbed", RUN, [])
        kills, stops, runs, different = 0, 0, 0, []
        while kills + stops < num_kills:
            most = min(num_kills - kills - stops, kills_per_run or num_kills)
            signals = [SIGNALS[(kills + stops + blow) % 2] for blow in range(most)]
            blows = [Blow(*blow) for blow in zip((moments.random(most) * seconds).tolist(), signals, strict=True)]
            outputs, _, struck = _run(Path(directory) / "killed", BY_TIME if runs % 2 else RUN, blows)
            runs, kills, stops = runs + 1, kills + struck[signal.SIGKILL], stops + struck[signal.SIGTERM]
            if outputs != expected:
                names = sorted({*outputs, *expected})
                different.append([name for name in names if outputs.get(name) != expected.get(name)])
            shutil.rmtree(Path(directory) / "killed")
    counts = {"kills": kills, "stops": stops, "runs": runs, "identical_runs": runs - len(different)}
    return {**counts, "different": different, "seconds": seconds}


def _run(directory: Path, config: dict[str, Any], blows: Sequence[Blow]) -> tuple[dict[str, str], float, Counter[signal.Signals]]:
    """Returns the outputs' checksums by name, the seconds of the last attempt, and the blows that struck. Each blow ends one
    attempt; once they are used up, or an attempt is done before, the run is complete."""
    # The server imports torch once; every attempt is a fork of it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["xtra.stages.train"])
    struck: Counter[signal.Signals] = Counter()
    for blow in [*blows, None]:
        attempt = context.Process(target=train, args=(directory, config))
        begun = time.monotonic()
        attempt.start()
        attempt.join(blow and blow.seconds)
        if blow is not None and attempt.pid is not None and attempt.exitcode is None:
            os.kill(attempt.pid, blow.signal)
        attempt.join()
        if attempt.exitcode == 0:
            break
        if blow is None or attempt.exitcode not in (-blow.signal, 128 + blow.signal):
            raise RuntimeError(f"an attempt ended by itself with status {attempt.exitcode}")
        struck[blow.signal] += 1
    out = directory / "out"
    return {str(p.relative_to(out)): sha256(p) for p in out.rglob("*") if p.is_file()}, time.monotonic() - begun, struck


def train(directory: Path, config: dict[str, Any]) -> None:
    """Makes one attempt, in a process of its own. As in the worker, it finds `work` as it was left and `out` empty."""
    from xtra.stages.context import StageContext, Stopped, StopRequest
    from xtra.stages.train import run
    from xtra.telemetry import Telemetry

    stop = StopRequest()
    try:
        stop.listen()
        shutil.rmtree(directory / "out", ignore_errors=True)
        for name in ("work", "out"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        telemetry = Telemetry(directory / "work")
        context = StageContext(directory / "work", directory / "out", {}, telemetry, stop, CHECKPOINT_SECONDS)
        run(TrainConfig.model_validate(config), context)
    except Stopped as stopped:
        sys.exit(128 + stopped.signal_number)
