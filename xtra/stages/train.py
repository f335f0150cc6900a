"""Stage `train`: learns one game online, in lock step: N env steps, then the updates they are due, and so on.

The run is a sequence of indivisible moves (collect a row, make an update, take a step of an evaluation); what the next move is
follows from the counters alone. A checkpoint between any two moves therefore resumes exactly, and nothing depends on how fast
anything is.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.agents.efficientzero.diagnostics import plasticity_on_replay
from xtra.agents.evaluation import Evaluation, mean_episode_return
from xtra.agents.interface import NETWORK_FILE, Learner, TrainingRun, make_learner, prepare_torch
from xtra.envs.vector import FrameStacks, make_training_environment
from xtra.replay.recording import ReplayLog, recording_meta
from xtra.rng import derive_seed, stream
from xtra.stages.config import TrainConfig
from xtra.stages.context import StageContext
from xtra.stages.resumable import complete_training
from xtra.transfer.finetuning import FinetuningLearner, make_finetuning_learner

SEGMENT_ROWS = 1_000
"""Rows after which a segment of the replay is written, checkpoint or not; fewer if the replay holds fewer."""
METRICS_INTERVAL = 20
"""Updates between lines in metrics.jsonl."""


def run(config: TrainConfig, context: StageContext) -> None:
    """Trains on the target; inputs, where transfer reads them, are `pretrained`, `dataset` and `label`. Leaves network.pt,
    curve.json, plasticity.json, diagnostics.json, summary.json, metrics.jsonl and replay/; when it finetunes, task_weights.json.
    Goes on from `work/checkpoints` if there are any."""
    complete_training(OnlineTraining(config, prepare_torch(config.training.num_threads), context), context)


@dataclasses.dataclass(frozen=True)
class TrainingBudget:
    """Counts of a run: its rows and updates, and how many updates are due after how many env steps."""

    env_steps: int
    final_updates: int
    updates_per_env_step: float
    first_update_env_step: int

    @property
    def collecting_updates(self) -> int:
        """Number of updates made while collecting."""
        return int(self.updates_per_env_step * max(0, self.env_steps - self.first_update_env_step))

    @property
    def num_updates(self) -> int:
        """Number of all updates."""
        return max(self.collecting_updates, self.final_updates)

    def due(self, env_steps: int) -> int:
        """Returns how many updates must have been made before the next env step."""
        if env_steps >= self.env_steps:
            return self.num_updates
        return int(self.updates_per_env_step * max(0, env_steps - self.first_update_env_step))


class OnlineTraining:
    """The state of a run, and its moves."""

    def __init__(self, config: TrainConfig, device: torch.device, context: StageContext) -> None:
        self._config, self._context = config, context
        self._log = ReplayLog(context.work / "replay")
        agent, training = config.agent, config.training
        self._num_envs = agent.acting.num_envs
        self.budget = TrainingBudget(
            # Rows are whole: a budget that N does not divide is rounded up.
            env_steps=-(-training.env_steps // self._num_envs) * self._num_envs,
            final_updates=training.final_updates,
            updates_per_env_step=training.updates_per_env_step,
            first_update_env_step=max(agent.replay.min_transitions, self._num_envs * (agent.window + 1)),
        )
        run = TrainingRun(
            num_updates=self.budget.num_updates,
            env_step_updates=int(self.budget.updates_per_env_step * self.budget.env_steps),
            seed=config.seed,
            num_threads=training.num_threads,
            device=device,
        )
        self.learner: Learner = _make_learner(config, run, context)
        self.environment = make_training_environment(config.environment, self._num_envs, config.seed)
        frames = self.environment.reset()
        self.stacks = FrameStacks(frames, self.learner.frame_stack)
        self.replay = self.learner.make_replay(self._num_envs, frames.shape[1:], self.budget.env_steps)
        self.env_steps, self.updates = 0, 0
        self._returns = np.zeros(self._num_envs)
        self._episode_ends: list[tuple[int, int]] = []
        self._curve: list[dict[str, Any]] = []
        self._plasticity: list[dict[str, Any]] = []
        self._diagnostics: list[dict[str, Any]] = []
        self._evaluation: Evaluation | None = None
        self._updated = False

    def move(self) -> bool:
        """Takes the next step of an evaluation that has begun; else makes an update that is due; else begins an evaluation that
        is due; else collects a row. Returns False when the run is complete."""
        self._updated = False
        if self._evaluation is not None:
            self._evaluate(self._evaluation)
        elif self.updates < self.budget.due(self.env_steps):
            self._update()
        elif self._curve_is_due():
            self._evaluation = self._begin_evaluation()
        elif self.env_steps < self.budget.env_steps:
            self._collect()
        else:
            return False
        return True

    def checkpoint_due(self) -> bool:
        """Returns True after every so many updates, right after the update."""
        return self._updated and self.updates % self._config.training.checkpoint_interval == 0

    def position(self) -> str:
        """Describes both counters."""
        return f"{self.env_steps:,} env steps and {self.updates:,} updates"

    def _collect(self) -> None:
        stacks = self.stacks.stacks
        decision = self.learner.act(stacks, self.env_steps // self._num_envs, self.updates)
        step = self.environment.step(decision.actions)
        self.replay.append(
            stacks[:, -1],
            decision.actions,
            step.rewards,
            step.terminal,
            decision.policies,
            decision.root_values,
            step.final_frames,
        )
        self.stacks.push(step.frames, step.terminal)
        self.env_steps += self._num_envs
        if self.replay.num_rows % min(SEGMENT_ROWS, self.replay.max_rows) == 0:
            self._log.extend(self.replay)
        self._episode_ends += [(self.replay.num_rows - 1, env) for env in np.flatnonzero(step.episode_end).tolist()]
        self._returns += step.rewards
        for episode_return in self._returns[step.episode_end].tolist():
            self._context.telemetry.metrics(env_steps=self.env_steps, updates=self.updates, episode_return=episode_return)
        self._returns[step.episode_end] = 0.0
        self._progress()

    def _update(self) -> None:
        metrics = self.learner.update(self.replay, self.updates)
        self.updates += 1
        self._updated = True
        if self.updates % METRICS_INTERVAL == 0:
            self._context.telemetry.metrics(env_steps=self.env_steps, updates=self.updates, **metrics)
        self._progress(loss=metrics["loss"])

    def _curve_is_due(self) -> bool:
        if self._config.training.curve_episodes == 0:
            return False
        done = self._curve[-1]["env_steps"] if self._curve else 0
        interval = self._config.training.curve_interval
        at_end = self.env_steps >= self.budget.env_steps
        return self.env_steps > done and (at_end or self.env_steps // interval > done // interval)

    def _begin_evaluation(self) -> Evaluation:
        if self.env_steps >= self.budget.env_steps:
            self.learner.finish()
        return Evaluation(
            self.learner,
            self._config.environment,
            num_episodes=self._config.training.curve_episodes,
            max_episode_env_steps=self._config.environment.max_episode_env_steps,
            seed=derive_seed(self._config.seed, "curve", self.env_steps),
        )

    def _evaluate(self, evaluation: Evaluation) -> None:
        """Takes a step of the evaluation, and after its last one adds a point to the curve."""
        evaluation.step()
        self._progress(activity=str(evaluation))
        if not evaluation.done:
            return
        episodes = evaluation.episodes
        point = {
            "env_steps": self.env_steps,
            "updates": self.updates,
            "score": mean_episode_return(episodes),
            "num_episodes": len(episodes),
        }
        self._curve.append(point)
        self._context.telemetry.metrics(**point)
        if isinstance(self.learner, EfficientZeroLearner):
            self._measure_network(self.learner)
        self._evaluation = None

    def _measure_network(self, learner: EfficientZeroLearner) -> None:
        """Adds the plasticity and the diagnostics of the network at this point of the curve."""
        counters = {"env_steps": self.env_steps, "updates": self.updates}
        rng = stream(self._config.seed, "plasticity", self.env_steps)
        self._plasticity.append(counters | plasticity_on_replay(learner.network, self.replay, rng))
        self._context.telemetry.metrics(**self._plasticity[-1])
        if self.updates > 0:
            rows = learner.diagnose(self.replay, self.updates)
            self._diagnostics += [counters | row for row in rows]
            named = {f"{row['quantity']}.{row['unroll_step']}": row["value"] for row in rows}
            self._context.telemetry.metrics(**counters, **named)

    def _progress(self, activity: str = "", **figures: float) -> None:
        done, total = self.env_steps + self.updates, self.budget.env_steps + self.budget.num_updates
        counters = {"env_steps": self.env_steps, "updates": self.updates}
        totals = {"env_steps": self.budget.env_steps, "updates": self.budget.num_updates}
        unit = "env steps and updates"
        self._context.telemetry.progress(done, total, unit, counters | figures, totals=totals, activity=activity)

    def state(self) -> dict[str, Any]:
        """Returns everything that the next move depends on; the replay's fixed part goes to its log instead."""
        return {
            "learner": self.learner.state(),
            "replay": self.replay.state(),
            "segments": [segment.name for segment in self._log.segments],
            "tail": self._log.write_tail(self.replay),
            "environment": self.environment.state(),
            "stacks": self.stacks.stacks,
            "returns": self._returns,
            "episode_ends": self._episode_ends,
            "curve": self._curve,
            "plasticity": self._plasticity,
            "diagnostics": self._diagnostics,
            "evaluation": None if self._evaluation is None else self._evaluation.actions(),
            "env_steps": self.env_steps,
            "updates": self.updates,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned. Raises DamagedError where a segment of the replay is not what it was."""
        self._log.load(state["segments"], self.replay, state["tail"])
        self.learner.restore(state["learner"])
        self.replay.restore(state["replay"])
        self.environment.restore(state["environment"])
        self.stacks.stacks = state["stacks"]
        self._returns, self._episode_ends = state["returns"], state["episode_ends"]
        self._curve, self._plasticity, self._diagnostics = state["curve"], state["plasticity"], state["diagnostics"]
        self.env_steps, self.updates = state["env_steps"], state["updates"]
        if state["evaluation"] is not None:
            self._evaluation = self._begin_evaluation()
            self._evaluation.restore(state["evaluation"])

    def save_outputs(self) -> None:
        """Saves the files that `run` names."""
        out: Path = self._context.out
        torch.save(self.learner.network_state(), out / NETWORK_FILE)
        self._log.extend(self.replay)
        (out / "replay").mkdir()
        for segment in self._log.segments:
            # The work directory keeps its own name for the file, so that a kill from here on loses nothing.
            os.link(self._log.directory / segment.name, out / "replay" / segment.name)
        meta = recording_meta(self.replay, self._config.environment, self._config.seed, self._episode_ends)
        meta.save(out / "replay")
        (out / "curve.json").write_text(json.dumps(self._curve))
        (out / "plasticity.json").write_text(json.dumps(self._plasticity))
        (out / "diagnostics.json").write_text(json.dumps(self._diagnostics))
        if isinstance(self.learner, FinetuningLearner):
            (out / "task_weights.json").write_text(json.dumps(self.learner.task_weight_rows()))
        (out / "summary.json").write_text(json.dumps({"env_steps": self.env_steps, "updates": self.updates}))
        metrics = self._context.work / "metrics.jsonl"
        (out / "metrics.jsonl").write_bytes(metrics.read_bytes() if metrics.exists() else b"")
        self._progress()


def _make_learner(config: TrainConfig, run: TrainingRun, context: StageContext) -> Learner:
    if config.finetuning is None:
        return make_learner(config.agent, config.environment, run)
    return make_finetuning_learner(config.agent, config.environment, config.finetuning, context.inputs, run)
