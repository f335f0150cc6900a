"""Stage `probe`: predictors of how well one pretrained network will transfer to one target game, measured before any finetuning.

It reads the network, the data of the one game that it was pretrained on and some random play of the target. Every predictor is
larger where more transfer is expected: losses and distances have their sign turned.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.batch import joined
from xtra.agents.evaluation import mean_episode_return, play_episodes
from xtra.agents.interface import load_weights, make_player, prepare_torch
from xtra.replay.buffer import Sample
from xtra.replay.window import Window
from xtra.rng import derive_seed
from xtra.stages.config import ProbeConfig
from xtra.stages.context import StageContext
from xtra.stages.resumable import complete
from xtra.store.files import SECONDS_FILE
from xtra.transfer.tasks import Task, load_tasks
from xtra.transfer.transferability import (
    action_overlap,
    classification_probe,
    linear_cka,
    log_evidence,
    picture_similarity,
    regression_probe,
)
from xtra.transfer.zero_shot import gradient_cosines, model_fit, recorded_batches

Measurements = Iterator[tuple[str, float, float]]
"""Predictors by name, their values (NaN where one is undefined) and the seconds that each takes alone, shared parts included."""


def run(config: ProbeConfig, context: StageContext) -> None:
    """Measures the network of input `pretrained` on the `dataset` of its source game and on random play of the target, `target`.
    Leaves probes.json, a row per predictor, and measured_seconds.json, what each took."""
    complete(Probing(config, Pair(config, context.inputs), context), context)


class Pair:
    """A pretrained network, the game that it comes from and the one that it goes to; and every measurement of the three."""

    def __init__(self, config: ProbeConfig, inputs: Mapping[str, tuple[Path, ...]]) -> None:
        self._config, agent = config, config.agent
        device = prepare_torch(config.num_threads)
        self._weights = load_weights(inputs["pretrained"][0], device)
        self._network = make_network(agent.network, config.environment.frame_size, config.seed, device)
        self._network.load_state_dict(self._weights)
        (self._source,) = load_tasks(config.games, inputs["dataset"], agent.replay, agent.window)
        (self._target,) = load_tasks([config.environment.game], inputs["target"], agent.replay, agent.window)
        self._device = device

    def zero_shot_return(self) -> Measurements:
        """Yields the mean return of the network's own play on the target, by search as in evaluation."""
        started, probes = time.monotonic(), self._config.probes
        episodes = play_episodes(
            make_player(
                self._config.agent,
                self._config.environment,
                self._weights,
                seed=self._config.seed,
                num_threads=self._config.num_threads,
            ),
            self._config.environment,
            num_episodes=probes.episodes,
            max_episode_env_steps=probes.episode_env_steps,
            seed=derive_seed(self._config.seed, "probe"),
        )
        yield "zero_shot_return", mean_episode_return(episodes), time.monotonic() - started

    def model_fit(self) -> Measurements:
        """Yields how well the unrolled model predicts the target's value prefixes and latents, step by step."""
        started = time.monotonic()
        fit = model_fit(self._network, self._target, self._rows(self._target), self._config.agent)
        seconds = time.monotonic() - started
        for name, values in (("value_prefix_fit", fit.value_prefix), ("consistency_fit", fit.consistency)):
            for step, value in enumerate(values.tolist(), start=1):
                yield f"{name}.{step}", value, seconds

    def gradient_cosine(self) -> Measurements:
        """Yields the cosine of the gradients of the target's loss and the source's, by component."""
        started, config = time.monotonic(), self._config
        cosines = gradient_cosines(
            self._network, self._target, self._source, config.agent, config.seed, num_threads=config.num_threads
        )
        seconds = time.monotonic() - started
        for component, value in cosines.items():
            yield f"gradient_cosine.{component}", value, seconds

    def features(self) -> Measurements:
        """Yields how well linear models of the target's latents predict the reward and the action of a step, and the return after
        it; and how well latents separate what pictures separate."""
        started = time.monotonic()
        rows = self._rows(self._target)
        steps = joined(list(recorded_batches(self._target, rows, self._plain_agent, self._device)))
        with torch.no_grad():
            latents, following = (
                torch.cat([self._network.eval().representation(part) for part in observations.split(128)]).flatten(1)
                for observations in (steps.observation, steps.next_observations[0])
            )
        here, there = latents.double().cpu().numpy(), following.double().cpu().numpy()
        pictures = steps.observation.flatten(1).double().cpu().numpy()
        rewards, actions, seen = (part[:, 0].cpu().numpy() for part in (steps.value_prefixes, steps.actions, steps.observed))
        transitions, returns = np.concatenate([here, there], axis=1), self._returns(rows)
        shared = time.monotonic() - started
        measures: dict[str, Callable[[], float]] = {
            # The latent after the step, not the one before: what a reward shows in, if anything does.
            "reward_probe": partial(regression_probe, there[seen], rewards[seen].astype(np.float64)),
            "action_probe": partial(classification_probe, transitions[seen], actions[seen]),
            "logme": partial(log_evidence, here, returns),
            "cka": partial(linear_cka, here, pictures),
        }
        for name, measure in measures.items():
            begun = time.monotonic()
            value = measure()
            yield name, value, shared + time.monotonic() - begun

    def pictures(self) -> Measurements:
        """Yields how alike the two games look on average."""
        started = time.monotonic()
        of_target, of_source = (self._frames(game) for game in (self._target, self._source))
        yield "picture_similarity", picture_similarity(of_target, of_source), time.monotonic() - started

    def actions(self) -> Measurements:
        """Yields the share of actions that both games have."""
        started = time.monotonic()
        yield "action_overlap", action_overlap(self._target.action_ids, self._source.action_ids), time.monotonic() - started

    @property
    def _plain_agent(self) -> Any:
        """The agent without augmentation."""
        optimizer = self._config.agent.optimizer.model_copy(update={"augmentation": "none"})
        return self._config.agent.model_copy(update={"optimizer": optimizer})

    def _rows(self, game: Task) -> NDArray[np.int64]:
        """Returns transitions `[N]` of a game, in order, spread evenly."""
        count = min(self._config.probes.transitions, game.replay.num_rows)
        return np.linspace(0, game.replay.num_rows - 1, count).astype(np.int64)

    def _frames(self, game: Task) -> NDArray[np.uint8]:
        rows = self._rows(game)
        return game.replay.frames.read(rows, np.zeros_like(rows))

    def _returns(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns `[N]`: the discounted rewards of the steps that training's targets look at."""
        agent, replay = self._config.agent, self._target.replay
        window = Window(replay, Sample(rows, np.zeros_like(rows), np.ones(len(rows), np.float32)), agent.window)
        rewards = window.rewards(agent.targets.clip_rewards).astype(np.float64)
        returns: NDArray[np.float64] = rewards @ agent.search.discount ** np.arange(agent.window)
        return returns


PREDICTORS_OF_METHOD: dict[Callable[[Pair], Measurements], tuple[str, ...]] = {
    Pair.zero_shot_return: ("zero_shot_return",),
    Pair.model_fit: ("value_prefix_fit", "consistency_fit"),
    Pair.gradient_cosine: ("gradient_cosine",),
    Pair.features: ("reward_probe", "action_probe", "logme", "cka"),
    Pair.pictures: ("picture_similarity",),
    Pair.actions: ("action_overlap",),
}
"""The methods that measure, and what the names of the predictors that each yields begin with."""


def methods_measuring(predictors: Sequence[str]) -> list[Callable[[Pair], Measurements]]:
    """Returns the methods of `Pair` that measure these predictors."""
    begins = {name.partition(".")[0] for name in predictors}
    return [method for method, names in PREDICTORS_OF_METHOD.items() if begins.intersection(names)]


class Probing:
    """A pair's predictors as resumable work: a move measures those that are measured together."""

    def __init__(self, config: ProbeConfig, pair: Pair, context: StageContext) -> None:
        self._pair, self._context = pair, context
        self._predictors = config.probes.predictors
        self._methods = methods_measuring(self._predictors)
        self._rows: list[dict[str, Any]] = []
        self._seconds: dict[str, float] = {}
        (self._source,) = config.games
        self._done = 0

    def move(self) -> bool:
        """Makes the next measurement; False when nothing is left."""
        if self._done == len(self._methods):
            return False
        for name, value, seconds in self._methods[self._done](self._pair):
            if name in self._predictors:
                defined = value if np.isfinite(value) else None
                self._rows.append({"source_game": self._source, "predictor": name, "value": defined})
                self._seconds[name] = seconds
        self._done += 1
        self._progress()
        return True

    def checkpoint_due(self) -> bool:
        """Returns False: time alone decides."""
        return False

    def position(self) -> str:
        """Describes how many predictors are measured."""
        return f"{len(self._rows)} predictors"

    def state(self) -> dict[str, Any]:
        """Returns the rows so far."""
        return {"rows": self._rows, "seconds": self._seconds, "done": self._done}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        self._rows, self._seconds, self._done = state["rows"], state["seconds"], state["done"]

    def save_outputs(self) -> None:
        """Saves the rows, in the order in which the configuration names predictors."""
        ordered = sorted(self._rows, key=lambda row: self._predictors.index(row["predictor"]))
        (self._context.out / "probes.json").write_text(json.dumps(ordered))
        # Apart, for it is no result: computed again, a job leaves the same bytes but for these.
        (self._context.out / SECONDS_FILE).write_text(json.dumps(self._seconds))
        self._progress(force=True)

    def _progress(self, *, force: bool = False) -> None:
        self._context.telemetry.progress(self._done, len(self._methods), "measurements", force=force)
