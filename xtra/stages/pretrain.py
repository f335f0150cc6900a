"""Stage `pretrain`: one network for all source games, from their offline data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from xtra.agents.config import CloningConfig
from xtra.agents.curl.config import CurlConfig
from xtra.agents.device import prepare_torch
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.evaluation import mean_episode_return, play_episodes
from xtra.agents.factory import make_player
from xtra.agents.interface import TrainingRun
from xtra.rng import derive_seed
from xtra.stages.config import PretrainConfig
from xtra.stages.context import StageContext
from xtra.stages.offline_training import OfflineLearner, train_offline
from xtra.telemetry import Telemetry
from xtra.transfer.behaviour_cloning import REPLAY, BehaviourCloning
from xtra.transfer.pooled_curl import PooledCurl
from xtra.transfer.student import DistilledStudent, MultiTaskStudent
from xtra.transfer.tasks import load_labelled_tasks, load_tasks


def run(config: PretrainConfig, context: StageContext) -> None:
    """Inputs: `dataset` and, where teachers are followed, `label`, one per game. Leaves what `train_offline` leaves, and
    source_scores.json: how the network plays its own games, for what it has not learned it cannot transfer."""
    updates = config.pretraining.updates
    run = TrainingRun(
        num_updates=updates,
        env_step_updates=updates,
        # The network must not begin as the one that is finetuned with an equal seed.
        seed=derive_seed(config.seed, "pretrain"),
        num_threads=config.num_threads,
        device=prepare_torch(config.num_threads),
    )
    learner = make_pretrainer(config, context.inputs, run)
    train_offline(learner, updates, config.checkpoint_interval, context)
    scores = list(_source_scores(config, learner.network_state(), context.telemetry))
    (context.out / "source_scores.json").write_text(json.dumps(scores))


def make_pretrainer(config: PretrainConfig, inputs: Mapping[str, tuple[Path, ...]], run: TrainingRun) -> OfflineLearner:
    """Makes the learner for an agent and a method. Raises TypeError for an agent that cannot be pretrained by that method."""
    agent, games, teacher, datasets = config.agent, config.games, config.teacher, inputs["dataset"]
    frame_size, batch_size = config.environment.frame_size, config.pretraining.batch_size
    match agent, config.pretraining.method:
        case EfficientZeroConfig(), "distillation" if teacher is not None:
            labelled = load_labelled_tasks(games, datasets, inputs["label"], agent.replay, agent.window)
            return DistilledStudent(agent, frame_size, labelled, batch_size, run, teacher)
        case EfficientZeroConfig(), "multi_task":
            tasks = load_tasks(games, datasets, agent.replay, agent.window)
            return MultiTaskStudent(agent, frame_size, tasks, batch_size, run)
        case CurlConfig(), "multi_task":
            tasks = load_tasks(games, datasets, agent.replay, agent.window)
            return PooledCurl(agent, config.environment, tasks, batch_size, run)
        case CloningConfig(), "cloning" if teacher is not None:
            labelled = load_labelled_tasks(games, datasets, inputs["label"], REPLAY, window=0)
            return BehaviourCloning(agent, frame_size, labelled, batch_size, run)
        case CloningConfig(), "cloning":
            return BehaviourCloning(agent, frame_size, load_tasks(games, datasets, REPLAY, window=0), batch_size, run)
    raise TypeError(f"{type(agent).__name__} cannot be pretrained by {config.pretraining.method}")


def _source_scores(config: PretrainConfig, weights: Mapping[str, Tensor], telemetry: Telemetry) -> Iterator[dict[str, Any]]:
    """Yields one row per source game, scored as an evaluation would score it."""
    evaluation = config.evaluation
    for num_done, game in enumerate(config.games):
        telemetry.progress(num_done, len(config.games), "games", force=True)
        environment = config.environment.model_copy(update={"game": game})
        episodes = play_episodes(
            make_player(config.agent, environment, weights, seed=config.seed, num_threads=config.num_threads),
            environment,
            num_episodes=evaluation.num_episodes,
            max_episode_env_steps=evaluation.max_episode_env_steps,
            seed=derive_seed(config.seed, "source-score", game),
        )
        yield {"source_game": game, "score": mean_episode_return(episodes), "num_episodes": len(episodes)}
