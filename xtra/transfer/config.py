"""The settings of transfer, by the question they answer: where source data come from, how a network is pretrained, what
finetuning starts from, what is mixed in, how it is weighed, what is held back. No torch here.

Sources of the values: [P] Xu et al., 2023; [C] its released finetuning code; [ours] where neither says (docs/fidelity.md).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xtra.config import ChosenBy, Config, NameIn
from xtra.transfer.registry import PRETRAINING, STARTS, TASK_WEIGHTS, PretrainingObjective, StartProcedure, TaskWeighting

Component = Literal["representation", "dynamics", "prediction", "projection"]
"""Parts of a network. CURL's: the encoder is its representation, the value heads its prediction, the contrastive head its
projection."""

COMPONENTS: tuple[Component, ...] = ("representation", "dynamics", "prediction", "projection")

TeacherPolicy = Literal["network", "search"]

LossTerm = Literal["value_prefix", "policy", "value", "consistency"]


Predictor = Literal[
    "zero_shot_return",
    "value_prefix_fit.1",
    "value_prefix_fit.2",
    "value_prefix_fit.3",
    "value_prefix_fit.4",
    "value_prefix_fit.5",
    "consistency_fit.1",
    "consistency_fit.2",
    "consistency_fit.3",
    "consistency_fit.4",
    "consistency_fit.5",
    "gradient_cosine.representation",
    "gradient_cosine.dynamics",
    "gradient_cosine.prediction",
    "gradient_cosine.projection",
    "reward_probe",
    "action_probe",
    "logme",
    "cka",
    "picture_similarity",
    "action_overlap",
]
"""Predictors of transfer; `xtra.stages.probe` tells how each is measured. The number after a fit is the unroll step."""


class DataConfig(Config):
    """The part of a source run that becomes an offline dataset."""

    policy: Literal["agent", "random"] = "agent"
    """Who played: the source method's run ([P]), or a random policy, as a control."""
    part: Literal["all", "early", "late"] = "all"
    """Which trajectories, by age: a whole run from random to final play ([C]), its beginning, or its end."""
    transitions: int | None = Field(None, ge=100)
    """Transitions per game, in whole trajectories; null for all there are. With `part: all` they are spread over the run."""


class TeacherConfig(Config):
    """The single-game networks whose predictions are distilled."""

    training: Literal["offline", "online"] = "offline"
    """An EfficientZero trained on the dataset alone ([P]), or the very network that collected it."""
    updates: int = Field(120_000, ge=0)
    """Optimiser steps of offline training; 0 leaves a random network, as a control. [ours]: 120,000, as many as online: the
    learning rate falls after 101,000."""
    policy: TeacherPolicy = "network"
    """What is stored as the teacher's policy: the network's ([P]: "predictions"), or the visits of a search ([C]: the array's
    name)."""
    value_target: Literal["n_step_teacher", "teacher", "released"] = "n_step_teacher"
    """The value target of offline data: 5 rewards and the teacher's discounted value after them; the teacher's value of the
    state; or 5 rewards plus the undiscounted value of the state itself, as the released code reads literally."""


class PretrainingConfig(Config):
    """The multi-task network that finetuning starts from."""

    method: Annotated[str, NameIn(PRETRAINING, ("none",))] = "none"
    """From teachers ([P]); by each game's own reanalysed targets, as the paper's comparison (for CURL: pooled Q-learning); by
    cloning behaviour; or not at all."""
    updates: int = Field(120_000, ge=1)
    """Optimiser steps. [ours]: 120,000, as many as online: the learning rate falls after 101,000."""
    batch_size: int = Field(256, ge=2)
    """Samples per update, shared evenly by the games. [ours]: 256."""
    cloning_target: Literal["actions", "teacher"] = "actions"
    """What `cloning` imitates: the dataset's actions, or the teachers' policies."""


class StartConfig(Config):
    """The weights that finetuning starts from."""

    added_later = (("method", "pretrained"),)

    method: Annotated[str, NameIn(STARTS)] = "pretrained"
    """How the weights are made: from the pretrained ones, whole, shrunk or with fresh heads, as the fields below say; or by what
    a plugin registers."""
    components: tuple[Component, ...] = Field(COMPONENTS, min_length=1)
    """Components that are loaded; the others are initialised anew. [C]: all."""
    frozen: tuple[Component, ...] = ()
    """Components that stay as they were loaded, their batch-norm statistics included. [C]: none."""
    retained: float = Field(1.0, ge=0.0, le=1.0)
    """Shrink and perturb: weights start as this x pretrained + (1 - this) x freshly initialised (Ash & Adams, 2020, in the form
    of D'Oro et al., 2023). [C]: 1."""
    reset_heads: bool = False
    """Whether policy, value and value-prefix heads are initialised anew, behind what is loaded (Nikishin et al., 2022).
    [C]: no."""
    batch_norm: Literal["pretrained", "target"] = "pretrained"
    """Batch-norm statistics at the first update: those loaded ([C]), or averages over batches of the target's own frames
    (Schneider et al., 2020)."""

    @model_validator(mode="after")
    def _frozen_heads_are_not_reset(self) -> Self:
        if self.reset_heads and (frozen := [name for name in ("dynamics", "prediction") if name in self.frozen]):
            raise ValueError(f"start.reset_heads is true, and {', '.join(frozen)} frozen: heads drawn anew would never learn")
        return self


class LearningRateConfig(Config):
    """Each component's learning rate in finetuning, as a multiple of `agent.optimizer.learning_rate`. [C]: 1 for all; smaller
    ones for what is transferred: Howard & Ruder, 2018."""

    representation: float = Field(1.0, ge=0.0)
    """Multiple for the representation."""
    dynamics: float = Field(1.0, ge=0.0)
    """Multiple for the dynamics, its value-prefix head included."""
    prediction: float = Field(1.0, ge=0.0)
    """Multiple for the prediction."""
    projection: float = Field(1.0, ge=0.0)
    """Multiple for the projection."""


class CrossTaskConfig(Config):
    """Cross-tasks: offline tasks mixed into the loss of finetuning."""

    enabled: bool = False
    """Whether offline batches join every update ([P])."""
    filled_by: Literal["sources", "target"] = "sources"
    """Whose data those batches hold: the source games' ([P]); or, as a control of equal compute, the target's own replay."""
    batch_size: int = Field(256, ge=2)
    """Offline samples per update, all tasks together. [C]: 256, as many as of the target."""
    composition: Literal["balanced", "shared_queue"] = "balanced"
    """Every task in every update; or m batches from tasks drawn at random, as in the released code's one queue."""
    final_share: float = Field(1.0, ge=0.0, le=1.0)
    """Share of `batch_size` that is left after `anneal_updates`. [P]: 1, no annealing."""
    anneal_updates: int = Field(100_000, ge=1)
    """Updates over which the share falls from 1 to `final_share`, in eight equal steps. Every sample counts as before; with
    `loss_normalization: released`, whose divisor falls with the number of samples, more than before. [ours]."""
    loss_normalization: Literal["per_task", "released", "paper_sum"] = "per_task"
    """L(target) + mean of weight x L(task), the target counting as it does from scratch; the mean over all samples, whose divisor
    stays whatever the weights ([C]); or L(target) + sum of weight x L(task) ([P])."""
    forward: Literal["joint", "separate"] = "joint"
    """One pass over the mixed batch, whose statistics batch norm sees ([C]); or one per task, whose statistics differ from the
    running ones that play uses, averaged over tasks: far worse in suite `catch_harm`."""

    @property
    def batch_sizes(self) -> set[int]:
        """Every size that the mixed batch has while its share falls, 0 among them where nothing is left."""
        first_updates = [-(-step * self.anneal_updates // 8) for step in range(9)]
        return {round(self.batch_size * self.share(update)) for update in first_updates}

    def share(self, update: int) -> float:
        """Returns the share of `batch_size` in update number `update` (from 0)."""
        step = min(8, 8 * update // self.anneal_updates)
        return 1.0 + (self.final_share - 1.0) * step / 8


class TaskWeightConfig(Config):
    """Weights of the cross-tasks in the loss."""

    method: Annotated[str, NameIn(TASK_WEIGHTS)] = "periodic_similarity"
    """Share of measured updates in which a task's gradient points with the target's ([P], [C]); the mean cosine, a negative one
    as 0, with no threshold; or `initial` for all tasks throughout: unitary scalarisation (Kurin et al., 2022), the headline
    control."""
    initial: float = Field(1.0, ge=0.0)
    """Weight until the first measurement ends. [C]: 1."""
    start: int = Field(10_000, ge=0)
    """Update at which the first measuring window opens. [C]: 10,000."""
    interval: int = Field(5_000, ge=1)
    """Updates between openings. [C]: 5,000."""
    window: int = Field(500, ge=1)
    """Updates measured in each. [C]: 500."""
    threshold: float = Field(0.1, ge=-1.0, le=1.0)
    """A gradient counts as similar when its cosine is above this. [C]: 0.1."""
    smoothing: bool = True
    """(1 + hits) / (1 + trials), rounded to 2 decimals ([C]); else hits / trials."""
    gradient_clamp: float = Field(5.0, gt=0.0)
    """Each element of a gradient is clamped to this before cosines are taken. [C]: 5."""
    terms: tuple[LossTerm, ...] = Field(("value_prefix", "policy", "value", "consistency"), min_length=1)
    """Loss terms whose gradient is measured. [C]: all."""


class RetentionConfig(Config):
    """Means against forgetting that need no source data in the updates."""

    method: Literal["none", "l2_sp", "ewc", "kickstarting"] = "none"
    """No penalty ([P]); the distance to the loaded weights (L2-SP: Li et al., 2018); the same weighted by the sources' diagonal
    Fisher information (EWC: Kirkpatrick et al., 2017); or the divergence from the pretrained policy on the target's observations
    (kickstarting: Schmitt et al., 2018; in finetuning: Wolczyk et al., 2024). The last two need the pretrained heads, loaded and
    not reset."""
    strength: float = Field(0.01, ge=0.0)
    """Factor of the penalty in the loss at the first update. [ours]: each method needs its own."""
    decay: float = Field(1.0, gt=0.0, le=1.0)
    """Factor of the strength from one update to the next. [ours]: 1; kickstarting is usually annealed."""
    fisher_samples: int = Field(256, ge=1)
    """Transitions of each source game that EWC's Fisher information is averaged over, once before training. [ours]."""


class ProbesConfig(Config):
    """Probes: what is measured of a pretrained network on the target before it is finetuned, to foretell how well it will
    transfer."""

    predictors: tuple[Predictor, ...] = ()
    """Measured for every pair of a source and a target; empty for none. Written down before the runs, since each is tested."""
    env_steps: int = Field(1_000, ge=100)
    """Env steps of random play on the target that they are measured on. [ours]."""
    transitions: int = Field(512, ge=16)
    """Transitions of either game that measures of pictures, latents and the model's fit read, spread evenly. [ours]."""
    episodes: int = Field(8, ge=1)
    """Games that the network plays for its zero-shot return. [ours]."""
    episode_env_steps: int = Field(1_000, ge=1)
    """Env steps after which these are cut. [ours]."""


DISTILLATION = PretrainingObjective(
    name="distillation",
    config=PretrainingConfig,
    factories={"efficientzero": "xtra.transfer.student:make_distilled_student"},
    follows_teacher=lambda config: True,
)
MULTI_TASK = PretrainingObjective(
    name="multi_task",
    config=PretrainingConfig,
    factories={
        "efficientzero": "xtra.transfer.student:make_multi_task_student",
        "curl": "xtra.transfer.pooled_curl:make_pooled_curl",
    },
)
CLONING = PretrainingObjective(
    name="cloning",
    config=PretrainingConfig,
    # What is cloned does not depend on how it is finetuned: EfficientZero's jobs are those of agent `cloning`.
    factories=dict.fromkeys(("efficientzero", "cloning"), "xtra.transfer.behaviour_cloning:make_behaviour_cloning"),
    follows_teacher=lambda config: config.cloning_target == "teacher",
)
PRETRAINED = StartProcedure("pretrained", StartConfig, "xtra.transfer.start:starting_weights")
PERIODIC_SIMILARITY = TaskWeighting("periodic_similarity", TaskWeightConfig, "xtra.transfer.task_weights:PeriodicSimilarity")
MEAN_SIMILARITY = TaskWeighting("mean_similarity", TaskWeightConfig, "xtra.transfer.task_weights:MeanSimilarity")
UNIFORM = TaskWeighting("uniform", TaskWeightConfig, "xtra.transfer.task_weights:UniformWeights")

AnyPretrainingConfig = Annotated[PretrainingConfig, ChosenBy(PRETRAINING, "method")]
AnyStartConfig = Annotated[StartConfig, ChosenBy(STARTS, "method")]
AnyTaskWeightConfig = Annotated[TaskWeightConfig, ChosenBy(TASK_WEIGHTS, "method")]
"""The settings of whatever their `method` names."""


class TransferConfig(Config):
    """Everything between the source games and the target."""

    data: DataConfig = DataConfig()
    """Offline data."""
    teacher: TeacherConfig = TeacherConfig()
    """Teachers."""
    pretraining: AnyPretrainingConfig = Field(default_factory=PretrainingConfig)
    """The pretrained network."""
    init_from: str | None = None
    """The file of a network that `xtra-bench export` wrote, in place of one pretrained here. Its path is relative to the suite's
    directory; on the command line, to the current one."""
    start: AnyStartConfig = Field(default_factory=StartConfig)
    """The parts of it that finetuning starts from."""
    learning_rates: LearningRateConfig = LearningRateConfig()
    """Learning rate of each component."""
    cross_tasks: CrossTaskConfig = CrossTaskConfig()
    """Offline tasks beside the target."""
    task_weights: AnyTaskWeightConfig = Field(default_factory=TaskWeightConfig)
    """Their weights."""
    retention: RetentionConfig = RetentionConfig()
    """Penalties on forgetting."""
    probes: ProbesConfig = ProbesConfig()
    """Predictors of transfer, which change nothing that is trained."""
    zero_shot: bool = False
    """Evaluate the pretrained network on the target as it is, without any training there; `start`, `learning_rates` and
    `retention` must be left as they are by default."""

    @property
    def is_pretrained(self) -> bool:
        """True if there is a pretrained network, made here or from a file."""
        return self.init_from is not None or self.pretraining.method != "none"

    @property
    def crosses_sources(self) -> bool:
        """True if the source games' labelled data are in the loss of finetuning."""
        return self.cross_tasks.enabled and self.cross_tasks.filled_by == "sources"

    @property
    def needs_sources(self) -> bool:
        """True if any source game's data are read."""
        return self.pretraining.method != "none" or self.crosses_sources or self.retention.method == "ewc"


class FinetuningConfig(Config):
    """The parts that training takes from elsewhere. Those that are not used are null, so that equal jobs are one job."""

    sources: tuple[str, ...] = ()
    """The games of inputs `dataset` and `label`, in their order; empty where neither is read."""
    start: AnyStartConfig | None = None
    """The parts of input `pretrained` that are loaded."""
    learning_rates: LearningRateConfig | None = None
    """Learning rate of each component; null for one rate."""
    cross_tasks: CrossTaskConfig | None = None
    """The batches mixed into every update."""
    task_weights: AnyTaskWeightConfig | None = None
    """How these are weighed."""
    teacher: TeacherConfig | None = None
    """How labels become targets."""
    retention: RetentionConfig | None = None
    """The penalty on forgetting."""
