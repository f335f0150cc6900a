"""One run, measured as it goes on, in stretches: each is a whole number of rows with the updates that are due after them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from xtra.cuda_graphs import without_graphs
from xtra.perf.flops import count_flops
from xtra.perf.offline_tasks import keep_frames_as_in_a_study, make_inputs
from xtra.replay.buffer import ReplayBuffer
from xtra.stages.config import TrainConfig
from xtra.stages.context import StageContext
from xtra.stages.train import OnlineTraining
from xtra.telemetry import Telemetry
from xtra.transfer.finetuning import FinetuningLearner

WITH_ENV_STEPS = ("environment", "acting", "search", "other")
"""Parts whose time grows with env steps; that of all others with updates."""


class Seconds:
    """Adds them up by part, of one thread. now: the clock; a device's waits for the device."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.own: dict[str, float] = defaultdict(float)
        self._inner = [0.0]
        """Of each timed call that is under way, the outermost first: seconds of the timed calls within it."""

    def of(self, part: str, owner: object, method: str) -> AbstractContextManager[None]:
        """While the context lasts, `owner.method` counts as `part`."""
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
    """While the context lasts, this one object's method is `function`."""
    setattr(owner, method, function)
    try:
        yield
    finally:
        delattr(owner, method)


class Stretches:
    """A run, advanced by whole rows and the updates they are due."""

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
        """What measuring the offline tasks' gradients adds to an update, as a share of one that does not; every other one does.

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
        """Of one env step (its share of a row's decisions) and of one update, counted where no graph hides the operators."""
        learner, number = self._learner, self._training.updates
        with without_graphs():
            row = count_flops(lambda: learner.act(self._training.stacks.stacks, number, number))
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
