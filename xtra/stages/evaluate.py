"""Stage `evaluate`: plays whole games greedily and leaves one row per game."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch

from xtra.agents.evaluation import Evaluation, mean_episode_return
from xtra.agents.interface import Player, load_weights, make_player, prepare_torch
from xtra.rng import derive_seed
from xtra.stages.config import EvaluateConfig
from xtra.stages.context import StageContext
from xtra.stages.resumable import complete


def run(config: EvaluateConfig, context: StageContext) -> None:
    """Scores the network of the job that is input `network` (none for the random agent). Leaves episodes.json and
    summary.json."""
    player = _make_player(config, context, prepare_torch(config.evaluation.num_threads))
    complete(Scoring(config, player, context), context)


class Scoring:
    """An evaluation as resumable work: a move is one step in every game."""

    def __init__(self, config: EvaluateConfig, player: Player, context: StageContext) -> None:
        self._context = context
        self._num_episodes = config.evaluation.num_episodes
        self._evaluation = Evaluation(
            player,
            config.environment,
            num_episodes=self._num_episodes,
            max_episode_env_steps=config.evaluation.max_episode_env_steps,
            seed=derive_seed(config.seed, "evaluation"),
        )

    def move(self) -> bool:
        """Takes a step; False when all games are over."""
        if self._evaluation.done:
            return False
        self._evaluation.step()
        self._progress()
        return True

    def checkpoint_due(self) -> bool:
        """Returns False: time alone decides."""
        return False

    def position(self) -> str:
        """Describes how many games are over, and the steps of the others."""
        return f"{self._evaluation.num_finished} games and {self._evaluation.env_step:,} env steps"

    def state(self) -> dict[str, Any]:
        """Returns the actions: all else follows from them."""
        return {"actions": self._evaluation.actions()}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes the same actions again."""
        self._evaluation.restore(state["actions"])

    def save_outputs(self) -> None:
        """Saves a row per game, and the score."""
        episodes = self._evaluation.episodes
        rows = [dataclasses.asdict(episode) for episode in episodes]
        (self._context.out / "episodes.json").write_text(json.dumps(rows))
        summary = {"score": mean_episode_return(episodes), "score_rule": "mean_episode_return", "num_episodes": len(episodes)}
        (self._context.out / "summary.json").write_text(json.dumps(summary))
        self._progress(force=True)

    def _progress(self, *, force: bool = False) -> None:
        done, env_steps = self._evaluation.num_finished, self._evaluation.env_step
        self._context.telemetry.progress(done, self._num_episodes, "games", {"env_steps": env_steps}, force=force)


def _make_player(config: EvaluateConfig, context: StageContext, device: torch.device) -> Player:
    weights = None
    if trained := context.inputs.get("network"):
        weights = load_weights(trained[0], device)
    num_threads = config.evaluation.num_threads
    return make_player(config.agent, config.environment, weights, seed=config.seed, num_threads=num_threads)
