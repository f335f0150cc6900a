"""Does a killed run end as if it had not been killed? Kills -9 at random moments, each followed by a start anew.

Every run's outputs (network, replay, curve, metrics) are compared byte for byte with those of a run that nobody disturbed.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

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


def report(num_kills: int, seed: int, kills_per_run: int | None = None) -> dict[str, Any]:
    """Kills `num_kills` attempts in all, of one run as many as chance wants and `kills_per_run` allows. Plain data; `different`:
    files that were not equal, by run."""
    moments = stream(seed, "kills")
    with tempfile.TemporaryDirectory() as directory:
        _run(Path(directory) / "first", [])  # starts the server, which is not to be taken for the run's own time
        expected, seconds, _ = _run(Path(directory) / "undisturbed", [])
        kills, runs, different = 0, 0, []
        while kills < num_kills:
            wanted = (moments.random(min(num_kills - kills, kills_per_run or num_kills)) * seconds).tolist()
            found, _, hits = _run(Path(directory) / "killed", wanted)
            kills, runs = kills + hits, runs + 1
            if found != expected:
                names = sorted({*found, *expected})
                different.append([name for name in names if found.get(name) != expected.get(name)])
            shutil.rmtree(Path(directory) / "killed")
    return {"kills": kills, "runs": runs, "identical_runs": runs - len(different), "different": different, "seconds": seconds}


def _run(directory: Path, kill_after: list[float]) -> tuple[dict[str, str], float, int]:
    """The outputs' checksums by name, the seconds of the last attempt, and the kills that hit. kill_after: seconds each attempt
    is given; once they are used up, or an attempt is done before, the run is complete."""
    # The server imports torch once; every attempt is a fork of it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["xtra.stages.train"])
    hits = 0
    for patience in [*kill_after, None]:
        attempt = context.Process(target=train, args=(directory,))
        begun = time.monotonic()
        attempt.start()
        attempt.join(patience)
        attempt.kill()
        attempt.join()
        if attempt.exitcode == 0:
            break
        if attempt.exitcode != -signal.SIGKILL:
            raise RuntimeError(f"an attempt ended by itself with status {attempt.exitcode}")
        hits += 1
    out = directory / "out"
    return {str(p.relative_to(out)): sha256(p) for p in out.rglob("*") if p.is_file()}, time.monotonic() - begun, hits


def train(directory: Path) -> None:
    """One attempt, in a process of its own. As the worker does, it finds `work` as it was left and `out` empty."""
    from xtra.stages.context import StageContext
    from xtra.stages.train import run
    from xtra.telemetry import Telemetry

    shutil.rmtree(directory / "out", ignore_errors=True)
    for name in ("work", "out"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    context = StageContext(directory / "work", directory / "out", {}, Telemetry(directory / "work"))
    run(TrainConfig.model_validate(RUN), context)
