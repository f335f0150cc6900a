"""Updates over several games written a second time, plainly, on the plain EfficientZero of tests/agents/plain_update.py."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.rng import derive_seed, stream
from xtra.transfer.config import CrossTaskConfig, TaskWeightConfig, TeacherConfig

from ..agents.plain_targets import (
    NUM_ACTIONS,
    Memory,
    Place,
    Stream,
    Targets,
    assembled,
    joined,
    make_targets,
    n_step_value,
)
from ..agents.plain_update import PlainEfficientZero, losses_of, weighted_mean


@dataclass
class PlainTask:
    """A source game, its data in one environment, and its teacher's policies `[rows, 18]` and values `[rows]`."""

    game: str
    action_ids: tuple[int, ...]
    memory: Memory
    policies: NDArray[np.float32]
    values: NDArray[np.float32]

    def targets(
        self, places: Sequence[Place], config: EfficientZeroConfig, teacher: TeacherConfig, seed: int, update: int, turn: int,
        augmentation: Stream,
    ) -> Targets:  # fmt: skip
        steps, n = config.targets.num_unroll_steps, config.targets.td_steps
        values, policies = np.zeros((len(places), steps + 1)), np.zeros((len(places), steps + 1, NUM_ACTIONS), np.float32)
        for i, p in enumerate(places):
            end = self.memory.end(p.row, 0)
            for k in range(min(steps, end - p.row) + 1):
                row = p.row + k
                policies[i, k] = self.policies[row]
                said = float(self.values[row])
                after = float(self.values[row + n]) if row + n <= end else 0.0
                values[i, k] = {
                    "teacher": said,
                    "n_step_teacher": n_step_value(self.memory, p, k, n, after, config),
                    "released": n_step_value(self.memory, p, k, n, 0.0, config) + said,
                }[teacher.value_target]
        padding = (seed, "padding-actions", self.game, update, turn)
        return assembled(self.memory, places, values, policies, config, self.action_ids, padding, augmentation)


class PlainSources:
    """Draws of all source games, one update ahead of the one that learns from them; the remainder of a batch goes round."""

    def __init__(self, tasks: Sequence[PlainTask], batch_size: int, config: EfficientZeroConfig, seed: int, shared: bool) -> None:
        self.tasks, self.batch_size, self.config, self.seed, self.shared = tasks, batch_size, config, seed, shared
        self.ahead: list[tuple[int, list[Place]]] | None = None

    def draw(self, update: int, beta: float) -> list[tuple[int, list[Place]]]:
        m = len(self.tasks)
        order = list(range(m))
        if self.shared:
            order = stream(self.seed, "shared-queue", update).integers(m, size=m).tolist()
        each, left = divmod(self.batch_size, m)
        favoured = {(update * left + i) % m for i in range(left)}
        out = []
        for turn, task in enumerate(order):
            rng = stream(self.seed, "offline-replay", update, turn)
            out.append((task, self.tasks[task].memory.draw(each + (turn in favoured), rng, self.config, beta)))
        return out

    def take(self, update: int, beta: float, next_beta: float) -> list[tuple[int, list[Place]]]:
        """The draws of this update; those of the next one are made now, before this one sets priorities."""
        now = self.ahead or self.draw(update, beta)
        self.ahead = self.draw(update + 1, next_beta)
        return now

    def prioritize(self, drawn: Sequence[tuple[int, list[Place]]], errors: Tensor) -> None:
        for (task, places), part in zip(drawn, errors.split([len(p) for _, p in drawn]), strict=True):
            self.tasks[task].memory.prioritize(places, part.tolist(), self.config)


class PlainCrossTasks:
    """XTRA's second stage (Xu et al., 2023): the target's update with those of its sources in the loss."""

    def __init__(
        self, own: PlainEfficientZero, tasks: Sequence[PlainTask], cross: CrossTaskConfig, weights: TaskWeightConfig
    ) -> None:
        self.own, self.tasks, self.cross, self.config = own, tasks, cross, weights
        shared = cross.composition == "shared_queue"
        self.sources = PlainSources(tasks, cross.batch_size, own.config, own.seed, shared)
        self.weights = [weights.initial] * len(tasks)
        self.cosines: list[list[float]] = [[] for _ in tasks]

    def update(self, memory: Memory, update: int, num_updates: int) -> dict[str, float]:
        own, config = self.own, self.own.config
        drawn = self.sources.take(update, own.beta(update, num_updates), own.beta(update + 1, num_updates))
        places, targets = own.draw(memory, update, num_updates)
        parts = [targets]
        for turn, (task, offline) in enumerate(drawn):
            augmentation = (own.seed, "augment", update, "cross-task", turn)
            parts.append(self.tasks[task].targets(offline, config, TeacherConfig(), own.seed, update, turn, augmentation))
        sizes = [len(part.weights) for part in parts]
        losses = self.losses_of(parts, sizes)
        means = [weighted_mean(part, t.weights, config) for part, t in zip(losses, parts, strict=True)]
        loss = self.combined(means, [self.weights[task] for task, _ in drawn], sizes)
        metrics = {f"task_weight/{t.game}": w for t, w in zip(self.tasks, self.weights, strict=True)}
        since = update - self.config.start
        measuring = self.config.method != "constant" and since >= 0 and since % self.config.interval < self.config.window
        similarities = self.similarities(means, [task for task, _ in drawn]) if measuring else {}
        norm = own.optimizer.step(loss, update)
        memory.prioritize(places, losses[0]["value_error"].tolist(), config)
        self.sources.prioritize(drawn, torch.cat([part["value_error"] for part in losses[1:]]))
        own.remember(update)
        if measuring:
            self.record(similarities, since)
        for task in self.tasks:
            metrics |= {f"gradient_similarity/{task.game}": similarities[task.game]} if measuring else {}
        offline_means: dict[str, list[float]] = {}
        for (number, _), mean in zip(drawn, means[1:], strict=True):
            offline_means.setdefault(f"loss/{self.tasks[number].game}", []).append(mean.item())
        metrics |= {name: sum(values) / len(values) for name, values in offline_means.items()}
        return metrics | {"loss": loss.item(), "gradient_norm": norm, "value_error": losses[0]["value_error"].mean().item()}

    def losses_of(self, parts: Sequence[Targets], sizes: Sequence[int]) -> list[dict[str, Tensor]]:
        if self.cross.forward == "separate":
            return [losses_of(self.own.network, part, self.own.config) for part in parts]
        together = losses_of(self.own.network, joined(parts), self.own.config)
        split = {name: term.split(list(sizes)) for name, term in together.items()}
        return [{name: terms[i] for name, terms in split.items()} for i in range(len(parts))]

    def combined(self, means: Sequence[Tensor], weights: Sequence[float], sizes: Sequence[int]) -> Tensor:
        target, *offline = means
        weighted = [w * mean for w, mean in zip(weights, offline, strict=True)]
        match self.cross.loss_normalization:
            case "per_task":
                return target + sum(weighted) / len(weighted)
            case "paper_sum":
                return target + sum(weighted)
        # The mean over all samples, whatever the weights.
        samples = [sizes[0] * target] + [size * one for size, one in zip(sizes[1:], weighted, strict=True)]
        return torch.stack(samples).sum() / sum(sizes)

    def similarities(self, means: Sequence[Tensor], owners: Sequence[int]) -> dict[str, float]:
        def gradient(loss: Tensor) -> Tensor:
            parameters = list(self.own.network.parameters())
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
            clamp = self.config.gradient_clamp
            return torch.cat([p.flatten().clamp(-clamp, clamp) for p in parts])

        target = gradient(means[0])
        cosines = [torch.nn.functional.cosine_similarity(target, gradient(mean), dim=0).item() for mean in means[1:]]
        out = {}
        for number, task in enumerate(self.tasks):
            own = [c for c, owner in zip(cosines, owners, strict=True) if owner == number]
            out[task.game] = sum(own) / len(own) if own else float("nan")
        return out

    def record(self, similarities: dict[str, float], since: int) -> None:
        for kept, task in zip(self.cosines, self.tasks, strict=True):
            if not np.isnan(similarities[task.game]):
                kept.append(similarities[task.game])
        if since % self.config.interval == self.config.window - 1:
            for number, kept in enumerate(self.cosines):
                if kept:
                    hits = sum(c > self.config.threshold for c in kept)
                    self.weights[number] = round((1 + hits) / (1 + len(kept)), 2)
            self.cosines = [[] for _ in self.tasks]


class PlainStudent:
    """XTRA's first stage: one network, all games in one batch, their teachers' targets."""

    def __init__(self, own: PlainEfficientZero, tasks: Sequence[PlainTask], batch_size: int, teacher: TeacherConfig) -> None:
        self.own, self.tasks, self.teacher = own, tasks, teacher
        self.sources = PlainSources(tasks, batch_size, own.config, own.seed, shared=False)

    def update(self, update: int, num_updates: int) -> dict[str, float]:
        own, config = self.own, self.own.config
        drawn = self.sources.take(update, own.beta(update, num_updates), own.beta(update + 1, num_updates))
        parts = []
        for turn, (number, places) in enumerate(drawn):
            task = self.tasks[number]
            parts.append(
                task.targets(places, config, self.teacher, own.seed, update, turn, (own.seed, "augment", task.game, update))
            )
        return joint_step(own, self.sources, drawn, parts, update)


class PlainMultiTask:
    """The paper's comparison: one network, all games in one batch, and no teachers: each game's targets are those of the online
    game, made by a delayed copy of the student, from streams of the game's own."""

    def __init__(self, own: PlainEfficientZero, tasks: Sequence[PlainTask], batch_size: int) -> None:
        self.own, self.tasks = own, tasks
        self.sources = PlainSources(tasks, batch_size, own.config, own.seed, shared=False)

    def update(self, update: int, num_updates: int) -> dict[str, float]:
        own = self.own
        drawn = self.sources.draw(update, own.beta(update, num_updates))
        parts = []
        for number, places in drawn:
            task = self.tasks[number]
            seed, augmentation = derive_seed(own.seed, task.game), (own.seed, "augment", task.game, update)
            delayed = copy.deepcopy(own.delayed(update))
            parts.append(make_targets(task.memory, places, delayed, own.config, task.action_ids, seed, update, augmentation))
        metrics = joint_step(own, self.sources, drawn, parts, update)
        own.remember(update)
        return metrics


def joint_step(
    own: PlainEfficientZero, sources: PlainSources, drawn: Sequence[tuple[int, list[Place]]], parts: list[Targets], update: int
) -> dict[str, float]:
    """One step on samples of all games, and their priorities. Returns metrics."""
    batch = joined(parts)
    losses = losses_of(own.network, batch, own.config)
    loss = weighted_mean(losses, batch.weights, own.config)
    norm = own.optimizer.step(loss, update)
    sources.prioritize(drawn, losses["value_error"])
    metrics: dict[str, Any] = {"loss": loss.item(), "gradient_norm": norm}
    for name in ("value_prefix", "policy", "value", "consistency"):
        for (number, _), part in zip(drawn, losses[name].split([len(p) for _, p in drawn]), strict=True):
            metrics[f"{name}_loss/{sources.tasks[number].game}"] = part.mean().item()
    return metrics
