"""The settings of transfer: source data, teachers, pretraining, what is loaded, cross-tasks and their weights. No torch here.

Sources: [P] the paper, [C] its released finetuning code, [ours] where neither says (README's table of choices).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xtra.config import Config

Component = Literal["representation", "dynamics", "prediction", "projection"]
"""Parts of a network. CURL's: the encoder is its representation, the value heads its prediction, the contrastive head its
projection."""

COMPONENTS: tuple[Component, ...] = ("representation", "dynamics", "prediction", "projection")

TeacherPolicy = Literal["network", "search"]

LossTerm = Literal["value_prefix", "policy", "value", "consistency"]


class DataConfig(Config):
    """What of a source run becomes an offline dataset."""

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

    method: Literal["none", "distillation", "multi_task", "cloning"] = "none"
    """From teachers ([P]); by each game's own reanalysed targets, as the paper's comparison (for CURL: pooled Q-learning); by
    cloning behaviour; or not at all."""
    updates: int = Field(120_000, ge=1)
    """Optimiser steps. [ours]: 120,000, as many as online: the learning rate falls after 101,000."""
    batch_size: int = Field(256, ge=2)
    """Samples per update, shared evenly by the games. [ours]: 256."""
    cloning_target: Literal["actions", "teacher"] = "actions"
    """What `cloning` imitates: the dataset's actions, or the teachers' policies."""


class StartConfig(Config):
    """What finetuning takes from the pretrained network."""

    components: tuple[Component, ...] = COMPONENTS
    """Parts that are loaded; the rest are initialised anew. [C]: all."""
    frozen: tuple[Component, ...] = ()
    """Parts that stay as they were loaded, their batch-norm statistics included. [C]: none."""


class CrossTaskConfig(Config):
    """Offline tasks in the loss of finetuning."""

    enabled: bool = False
    """Whether batches of the source games' data join every update ([P])."""
    batch_size: int = Field(256, ge=2)
    """Offline samples per update, all tasks together. [C]: 256, as many as of the target."""
    composition: Literal["balanced", "shared_queue"] = "balanced"
    """Every task in every update; or m batches from tasks drawn at random, as in the released code's one queue."""
    loss_normalization: Literal["per_task", "released", "paper_sum"] = "per_task"
    """L(target) + mean of weight x L(task), the target counting as it does from scratch; the mean over all samples, whose divisor
    stays whatever the weights ([C]); or L(target) + sum of weight x L(task) ([P])."""
    forward: Literal["joint", "separate"] = "joint"
    """One pass over the mixed batch, whose statistics batch norm sees ([C]); or one per task."""


class TaskWeightConfig(Config):
    """How much each offline task counts."""

    method: Literal["periodic_similarity", "mean_similarity", "constant"] = "periodic_similarity"
    """Share of measured updates in which a task's gradient points with the target's ([P], [C]); the mean cosine, a negative one
    as 0, with no threshold; or `initial` throughout."""
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


class TransferConfig(Config):
    """Everything between the source games and the target."""

    data: DataConfig = DataConfig()
    """Offline data."""
    teacher: TeacherConfig = TeacherConfig()
    """Teachers."""
    pretraining: PretrainingConfig = PretrainingConfig()
    """The pretrained network."""
    init_from: str | None = None
    """The file of a network that `xtra-bench export` wrote, in place of one pretrained here. Its path is relative to the suite's
    directory; on the command line, to the current one."""
    start: StartConfig = StartConfig()
    """What of it is used."""
    cross_tasks: CrossTaskConfig = CrossTaskConfig()
    """Offline tasks beside the target."""
    task_weights: TaskWeightConfig = TaskWeightConfig()
    """Their weights."""
    zero_shot: bool = False
    """Evaluate the pretrained network on the target as it is, without any training there."""

    @property
    def needs_sources(self) -> bool:
        """Whether source games are read at all."""
        return self.pretraining.method != "none" or self.cross_tasks.enabled


class FinetuningConfig(Config):
    """What training takes from elsewhere. Parts that are not used are null, so that equal jobs are one job."""

    sources: tuple[str, ...] = ()
    """The games of inputs `dataset` and `label`, in their order; empty without cross-tasks."""
    start: StartConfig | None = None
    """What is loaded from input `pretrained`."""
    cross_tasks: CrossTaskConfig | None = None
    """Offline tasks in every update."""
    task_weights: TaskWeightConfig | None = None
    """How much each of them counts."""
    teacher: TeacherConfig | None = None
    """How their labels become targets."""
