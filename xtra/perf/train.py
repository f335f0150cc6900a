"""How fast a run trains in its steady state: env steps and updates in lock step, as in a real run, and where the time goes.

Three short stretches of one run follow one another, each a whole number of rows with the updates they are due: one as it is,
for the speed; one whose parts are timed, with the device waited for around each; one under PyTorch's profiler. Then the
floating-point operations of one row and of one update are counted.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from xtra.agents.device import prepare_torch
from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.perf.flops import count_flops, matmul_flops_per_second
from xtra.stages.config import TrainConfig
from xtra.stages.context import StageContext
from xtra.stages.train import Budget, OnlineTraining
from xtra.telemetry import Telemetry

FULL_ENV_STEPS = 100_000
PARTS = ("environment", "search", "reanalysis", "batch", "update")


def report(config: TrainConfig, num_updates: int, warm_up_updates: int, peak_tflops: float | None = None) -> dict[str, Any]:
    """Plain data. num_updates: of each stretch, at least; peak_tflops: the device's, for the precision; else a matrix product's.

    Raises ValueError for a run that is not EfficientZero's from scratch.
    """
    agent = config.agent
    if not isinstance(agent, EfficientZeroConfig) or config.finetuning is not None:
        raise ValueError("only EfficientZero from scratch can be measured")
    device = prepare_torch(config.training.num_threads)
    with tempfile.TemporaryDirectory() as directory:
        run = Stretches(abbreviated(config), device, Path(directory))
        run.warm_up(warm_up_updates)
        speed = run.speed(num_updates)
        parts = run.parts(num_updates)
        memory = peak_memory_gb(device)  # before the profiler takes its own
        kernels = run.torch_kernel_fraction(num_updates)
        flops = run.flops()
    peak = peak_tflops * 1e12 if peak_tflops else matmul_flops_per_second(device, agent.precision)
    achieved = flops["per_env_step"] * speed["env_steps_per_second"] + flops["per_update"] * speed["updates_per_second"]
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "game": config.environment.game,
        "num_threads": config.training.num_threads,
        "precision": agent.precision,
        **speed,
        "seconds": parts["seconds"],
        "fractions": {name: value / sum(parts["seconds"].values()) for name, value in parts["seconds"].items()},
        "data_wait_fraction": parts["seconds"]["batch"] / sum(parts["seconds"].values()),
        "torch_kernel_fraction": kernels,
        "peak_memory_gb": memory,
        "flops": flops,
        "peak_tflops": peak / 1e12,
        "model_flop_utilisation": achieved / peak,
        "projected_hours": projected_hours(config, parts),
    }


def abbreviated(config: TrainConfig) -> TrainConfig:
    """The same run with its first update as early as may be, and without what interrupts the steady state: curve and
    checkpoints."""
    replay = config.agent.replay.model_copy(update={"min_transitions": config.agent.optimizer.batch_size})
    agent = config.agent.model_copy(update={"replay": replay})
    long = {"env_steps": FULL_ENV_STEPS, "curve_episodes": 0, "checkpoint_interval": 10**9}
    return config.model_copy(update={"agent": agent, "training": config.training.model_copy(update=long)})


class Stretches:
    """A run, advanced by whole rows and the updates they are due."""

    def __init__(self, config: TrainConfig, device: torch.device, directory: Path) -> None:
        for name in ("work", "out"):
            (directory / name).mkdir()
        context = StageContext(directory / "work", directory / "out", {}, Telemetry(directory / "work"))
        self._device, self._num_envs = device, config.agent.acting.num_envs
        self._training = OnlineTraining(config, device, context)

    def warm_up(self, num_updates: int) -> None:
        """Until updates run steadily: memory is laid out, kernels are chosen, graphs are captured."""
        while not self._training.updates:
            self._training.move()
        self._advance(num_updates)

    def speed(self, num_updates: int) -> dict[str, float]:
        """Of both together, as they alternate."""
        env_steps, updates, begun = self._training.env_steps, self._training.updates, self._now()
        self._advance(num_updates)
        seconds = self._now() - begun
        return {
            "updates": self._training.updates - updates,
            "env_steps": self._training.env_steps - env_steps,
            "updates_per_second": (self._training.updates - updates) / seconds,
            "env_steps_per_second": (self._training.env_steps - env_steps) / seconds,
        }

    def parts(self, num_updates: int) -> dict[str, Any]:
        """Seconds of each part, and of what is none of them; and how many env steps and updates they were."""
        learner, seconds = self._training._learner, Seconds(self._now)
        assert isinstance(learner, EfficientZeroLearner)
        with (
            seconds.of("environment", self._training._environment, "step"),
            seconds.of("search", learner, "act"),
            seconds.of("reanalysis", learner._targets, "make"),
            seconds.of("batch", learner, "make_batch"),
            seconds.of("update", learner, "update"),
        ):
            env_steps, updates, begun = self._training.env_steps, self._training.updates, self._now()
            self._advance(num_updates)
            whole = self._now() - begun
        # Each contains the one before.
        seconds.own["update"] -= seconds.own["batch"]
        seconds.own["batch"] -= seconds.own["reanalysis"]
        return {
            "seconds": {**{part: seconds.own[part] for part in PARTS}, "other": whole - sum(seconds.own.values())},
            "env_steps": self._training.env_steps - env_steps,
            "updates": self._training.updates - updates,
        }

    def torch_kernel_fraction(self, num_updates: int) -> float:
        """The share of the time that passes inside torch's operators, by its profiler; on the host."""
        begun = self._now()
        with profile(activities=[ProfilerActivity.CPU]) as trace:
            self._advance(num_updates)
            seconds = self._now() - begun
        inside: float = sum(
            event.self_cpu_time_total for event in trace.key_averages() if event.key.startswith(("aten::", "mkldnn"))
        )
        return inside / 1e6 / seconds

    def flops(self) -> dict[str, float]:
        """Of one env step (its share of a row's search) and of one update, counted where no graph hides the operators."""
        learner = self._training._learner
        assert isinstance(learner, EfficientZeroLearner)
        planner, number = learner._planner, self._training.updates
        setattr(planner, "_captures", lambda observations: False)  # noqa: B010 (mypy allows no assignment to a method)
        row = count_flops(lambda: learner.act(self._training._stacks.stacks, number, number))
        update = count_flops(lambda: learner.update(self._training.replay, number))
        return {"per_env_step": row / self._num_envs, "per_update": update}

    def _advance(self, num_updates: int) -> None:
        """At least so many updates, then on to the next row's beginning."""
        wanted = self._training.updates + num_updates
        while self._training.updates < wanted or self._training.updates < self._training.budget.due(self._training.env_steps):
            self._training.move()

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


class Seconds:
    """Adds up the time spent in methods."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.own: dict[str, float] = defaultdict(float)

    def of(self, part: str, owner: Any, method: str) -> Timed:
        """While the context lasts, `owner.method` counts as `part`."""
        return Timed(self, part, owner, method)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            begun = self._now()
            result = function(*arguments)
            self.own[part] += self._now() - begun
            return result

        return run


class Timed:
    """See `Seconds.of`."""

    def __init__(self, seconds: Seconds, part: str, owner: Any, method: str) -> None:
        self._owner, self._method = owner, method
        self._timed = seconds.timed(part, getattr(owner, method))

    def __enter__(self) -> None:
        setattr(self._owner, self._method, self._timed)

    def __exit__(self, *_: object) -> None:
        delattr(self._owner, self._method)


def projected_hours(config: TrainConfig, parts: dict[str, Any]) -> float:
    """Of a game of 100,000 env steps with all its updates, without curve and evaluation. What is no part counts with the env
    steps."""
    training, first, seconds = config.training, config.agent.replay.min_transitions, parts["seconds"]
    budget = Budget(FULL_ENV_STEPS, training.final_updates, training.updates_per_env_step, first)
    env_step = (seconds["environment"] + seconds["search"] + seconds["other"]) / parts["env_steps"]
    update = (seconds["reanalysis"] + seconds["batch"] + seconds["update"]) / parts["updates"]
    hours: float = (FULL_ENV_STEPS * env_step + budget.num_updates * update) / 3600
    return hours


def peak_memory_gb(device: torch.device) -> dict[str, float]:
    """Of this process: on the host, and on the GPU."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # Linux counts in kB
    return {"host": host} | ({"device": torch.cuda.max_memory_allocated(device) / 1e9} if device.type == "cuda" else {})
