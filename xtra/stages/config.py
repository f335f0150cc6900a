"""The configurations of the stages: each job's, except for its seed and its inputs. No torch here."""

from __future__ import annotations

from pydantic import Field

from xtra.agents.config import AnyAgentConfig, AnyLearningAgentConfig
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.transfer.config import AnyPretrainingConfig, DataConfig, FinetuningConfig, ProbesConfig, TeacherConfig, TeacherPolicy


class TrainingConfig(Config):
    """Length of a run, and what it leaves on the way."""

    env_steps: int = Field(100_000, ge=1)
    """Decisions of the agent on the target game. Atari 100k: 100,000."""
    updates_per_env_step: float = Field(1.0, gt=0.0)
    """Optimiser steps per env step, once updates have begun. EfficientZero: 1."""
    final_updates: int = Field(120_000, ge=0)
    """After the last env step, updates go on until this many have been made. EfficientZero: 120,000; 0 for none."""
    curve_interval: int = Field(10_000, ge=1)
    """Env steps between the evaluations that make the learning curve. EfficientZero: every 10,000."""
    curve_episodes: int = Field(8, ge=0)
    """Episodes of each of them; 0 for no curve."""
    checkpoint_interval: int = Field(2_000, ge=1)
    """Updates between checkpoints."""
    num_threads: int = Field(1, ge=1)
    """Intra-op threads of torch. Part of the configuration, because results depend on it."""


class EvaluationConfig(Config):
    """Scoring of a trained agent."""

    num_episodes: int = Field(32, ge=1)
    """Whole games, played greedily in one batch. EfficientZero and XTRA: 32."""
    max_episode_env_steps: int = Field(27_000, ge=1)
    """Games are cut after this many env steps. EfficientZero and XTRA: 27,000 (108,000 frames)."""
    num_threads: int = Field(1, ge=1)
    """Intra-op threads of torch."""


class TrainConfig(Config):
    """Stage `train`: learns one game online, from scratch or from what transfer brings."""

    environment: EnvironmentConfig
    """The target game."""
    agent: AnyLearningAgentConfig
    """The agent that learns."""
    training: TrainingConfig
    """Budget and intervals."""
    finetuning: FinetuningConfig | None = None
    """Transfer; null for a run from scratch."""
    seed: int = Field(ge=0)
    """Seed of every random stream of the run."""


class EvaluateConfig(Config):
    """Stage `evaluate`: scores the network of input `network`, or an agent that needs none."""

    environment: EnvironmentConfig
    """The game."""
    agent: AnyAgentConfig
    """The agent."""
    evaluation: EvaluationConfig
    """Episodes and caps."""
    seed: int = Field(ge=0)
    """Seed of the episodes' starts (and of an agent that acts at random)."""


class DatasetConfig(Config):
    """Stage `dataset`: offline data of one game from the finished run that is input `train`, or from random play."""

    environment: EnvironmentConfig
    """The game, in the view that the data's reader needs: another than the run's is rendered by exact replay."""
    data: DataConfig
    """The choice of trajectories."""
    env_steps: int | None = Field(None, ge=1)
    """Env steps of random play; null where a run is the source."""
    seed: int = Field(ge=0)
    """Seed of random play, and of nothing else."""


class TrainTeacherConfig(Config):
    """Stage `teacher`: an EfficientZero trained on the data of input `dataset` alone."""

    environment: EnvironmentConfig
    """The game."""
    agent: EfficientZeroConfig
    """The agent; what it says of acting is unused."""
    updates: int = Field(ge=0)
    """Optimiser steps; 0 for a random network."""
    checkpoint_interval: int = Field(ge=1)
    """Updates between checkpoints."""
    num_threads: int = Field(ge=1)
    """Intra-op threads of torch."""
    seed: int = Field(ge=0)
    """Seed of every random stream."""


class LabelConfig(Config):
    """Stage `label`: the policy and the value that the network of input `teacher` gives each observation of input `dataset`."""

    environment: EnvironmentConfig
    """The game."""
    agent: EfficientZeroConfig
    """The teacher's agent."""
    policy: TeacherPolicy
    """See `transfer.teacher.policy`."""
    num_threads: int = Field(ge=1)
    """Intra-op threads of torch."""
    seed: int = Field(ge=0)
    """Seed of the search, if one is made."""


class PretrainConfig(Config):
    """Stage `pretrain`: one network for all source games."""

    games: tuple[str, ...] = Field(min_length=1)
    """The games of inputs `dataset` and, where teachers are followed, `label`, in their order."""
    environment: EnvironmentConfig
    """Their common view; it names no game."""
    agent: AnyAgentConfig
    """The agent whose network it is."""
    pretraining: AnyPretrainingConfig
    """Method and length."""
    teacher: TeacherConfig | None
    """How labels become targets; null where no teacher is followed."""
    evaluation: EvaluationConfig
    """How its play on each of its own games is scored in the end."""
    checkpoint_interval: int = Field(ge=1)
    """Updates between checkpoints."""
    num_threads: int = Field(ge=1)
    """Intra-op threads of torch."""
    seed: int = Field(ge=0)
    """Seed of every random stream."""


class ProbeConfig(Config):
    """Stage `probe`: measurements that may foretell how well the network of input `pretrained` will transfer to one game."""

    environment: EnvironmentConfig
    """The target game, of which input `target` holds random play."""
    games: tuple[str, ...] = Field(min_length=1, max_length=1)
    """The one game that the network was pretrained on, whose data are input `dataset`."""
    agent: EfficientZeroConfig
    """The agent whose network it is."""
    probes: ProbesConfig
    """Predictors, and what they are measured on."""
    num_threads: int = Field(ge=1)
    """Intra-op threads of torch."""
    seed: int = Field(ge=0)
    """Seed of the network's play and of the batch whose gradients are compared."""
