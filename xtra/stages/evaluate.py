"""Stage `evaluate`: plays whole games greedily and leaves one row per game."""

from __future__ import annotations

import dataclasses
import json

import torch

from xtra.agents.device import prepare_torch
from xtra.agents.evaluation import mean_episode_return, play_episodes
from xtra.agents.factory import load_weights, make_player
from xtra.agents.interface import Player
from xtra.rng import derive_seed
from xtra.stages.config import EvaluateConfig
from xtra.stages.context import StageContext


def run(config: EvaluateConfig, context: StageContext) -> None:
    """Input `network`: the job whose network is scored (none for the random agent). Leaves episodes.json and summary.json."""
    device = prepare_torch(config.evaluation.num_threads)
    total = config.evaluation.num_episodes
    episodes = play_episodes(
        _make_player(config, context, device),
        config.environment,
        num_episodes=total,
        max_episode_env_steps=config.evaluation.max_episode_env_steps,
        seed=derive_seed(config.seed, "evaluation"),
        progress=lambda env_steps, finished: context.telemetry.progress(finished, total, "games", {"env_steps": env_steps}),
    )
    context.telemetry.progress(total, total, "games", force=True)
    score = mean_episode_return(episodes)
    rows = [dataclasses.asdict(episode) for episode in episodes]
    (context.out / "episodes.json").write_text(json.dumps(rows))
    summary = {"score": score, "score_rule": "mean_episode_return", "num_episodes": total}
    (context.out / "summary.json").write_text(json.dumps(summary))


def _make_player(config: EvaluateConfig, context: StageContext, device: torch.device) -> Player:
    weights = None
    if trained := context.inputs.get("network"):
        weights = load_weights(trained[0], device)
    num_threads = config.evaluation.num_threads
    return make_player(config.agent, config.environment, weights, seed=config.seed, num_threads=num_threads)
