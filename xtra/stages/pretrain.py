"""Stage `pretrain`: one network for all source games, from their offline data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from xtra.agents.device import prepare_torch
from xtra.agents.evaluation import mean_episode_return, play_episodes
from xtra.agents.factory import make_player
from xtra.agents.interface import TrainingRun
from xtra.rng import derive_seed
from xtra.stages.config import PretrainConfig
from xtra.stages.context import StageContext
from xtra.stages.offline_training import train_offline
from xtra.telemetry import Telemetry
from xtra.transfer.pretrain import make_pretrainer


def run(config: PretrainConfig, context: StageContext) -> None:
    """Inputs `dataset` and, where teachers are followed, `label`, one per game. Leaves what `train_offline` does, and in
    source_scores.json how the network plays its own games: what it has not learned it cannot transfer."""
    updates = config.pretraining.updates
    run = TrainingRun(
        num_updates=updates,
        env_step_updates=updates,
        # The network must not begin as the one that is finetuned with an equal seed.
        seed=derive_seed(config.seed, "pretrain"),
        num_threads=config.num_threads,
        device=prepare_torch(config.num_threads),
    )
    learner = make_pretrainer(
        config.agent, config.environment, config.games, config.pretraining, config.teacher, context.inputs, run
    )
    train_offline(learner, updates, config.checkpoint_interval, context)
    scores = list(_source_scores(config, learner.network_state(), context.telemetry))
    (context.out / "source_scores.json").write_text(json.dumps(scores))


def _source_scores(config: PretrainConfig, weights: Mapping[str, Tensor], telemetry: Telemetry) -> Iterator[dict[str, Any]]:
    """One row per source game, as an evaluation would score it."""
    evaluation = config.evaluation
    for played, game in enumerate(config.games):
        telemetry.progress(played, len(config.games), "games", force=True)
        environment = config.environment.model_copy(update={"game": game})
        episodes = play_episodes(
            make_player(config.agent, environment, weights, seed=config.seed, num_threads=config.num_threads),
            environment,
            num_episodes=evaluation.num_episodes,
            max_episode_env_steps=evaluation.max_episode_env_steps,
            seed=derive_seed(config.seed, "source-score", game),
        )
        yield {"source_game": game, "score": mean_episode_return(episodes), "num_episodes": len(episodes)}
