"""Stage `pretrain`: one network for all source games, from their offline data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xtra.agents.evaluation import Evaluation, mean_episode_return
from xtra.agents.interface import TrainingRun, make_player, prepare_torch
from xtra.registry import load_object
from xtra.rng import derive_seed
from xtra.stages.config import PretrainConfig
from xtra.stages.context import StageContext
from xtra.stages.offline_training import OfflineLearner, OfflineTraining
from xtra.stages.resumable import complete_training
from xtra.transfer.registry import PRETRAINING, PretrainingSetup


def run(config: PretrainConfig, context: StageContext) -> None:
    """Pretrains on inputs `dataset` and, where teachers are followed, `label`, one of each per game. Leaves the files of every
    offline training, and source_scores.json: how the network plays its own games, since it cannot transfer what it has not
    learned. It plays as `config.agent` says, whose search is the default one for a distilled student, whatever the method's."""
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
    complete_training(Pretraining(config, learner, context), context)


def make_pretrainer(config: PretrainConfig, inputs: Mapping[str, tuple[Path, ...]], run: TrainingRun) -> OfflineLearner:
    """Makes the learner for an agent and a method. Raises TypeError for an agent that cannot be pretrained by that method."""
    factory = PRETRAINING[config.pretraining.method].factories.get(config.agent.name)
    if factory is None:
        raise TypeError(f"agent {config.agent.name} cannot be pretrained by {config.pretraining.method}")
    setup = PretrainingSetup(
        agent=config.agent,
        environment=config.environment,
        games=config.games,
        datasets=inputs["dataset"],
        labels=inputs.get("label", ()),
        pretraining=config.pretraining,
        teacher=config.teacher,
        run=run,
    )
    learner: OfflineLearner = load_object(factory)(setup)
    return learner


class Pretraining(OfflineTraining):
    """Offline training, followed by evaluations of the network on its source games; a move is an update, or a step of an
    evaluation."""

    def __init__(self, config: PretrainConfig, learner: OfflineLearner, context: StageContext) -> None:
        super().__init__(learner, config.pretraining.updates, config.checkpoint_interval, context)
        self._config = config
        self._scores: list[dict[str, Any]] = []
        self._evaluation: Evaluation | None = None

    def move(self) -> bool:
        """Makes an update while there are any to be made, then takes a step of an evaluation; False when all games are scored."""
        if super().move():
            return True
        if len(self._scores) == len(self._config.games):
            return False
        self._evaluation = self._evaluation or self._begin_evaluation()
        self._evaluation.step()
        self._progress(activity=f"{self._evaluation} of {self._game}")
        if self._evaluation.done:
            episodes = self._evaluation.episodes
            score = {"source_game": self._game, "score": mean_episode_return(episodes), "num_episodes": len(episodes)}
            self._scores.append(score)
            self._evaluation = None
        return True

    def checkpoint_due(self) -> bool:
        """Returns True after every so many updates, and after the last one, when the network is finished."""
        trained = self.updates == self._config.pretraining.updates
        return self._evaluation is None and not self._scores and (trained or super().checkpoint_due())

    def position(self) -> str:
        """Describes the number of updates, and of games scored after them."""
        scored = f" and {len(self._scores)} source games scored" if self.updates == self._config.pretraining.updates else ""
        return super().position() + scored

    def state(self) -> dict[str, Any]:
        """Returns everything that the next move depends on but the data."""
        actions = None if self._evaluation is None else self._evaluation.actions()
        return super().state() | {"scores": self._scores, "evaluation": actions}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        super().restore(state)
        self._scores = state["scores"]
        if state["evaluation"] is not None:
            self._evaluation = self._begin_evaluation()
            self._evaluation.restore(state["evaluation"])

    def save_outputs(self) -> None:
        """Saves the outputs of every offline training, and the scores."""
        super().save_outputs()
        (self._context.out / "source_scores.json").write_text(json.dumps(self._scores))

    @property
    def _game(self) -> str:
        """The source game that is played now."""
        return self._config.games[len(self._scores)]

    def _begin_evaluation(self) -> Evaluation:
        config, evaluation = self._config, self._config.evaluation
        environment = config.environment.model_copy(update={"game": self._game})
        weights = self._learner.network_state()
        return Evaluation(
            make_player(config.agent, environment, weights, seed=config.seed, num_threads=config.num_threads),
            environment,
            num_episodes=evaluation.num_episodes,
            max_episode_env_steps=evaluation.max_episode_env_steps,
            seed=derive_seed(config.seed, "source-score", self._game),
        )
