"""The jobs of one method, from runs on the source games over teachers and pretraining to training and evaluation on the target.

    train(g) → dataset(g) → teacher(g) → label(g)     per source game g, with a pretraining seed
    dataset(*), label(*) → pretrain
    pretrain, dataset(*), label(*) → train(target, seed) → evaluate
    pretrain, dataset(source), dataset(target, at random) → probe(target, seed)     of one source, where predictors are named

In place of pretrain stands `imported` where a method starts from a file. Only what the method's `transfer` asks for exists; what
does not depend on target, seed or method is one job wherever it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xtra.agents.config import CloningConfig
from xtra.agents.efficientzero.config import ActingConfig, EfficientZeroConfig, OptimizerConfig, TargetConfig
from xtra.agents.registry import LearningAgentConfig
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.networks.imported import imported_job
from xtra.networks.network_file import read_network_file
from xtra.plugins import plugins_of
from xtra.search.config import SearchConfig
from xtra.stages.config import (
    DatasetConfig,
    EvaluateConfig,
    LabelConfig,
    PretrainConfig,
    ProbeConfig,
    TrainConfig,
    TrainTeacherConfig,
)
from xtra.stages.registry import STAGES
from xtra.store.job import Job, Resources
from xtra.suite.method import MethodConfig, resolve
from xtra.suite.presets import PRESETS, SMOKE
from xtra.suite.spec import OTHER_TARGETS, MethodSpec, SuiteSpec
from xtra.transfer.config import DataConfig, FinetuningConfig, LearningRateConfig
from xtra.transfer.registry import PRETRAINING

Inputs = dict[str, tuple[str, ...]]
"""Role to the keys of the jobs that fill it."""


@dataclass
class CellJobs:
    """The jobs of one cell, and the keys of its result. network_key: whose network is scored; None for an agent without one.
    probe_key: what was measured before finetuning; None where no predictor is named."""

    jobs: list[Job] = field(default_factory=list)
    network_key: str | None = None
    evaluate_key: str = ""
    probe_key: str | None = None


class Pipeline:
    """Makes the jobs of a method that the suite's checks accepted."""

    def __init__(self, spec: SuiteSpec, method: MethodSpec, config: MethodConfig) -> None:
        self._spec, self._method, self._config = spec, method, config
        self.transfer = config.transfer
        self.files: dict[str, Path] = {}
        """The files that jobs of stage `imported` are made of, by key."""
        self._known: dict[tuple[tuple[str, ...], int], tuple[Sources, Job | None]] = {}

    def cell_jobs(self, target: str, seed: int) -> CellJobs:
        """Makes the jobs of the cell (method, target, seed), and all that they depend on."""
        sources, network = self._prepared(self._source_games(target), self._spec.pretrain_seed(seed))
        probes = [] if network is None or not self.transfer.probes.predictors else self._probes(target, seed, sources, network)
        if self._config.learns_online:
            network = self._train(target, seed, sources, network)
        made = CellJobs([*sources.jobs, *probes], probe_key=probes[-1].key if probes else None)
        inputs: Inputs = {}
        if network is not None:
            made.jobs.append(network)
            made.network_key, inputs = network.key, {"network": (network.key,)}
        config = EvaluateConfig(
            environment=self.view(target), agent=self._config.agent, evaluation=self._config.evaluation, seed=seed
        )
        evaluate = self.job("evaluate", config, inputs)
        made.jobs.append(evaluate)
        made.evaluate_key = evaluate.key
        return made

    @cached_property
    def source_config(self) -> MethodConfig:
        """The configuration of the method whose runs are the data."""
        name = self._spec.inherited(self._method, "source_method")
        return resolve(self._spec, self._spec.method(name))

    def view(self, game: str) -> EnvironmentConfig:
        """Returns a game's environment as this method sees it."""
        return self._config.environment.model_copy(update={"game": game})

    def job(self, stage: str, config: Config, inputs: Inputs) -> Job:
        """Makes a job with its stage's resources."""
        dumped: dict[str, Any] = config.model_dump(mode="json")
        return Job(stage, STAGES[stage].version, dumped, inputs, self._resources(stage), plugins_of(dumped))

    def _resources(self, stage: str) -> Resources:
        """Combines the suite preset's resources and, over them, the suite's own. Size smoke asks for the least, on the same
        machines."""
        spec = self._spec.resources.get(stage)
        own = {} if spec is None else spec.model_dump(mode="json", exclude_unset=True)
        if self._spec.size == SMOKE.name:
            return Resources(slurm=own.get("slurm", {}))
        return Resources(**{**PRESETS[self._spec.preset].resources.get(stage, {}), **own})

    def _source_games(self, target: str) -> tuple[str, ...]:
        sources = self._spec.inherited(self._method, "sources") or ()
        if sources == (OTHER_TARGETS,):
            return tuple(game for game in self._spec.targets if game != target)
        return tuple(sources)

    def _prepared(self, games: tuple[str, ...], seed: int) -> tuple[Sources, Job | None]:
        """Returns the sources and the network pretrained on them, made once for all cells that share them."""
        if (games, seed) not in self._known:
            sources = Sources(self, games, seed)
            self._known[games, seed] = sources, self._pretrain(sources)
        return self._known[games, seed]

    def _pretrain(self, sources: Sources) -> Job | None:
        pretraining, agent = self.transfer.pretraining, self._config.agent
        if self.transfer.init_from is not None:
            sources.jobs.append(self._import(Path(self.transfer.init_from)))
            return sources.jobs[-1]
        if pretraining.method == "none":
            return None
        if pretraining.method == "cloning" and isinstance(agent, EfficientZeroConfig):
            # What is cloned does not depend on how it is finetuned.
            agent = CloningConfig(network=agent.network, optimizer=_unaveraged(agent.optimizer))
        follows_teacher = PRETRAINING[pretraining.method].follows_teacher(pretraining)
        if pretraining.method == "distillation" and isinstance(agent, EfficientZeroConfig):
            agent = _distilled(agent)
        inputs = {"dataset": sources.datasets}
        if follows_teacher:
            inputs["label"] = sources.labels
        config = PretrainConfig(
            games=sources.games,
            environment=self.view(""),
            agent=agent,
            pretraining=pretraining,
            teacher=self.transfer.teacher if follows_teacher else None,
            evaluation=self._config.evaluation,
            checkpoint_interval=self._config.training.checkpoint_interval,
            num_threads=self._config.training.num_threads,
            seed=sources.seed,
        )
        job = self.job("pretrain", config, inputs)
        sources.jobs.append(job)
        return job

    def _import(self, path: Path) -> Job:
        job = imported_job(read_network_file(path))
        self.files[job.key] = path
        return job

    def _probes(self, target: str, seed: int, sources: Sources, pretrained: Job) -> list[Job]:
        """Makes the jobs of random play of the target, and of the probe that reads it."""
        assert isinstance(self._config.agent, EfficientZeroConfig)
        view, probes = self.view(target), self.transfer.probes
        play = DatasetConfig(environment=view, data=DataConfig(policy="random"), env_steps=probes.env_steps, seed=seed)
        played = self.job("dataset", play, {})
        config = ProbeConfig(
            environment=view,
            games=sources.games,
            agent=self._config.agent,
            probes=probes,
            num_threads=self._config.training.num_threads,
            seed=seed,
        )
        inputs = {"pretrained": (pretrained.key,), "dataset": sources.datasets, "target": (played.key,)}
        return [played, self.job("probe", config, inputs)]

    def _train(self, target: str, seed: int, sources: Sources, pretrained: Job | None) -> Job:
        assert isinstance(self._config.agent, LearningAgentConfig)
        transfer = self.transfer
        inputs: Inputs = {} if pretrained is None else {"pretrained": (pretrained.key,)}
        if transfer.crosses_sources or transfer.retention.method == "ewc":
            inputs["dataset"] = sources.datasets
        if transfer.crosses_sources:
            inputs["label"] = sources.labels
        mixed = transfer.cross_tasks.enabled
        finetuning = FinetuningConfig(
            sources=sources.games if "dataset" in inputs else (),
            start=None if pretrained is None else transfer.start,
            learning_rates=None if transfer.learning_rates == LearningRateConfig() else transfer.learning_rates,
            cross_tasks=transfer.cross_tasks if mixed else None,
            task_weights=transfer.task_weights if mixed else None,
            teacher=transfer.teacher if transfer.crosses_sources else None,
            retention=None if transfer.retention.method == "none" else transfer.retention,
        )
        config = TrainConfig(
            environment=self.view(target),
            agent=self._config.agent,
            training=self._config.training,
            finetuning=None if finetuning == FinetuningConfig() else finetuning,
            seed=seed,
        )
        return self.job("train", config, inputs)


def _distilled(agent: EfficientZeroConfig) -> EfficientZeroConfig:
    """Returns the agent as far as distillation reads it, so that ablations of how it acts and searches share one student.

    Stage `pretrain` scores the student on its source games with this agent, too: by a default search and choice of actions.
    """
    search = SearchConfig(discount=agent.search.discount, lstm_horizon=agent.search.lstm_horizon)
    anew = TargetConfig()
    of_search = ("value_source", "value_target", "mixed_start", "mixed_recent", "reanalyze_fraction", "reanalysis")
    of_time = ("batches_at_once", "target_update_interval", "td_steps_decay")
    targets = agent.targets.model_copy(update={name: getattr(anew, name) for name in (*of_search, *of_time)})
    optimizer = _unaveraged(agent.optimizer)
    return agent.model_copy(update={"search": search, "acting": ActingConfig(), "targets": targets, "optimizer": optimizer})


def _unaveraged(optimizer: OptimizerConfig) -> OptimizerConfig:
    """Returns the optimiser of a pretraining, whose weights are never averaged: they neither act nor make targets."""
    return optimizer.model_copy(update={"average_decay": 0.0})


class Sources:
    """The offline data of some games for one pretraining seed, as this method sees it. Jobs join `jobs` when first asked for."""

    def __init__(self, pipeline: Pipeline, games: tuple[str, ...], seed: int) -> None:
        self.games, self.seed = games, seed
        self.jobs: list[Job] = []
        self._pipeline = pipeline

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """The keys of the datasets, by game, in the method's own view."""
        return tuple(self._dataset(game, self._pipeline.view(game)).key for game in self.games)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The keys of the labels, by game. Teachers see the data as the source method does; labels go with transitions, whatever
        their view."""
        return tuple(self._label(game) for game in self.games)

    def _add(self, stage: str, config: Config, inputs: Inputs) -> Job:
        job = self._pipeline.job(stage, config, inputs)
        self.jobs.append(job)
        return job

    def _run(self, game: str) -> Job:
        source = self._pipeline.source_config
        config = TrainConfig(
            environment=source.environment.model_copy(update={"game": game}),
            agent=source.agent,  # type: ignore[arg-type]
            training=source.training,
            seed=self.seed,
        )
        return self._add("train", config, {})

    def _dataset(self, game: str, view: EnvironmentConfig) -> Job:
        data = self._pipeline.transfer.data
        random = data.policy == "random"
        inputs: Inputs = {} if random else {"train": (self._run(game).key,)}
        env_steps = self._pipeline.source_config.training.env_steps if random else None
        # Of a run, the seed is the run's own.
        seed = self.seed if random else 0
        return self._add("dataset", DatasetConfig(environment=view, data=data, env_steps=env_steps, seed=seed), inputs)

    def _label(self, game: str) -> str:
        source, teacher = self._pipeline.source_config, self._pipeline.transfer.teacher
        view = source.environment.model_copy(update={"game": game})
        dataset = self._dataset(game, view)
        agent = source.agent
        assert isinstance(agent, EfficientZeroConfig)
        num_threads = source.training.num_threads
        if teacher.training == "online":
            taught = self._run(game)
        else:
            teach = TrainTeacherConfig(
                environment=view,
                agent=agent,
                updates=teacher.updates,
                checkpoint_interval=source.training.checkpoint_interval,
                num_threads=num_threads,
                seed=self.seed,
            )
            taught = self._add("teacher", teach, {"dataset": (dataset.key,)})
        config = LabelConfig(environment=view, agent=agent, policy=teacher.policy, num_threads=num_threads, seed=self.seed)
        return self._add("label", config, {"dataset": (dataset.key,), "teacher": (taught.key,)}).key
