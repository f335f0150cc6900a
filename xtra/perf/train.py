"""How fast a run trains in its steady state: env steps and updates in lock step, as in a real run, and where the time goes.

Short stretches of one run follow one another: one as it is, for the speed; one whose parts are timed, with the device waited
for around each; with offline tasks, one in which every update measures their gradients; one under PyTorch's profiler. Then the
floating-point operations of one row and of one update are counted.
"""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path
from typing import Any

import torch

from xtra.agents.device import prepare_torch
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.perf.flops import matmul_flops_per_second
from xtra.perf.stretches import WITH_ENV_STEPS, Stretches
from xtra.stages.config import TrainConfig
from xtra.stages.train import Budget
from xtra.transfer.config import FinetuningConfig, TaskWeightConfig

FULL_ENV_STEPS = 100_000
NEVER = 10**9


def report(config: TrainConfig, num_updates: int, warm_up_updates: int, peak_tflops: float | None = None) -> dict[str, Any]:
    """Plain data. num_updates: of each stretch, at least; peak_tflops: the device's, for the precision; else a matrix product's.

    A finetuning starts from random weights, and its offline tasks are made here.
    """
    device = prepare_torch(config.training.num_threads)
    with tempfile.TemporaryDirectory() as directory:
        run = Stretches(abbreviated(config), device, Path(directory))
        run.warm_up(warm_up_updates)
        speed = run.speed(num_updates)
        parts = run.parts(num_updates)
        cost = run.measurement_cost(num_updates)
        memory = peak_memory_gb(device)  # before the profiler takes its own
        kernels = run.torch_kernel_fraction(num_updates)
        flops = run.flops()
    precision = config.agent.precision if isinstance(config.agent, EfficientZeroConfig) else "float32"
    peak = peak_tflops * 1e12 if peak_tflops else matmul_flops_per_second(device, precision)
    achieved = flops["per_env_step"] * speed["env_steps_per_second"] + flops["per_update"] * speed["updates_per_second"]
    crossed = None if cost is None or config.finetuning is None else cross_tasks(config.finetuning, parts["seconds"], cost)
    whole = sum(parts["seconds"].values())
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "agent": config.agent.name,
        "game": config.environment.game,
        "num_threads": config.training.num_threads,
        "precision": precision,
        **speed,
        "seconds": parts["seconds"],
        "fractions": {name: value / whole for name, value in parts["seconds"].items()},
        "data_wait_fraction": (parts["seconds"]["batch"] + parts["seconds"].get("offline data", 0.0)) / whole,
        "cross_tasks": crossed,
        "torch_kernel_fraction": kernels,
        "peak_memory_gb": memory,
        "flops": flops,
        "peak_tflops": peak / 1e12,
        "model_flop_utilisation": achieved / peak,
        "projected_hours": projected_hours(config, parts, crossed["mean_measurement_cost"] if crossed else 0.0),
    }


def abbreviated(config: TrainConfig) -> TrainConfig:
    """The same run with its first update as early as may be, and without what interrupts the steady state: curve, checkpoints
    and windows of measurement."""
    replay = config.agent.replay.model_copy(update={"min_transitions": config.agent.optimizer.batch_size})
    long = {"env_steps": FULL_ENV_STEPS, "curve_episodes": 0, "checkpoint_interval": NEVER}
    changes: dict[str, Any] = {
        "agent": config.agent.model_copy(update={"replay": replay}),
        "training": config.training.model_copy(update=long),
    }
    if config.finetuning is not None:
        weights = config.finetuning.task_weights
        unmeasured = None if weights is None else weights.model_copy(update={"start": NEVER})
        changes["finetuning"] = config.finetuning.model_copy(update={"start": None, "task_weights": unmeasured})
    return config.model_copy(update=changes)


def cross_tasks(finetuning: FinetuningConfig, seconds: dict[str, float], cost: float) -> dict[str, Any]:
    """What offline tasks add to an update. seconds: of the parts, no gradient measured; cost: `Stretches.measurement_cost`."""
    of_updates = sum(value for part, value in seconds.items() if part not in WITH_ENV_STEPS)
    return {
        "games": finetuning.sources,
        "data_wait_fraction": seconds["offline data"] / of_updates,
        "measurement_cost": cost,
        "mean_measurement_cost": cost * measured_share(finetuning.task_weights),
    }


def measured_share(config: TaskWeightConfig | None) -> float:
    """Of the updates from one opening of a window to the next, those inside it."""
    return 0.0 if config is None or config.method == "uniform" else min(1.0, config.window / config.interval)


def projected_hours(config: TrainConfig, parts: dict[str, Any], mean_measurement_cost: float = 0.0) -> float:
    """Of a game of 100,000 env steps with all its updates, without curve and evaluation. What is no part counts with the env
    steps; gradients are taken as measured from the first interval on."""
    training, first, seconds = config.training, config.agent.replay.min_transitions, parts["seconds"]
    budget = Budget(FULL_ENV_STEPS, training.final_updates, training.updates_per_env_step, first)
    of_env_steps = sum(value for part, value in seconds.items() if part in WITH_ENV_STEPS)
    env_step = of_env_steps / parts["env_steps"]
    update = (sum(seconds.values()) - of_env_steps) / parts["updates"] * (1 + mean_measurement_cost)
    hours: float = (FULL_ENV_STEPS * env_step + budget.num_updates * update) / 3600
    return hours


def peak_memory_gb(device: torch.device) -> dict[str, float]:
    """Of this process: on the host, and on the GPU."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # Linux counts in kB
    return {"host": host} | ({"device": torch.cuda.max_memory_allocated(device) / 1e9} if device.type == "cuda" else {})
