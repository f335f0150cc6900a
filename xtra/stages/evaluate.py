"""Stage `evaluate`: plays whole games greedily and leaves one row per game."""

from __future__ import annotations

import dataclasses
import json

import torch

from xtra.agents.config import RandomConfig
from xtra.agents.device import prepare_torch
from xtra.agents.efficientzero.agent import EfficientZeroPlayer, make_network
from xtra.agents.evaluation import mean_episode_return, play_episodes
from xtra.agents.interface import Player
from xtra.agents.random_player import RandomPlayer
from xtra.rng import derive_seed
from xtra.stages.config import EvaluateConfig
from xtra.stages.context import StageContext


def run(config: EvaluateConfig, context: StageContext) -> None:
    """Input `train`: the run whose `network.pt` is scored (none for the random agent). Leaves episodes.json and summary.json."""
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
    if isinstance(config.agent, RandomConfig):
        return RandomPlayer(config.environment.game, config.seed)
    (trained,) = context.inputs["train"]
    network = make_network(config.agent, config.environment, config.seed, device)
    network.load_state_dict(torch.load(trained / "network.pt", map_location=device, weights_only=True))
    return EfficientZeroPlayer(config.agent, config.environment, network, config.evaluation.num_threads)
