"""The speed of a run in its steady state: env steps and updates in lock step, as in a real run, and where the time goes.

The replay is filled by random play beforehand: what reanalysis costs depends on how often it meets a position again. Short
stretches of one run follow one another: one as it is, for the speed; one whose parts are timed, with the device waited for
around each; with offline tasks, one in which every update measures their gradients; one under PyTorch's profiler. Then the
floating-point operations of one row and of one update are counted.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from xtra.agents.curl.config import CurlConfig
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.interface import prepare_torch
from xtra.cuda_graphs import without_graphs
from xtra.envs.config import EnvironmentConfig
from xtra.perf.flops import count_flops, matmul_flops_per_second
from xtra.protocol.games import NUM_ACTIONS, find_game
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.frames import frames_fit
from xtra.replay.offline import OfflineData
from xtra.stages import dataset
from xtra.stages.config import DatasetConfig, TrainConfig
from xtra.stages.context import StageContext
from xtra.stages.train import OnlineTraining, TrainingBudget
from xtra.telemetry import Telemetry
from xtra.transfer.config import DataConfig, FinetuningConfig, TaskWeightConfig
from xtra.transfer.finetuning import FinetuningLearner
from xtra.transfer.tasks import Labels, Task

FULL_ENV_STEPS = 100_000
NEVER = 10**9
WITH_ENV_STEPS = ("environment", "acting", "search", "other")
"""Parts whose time grows with env steps; that of all others with updates."""
TASK_ENV_STEPS = 5_000
"""Env steps of random play per offline task: some hundred blocks of frames, so that few samples of an update share one."""
TASK_TRANSITIONS = 100_000
"""Transitions of an offline task in a study, by which it is decided whether frames are kept raw or decoded when they are read."""


def report(
    config: TrainConfig, num_updates: int, warm_up_updates: int, transitions: int, peak_tflops: float | None = None
) -> dict[str, Any]:
    """Measures a run and returns plain data. num_updates: of each stretch, at least; where reanalysis is kept for the period of a
    target network, whole periods are measured. transitions: in the replay before the first update.

    peak_tflops: the device's, for the precision; else that of a matrix product is measured. A finetuning starts from random
    weights, and its offline tasks are made here.
    """
    device = prepare_torch(config.training.num_threads)
    with tempfile.TemporaryDirectory() as directory:
        run = Stretches(abbreviated(config, transitions), device, Path(directory))
        num_updates = whole_periods(config, num_updates)
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
        "transitions": transitions,
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


def whole_periods(config: TrainConfig, num_updates: int) -> int:
    """Returns num_updates, rounded up to whole periods of the target network where reanalysis is kept for one."""
    if not isinstance(config.agent, EfficientZeroConfig) or config.agent.targets.reanalysis == "each_draw":
        return num_updates
    period = config.agent.targets.target_update_interval
    return -(-num_updates // period) * period


def abbreviated(config: TrainConfig, transitions: int) -> TrainConfig:
    """Returns the same run with its first update after so many transitions of random play (a batch of them at least), and without
    what interrupts the steady state: curve, checkpoints and windows of measurement."""
    assert isinstance(config.agent, EfficientZeroConfig | CurlConfig)
    replay = config.agent.replay.model_copy(update={"min_transitions": max(transitions, config.agent.optimizer.batch_size)})
    long = {"env_steps": FULL_ENV_STEPS, "curve_episodes": 0, "checkpoint_interval": NEVER}
    agent: dict[str, Any] = {"replay": replay}
    if isinstance(config.agent, EfficientZeroConfig):
        agent["acting"] = config.agent.acting.model_copy(update={"random_until_training": "always"})
    changes: dict[str, Any] = {
        "agent": config.agent.model_copy(update=agent),
        "training": config.training.model_copy(update=long),
    }
    if config.finetuning is not None:
        weights = config.finetuning.task_weights
        unmeasured = None if weights is None else weights.model_copy(update={"start": NEVER})
        changes["finetuning"] = config.finetuning.model_copy(update={"start": None, "task_weights": unmeasured})
    return config.model_copy(update=changes)


def cross_tasks(finetuning: FinetuningConfig, seconds: dict[str, float], cost: float) -> dict[str, Any]:
    """Returns what offline tasks add to an update. seconds: of the parts, with no gradient measured; cost:
    `Stretches.measurement_cost`."""
    of_updates = sum(value for part, value in seconds.items() if part not in WITH_ENV_STEPS)
    return {
        "games": finetuning.sources,
        "data_wait_fraction": seconds["offline data"] / of_updates,
        "measurement_cost": cost,
        "mean_measurement_cost": cost * measured_share(finetuning.task_weights),
    }


def measured_share(config: TaskWeightConfig | None) -> float:
    """Returns the share of updates that are inside a window."""
    return 0.0 if config is None or config.method == "uniform" else min(1.0, config.window / config.interval)


def projected_hours(config: TrainConfig, parts: dict[str, Any], mean_measurement_cost: float = 0.0) -> float:
    """Projects the hours of a game of 100,000 env steps with all its updates, without curve and evaluation.

    The time of no part counts with the env steps; gradients are taken as measured from the first interval on.
    """
    training, first, seconds = config.training, config.agent.replay.min_transitions, parts["seconds"]
    budget = TrainingBudget(FULL_ENV_STEPS, training.final_updates, training.updates_per_env_step, first)
    of_env_steps = sum(value for part, value in seconds.items() if part in WITH_ENV_STEPS)
    env_step = of_env_steps / parts["env_steps"]
    update = (sum(seconds.values()) - of_env_steps) / parts["updates"] * (1 + mean_measurement_cost)
    hours: float = (FULL_ENV_STEPS * env_step + budget.num_updates * update) / 3600
    return hours


def peak_memory_gb(device: torch.device) -> dict[str, float]:
    """Returns the peak memory of this process: on the host, and on the GPU."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # Linux counts in kB
    return {"host": host} | ({"device": torch.cuda.max_memory_allocated(device) / 1e9} if device.type == "cuda" else {})


class Seconds:
    """Seconds of one thread, added up by part. now: the clock; a device's waits for the device."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.own: dict[str, float] = defaultdict(float)
        self._inner = [0.0]
        """Of each timed call that is under way, the outermost first: seconds of the timed calls within it."""

    def of(self, part: str, owner: object, method: str) -> AbstractContextManager[None]:
        """Counts `owner.method` as `part` while the context lasts."""
        self.own[part] += 0.0
        return replaced(owner, method, self._timed(part, getattr(owner, method)))

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            begun = self._now()
            self._inner.append(0.0)
            result = function(*arguments)
            whole = self._now() - begun
            self.own[part] += whole - self._inner.pop()
            self._inner[-1] += whole
            return result

        return run


@contextmanager
def replaced(owner: object, method: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replaces this one object's method by `function` while the context lasts."""
    setattr(owner, method, function)
    try:
        yield
    finally:
        delattr(owner, method)


class Stretches:
    """A run that is measured as it goes on, in stretches: whole rows and the updates they are due."""

    def __init__(self, config: TrainConfig, device: torch.device, directory: Path) -> None:
        for name in ("work", "out"):
            (directory / name).mkdir()
        inputs = make_inputs(config, directory / "sources")
        context = StageContext(directory / "work", directory / "out", inputs, Telemetry(directory / "work"))
        self._device, self._num_envs = device, config.agent.acting.num_envs
        self._training = OnlineTraining(config, device, context)
        self._learner = self._training.learner
        if isinstance(self._learner, FinetuningLearner) and self._learner.tasks:
            keep_frames_as_in_a_study(self._learner.tasks, inputs["dataset"], config.agent.replay.frame_memory_gb)

    def warm_up(self, num_updates: int) -> None:
        """Runs until updates are steady: memory is laid out, kernels are chosen, graphs are captured."""
        while not self._training.updates:
            self._training.move()
        self._advance(num_updates)

    def speed(self, num_updates: int) -> dict[str, float]:
        """Measures env steps and updates together, as they alternate."""
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
        """Measures the seconds of each part, and of what is none of them; counts the env steps and updates that they were."""
        seconds = Seconds(self._now)
        with ExitStack() as stack:
            stack.enter_context(seconds.of("environment", self._training.environment, "step"))
            for part, (owner, method) in self._learner.timed_methods().items():
                stack.enter_context(seconds.of(part, owner, method))
            env_steps, updates, begun = self._training.env_steps, self._training.updates, self._now()
            self._advance(num_updates)
            whole = self._now() - begun
        return {
            "seconds": {**seconds.own, "other": whole - sum(seconds.own.values())},
            "env_steps": self._training.env_steps - env_steps,
            "updates": self._training.updates - updates,
        }

    def measurement_cost(self, num_updates: int) -> float | None:
        """Measures what the offline tasks' gradients add to an update, as a share of one without; every other update measures
        them.

        None for a run without offline tasks. Their weights stay as they are.
        """
        learner = self._learner
        if not isinstance(learner, FinetuningLearner) or not learner.tasks:
            return None
        seconds: dict[bool, list[float]] = {True: [], False: []}

        def timed(replay: ReplayBuffer, update: int) -> dict[str, float]:
            begun = self._now()
            metrics = type(learner).update(learner, replay, update)
            seconds[learner.weights.measures(update)].append(self._now() - begun)
            return metrics

        with (
            replaced(learner.weights, "measures", lambda update: update % 2 == 1),
            replaced(learner.weights, "record", lambda update, similarities: None),
            replaced(learner, "update", timed),
        ):
            self._advance(num_updates)
        return median(seconds[True]) / median(seconds[False]) - 1

    def torch_kernel_fraction(self, num_updates: int) -> float:
        """Measures the share of the time that passes inside torch's operators, by its profiler; on the host."""
        begun = self._now()
        with profile(activities=[ProfilerActivity.CPU]) as trace:
            self._advance(num_updates)
            seconds = self._now() - begun
        inside: float = sum(
            event.self_cpu_time_total for event in trace.key_averages() if event.key.startswith(("aten::", "mkldnn"))
        )
        return inside / 1e6 / seconds

    def flops(self) -> dict[str, float]:
        """Counts the operations of one env step (its share of a row's decisions) and of one update, where no graph hides them."""
        learner, number = self._learner, self._training.updates
        with without_graphs():
            row = count_flops(lambda: learner.act(self._training.stacks.stacks, number, number))
            update = count_flops(lambda: learner.update(self._training.replay, number))
        return {"per_env_step": row / self._num_envs, "per_update": update}

    def _advance(self, num_updates: int) -> None:
        """Makes at least so many updates, then goes on to the next row's beginning."""
        target = self._training.updates + num_updates
        while self._training.updates < target or self._training.updates < self._training.budget.due(self._training.env_steps):
            self._training.move()

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def make_inputs(config: TrainConfig, directory: Path) -> dict[str, tuple[Path, ...]]:
    """Makes inputs `dataset` and `label` of the run's source games: random play, with the same label everywhere.

    What an update decodes depends neither on who played nor on a teacher's labels, so neither does speed. A game that is named
    twice is played once.
    """
    games = config.finetuning.sources if config.finetuning else ()
    for game in set(games):
        (directory / game / "data").mkdir(parents=True)
        _play(config.environment.model_copy(update={"game": game}), directory / game)
    return {"dataset": tuple(directory / game / "data" for game in games), "label": tuple(directory / game for game in games)}


def keep_frames_as_in_a_study(tasks: Sequence[Task], datasets: tuple[Path, ...], memory_gb: float) -> None:
    """Has frames decoded when they are read, as in a study, where a game's full dataset would not fit into memory: the few that
    are made here always would.

    memory_gb: of all tasks together.
    """
    for task, path in zip(tasks, datasets, strict=True):
        if not frames_fit(TASK_TRANSITIONS, 1, task.replay.frame_shape, memory_gb / len(tasks)):
            task.replay.frames = OfflineData.open(path).frames(memory_bytes=0)


def _play(environment: EnvironmentConfig, directory: Path) -> None:
    config = DatasetConfig(environment=environment, data=DataConfig(policy="random"), env_steps=TASK_ENV_STEPS, seed=0)
    dataset.run(config, StageContext(directory, directory / "data", {}, Telemetry(directory)))
    count, valid = OfflineData.open(directory / "data").num_transitions, find_game(environment.game).action_ids
    policies = np.zeros((count, NUM_ACTIONS), np.float32)
    policies[:, valid] = 1 / len(valid)
    Labels(policies, np.zeros(count, np.float32)).save(directory)
