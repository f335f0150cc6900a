"""Presets: named blocks of settings for the size of networks and of learning, and what their jobs ask of a machine.

Pure data; a suite overrides any of it by `set` and `resources`.

A preset never touches a setting that a protocol owns: what is measured does not depend on the size of what is learning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xtra.agents.registry import AGENTS


@dataclass(frozen=True)
class Preset:
    """`settings` holds for every agent; `agents` for one of them, by its name. Paths are those of a method's configuration."""

    name: str
    summary: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What jobs ask for, by stage, where the suite's `resources` does not say. Stages not named here ask for one core."""

    def settings_for(self, agent: str) -> dict[str, Any]:
        """Returns everything this preset sets for a method that uses `agent`."""
        return {**self.settings, **self.agents.get(AGENTS[agent].presets_of or agent, {})}


_CURL = {
    "environment.frame_size": 84,
    "environment.color": "gray",
    # It learns while it collects, and not after.
    "training.final_updates": 0,
}
"""CURL as released; its agent's defaults are the rest."""

_ONE_GPU: dict[str, dict[str, Any]] = {
    **{stage: {"cpus": 4, "gpus": 1, "memory_gb": 24.0, "hours": 6.0} for stage in ("train", "teacher", "pretrain")},
    **{stage: {"cpus": 4, "gpus": 1, "memory_gb": 16.0, "hours": 1.0} for stage in ("label", "evaluate")},
    "dataset": {"cpus": 4, "memory_gb": 16.0, "hours": 1.0},
}
"""For networks of released size; a job that reaches its time limit goes on in another allocation."""

EFFICIENTZERO = Preset(
    name="efficientzero",
    summary="EfficientZero as released: 96x96 frames, 64 channels, one residual block per encoder stage; CURL as released.",
    agents={"curl": _CURL},
    resources=_ONE_GPU,
)

XTRA = Preset(
    name="xtra",
    summary="EfficientZero's network with XTRA's four residual blocks per encoder stage.",
    agents={"efficientzero": {"agent.network.blocks_per_stage": 4}, "curl": _CURL},
    resources=_ONE_GPU,
)

EFFICIENTZERO_V2 = Preset(
    name="efficientzero_v2",
    summary="EfficientZero with V2's choices for Atari: Gumbel search of 16 simulations, 51 bins, mixed value targets.",
    agents={
        # Wang et al. (2024); values from its released configuration for Atari (ez/config/exp/atari.yaml).
        "efficientzero": {
            "agent.search.policy": "gumbel",
            "agent.search.num_simulations": 16,
            "agent.search.max_considered_actions": 4,
            # 51 bins, -25..25 after the scalar transform. Its Atari code builds 601 whatever the configuration's `bins` says.
            "agent.network.support": 25,
            "agent.network.predictor_hidden": 256,
            "agent.targets.value_target": "mixed",
            "agent.targets.mixed_start": 30_000,
            "agent.targets.mixed_recent": 5_000,
            "agent.optimizer.value_weight": 0.5,
            "agent.optimizer.consistency_weight": 5.0,
            # The learning rate stays where its warm-up ends.
            "agent.optimizer.decay_rate": 1.0,
            "agent.replay.priority_exponent": 1.0,
            "agent.replay.importance_exponent_start": 1.0,
        },
        "curl": _CURL,
    },
    resources=_ONE_GPU,
)

SMALL = Preset(
    name="small",
    summary="Atari on a laptop: 48x48 frames, 16 channels, for every other env step an update of 64 samples.",
    settings={
        "environment.frame_size": 48,
        "training.updates_per_env_step": 0.5,
        "training.final_updates": 0,
        "training.curve_interval": 5_000,
        "transfer.pretraining.batch_size": 64,
        "transfer.cross_tasks.batch_size": 64,
    },
    agents={
        "efficientzero": {
            "agent.network.channels": 16,
            "agent.network.num_halvings": 3,
            "agent.network.latent_scaling": "min_max",
            "agent.network.action_encoding": "one_hot_planes",
            "agent.network.head_channels": 8,
            "agent.network.lstm_hidden": 64,
            # Rewards are clipped and discounted by 0.988 a step, so no value is beyond 84, which the transform maps to 8.3.
            "agent.network.support": 15,
            "agent.network.projection_hidden": 128,
            "agent.network.projection_size": 128,
            "agent.network.predictor_hidden": 64,
            "agent.search.policy": "gumbel",
            "agent.search.num_simulations": 16,
            "agent.search.max_considered_actions": 8,
            # Q errs by 0.2 between target networks 100 updates apart: a span of 0.3 made that a policy (docs/learning_atari.md).
            "agent.search.gumbel_min_span": 1.0,
            "agent.search.value_delta_max": 0.3,
            "agent.acting.num_envs": 8,
            "agent.acting.network_update_interval": 50,
            "agent.acting.gumbel_action": "policy",
            "agent.acting.evaluation_action": "policy",
            "agent.targets.reanalysis": "per_period",
            "agent.targets.reanalyze_fraction": 0.5,
            "agent.targets.target_update_interval": 100,
            "agent.optimizer.batch_size": 64,
            "agent.optimizer.method": "adam",
            "agent.optimizer.learning_rate": 0.002,
            "agent.optimizer.value_weight": 0.5,
            "agent.optimizer.warmup_updates": 100,
            "agent.optimizer.unroll_batch_norm": "episode",
            "agent.optimizer.augmentation_shift": 2,
            "agent.replay.min_transitions": 1_000,
        },
        # The published network is small already.
        "curl": {"environment.frame_size": 84, "environment.color": "gray"},
    },
)

TINY = Preset(
    name="tiny",
    summary="Games of about 10x10 pixels: frames as they are, 16 channels, 8 simulations; learns within minutes on one core.",
    settings={
        "environment.frame_size": 10,
        "training.updates_per_env_step": 0.2,
        "training.final_updates": 0,
        "training.curve_interval": 500,
        "training.curve_episodes": 32,
        "transfer.teacher.updates": 800,
        "transfer.pretraining.updates": 2_400,
        "transfer.pretraining.batch_size": 64,
        "transfer.cross_tasks.batch_size": 64,
        "transfer.task_weights.start": 100,
        "transfer.task_weights.interval": 200,
        "transfer.task_weights.window": 20,
    },
    agents={
        "efficientzero": {
            "agent.network.frame_stack": 2,
            "agent.network.channels": 16,
            "agent.network.num_halvings": 1,
            "agent.network.latent_scaling": "min_max",
            "agent.network.action_encoding": "one_hot_planes",
            "agent.network.head_channels": 4,
            "agent.network.head_hidden": 32,
            "agent.network.lstm_hidden": 32,
            "agent.network.support": 10,
            "agent.network.projection_hidden": 64,
            "agent.network.projection_size": 64,
            "agent.network.predictor_hidden": 32,
            "agent.search.num_simulations": 8,
            "agent.acting.num_envs": 32,
            "agent.acting.network_update_interval": 20,
            "agent.targets.target_update_interval": 50,
            "agent.targets.reanalyze_fraction": 0.5,
            "agent.targets.td_steps_decay": 3_000,
            "agent.optimizer.batch_size": 64,
            "agent.optimizer.method": "adam",
            "agent.optimizer.learning_rate": 0.01,
            "agent.optimizer.value_weight": 1.0,
            "agent.optimizer.consistency_weight": 0.5,
            "agent.optimizer.warmup_updates": 50,
            "agent.optimizer.unroll_batch_norm": "episode",
            "agent.optimizer.augmentation": "none",
            "agent.replay.min_transitions": 500,
        },
        "curl": {
            "training.updates_per_env_step": 0.5,
            "agent.network.encoder": "small",
            "agent.network.frame_stack": 2,
            "agent.network.hidden": 64,
            "agent.targets.target_update_interval": 200,
            "agent.optimizer.learning_rate": 0.001,
            "agent.optimizer.augmentation_shift": 1,
            "agent.contrastive.crop_margin": 1,
            "agent.contrastive.padding": 1,
            "agent.replay.min_transitions": 500,
        },
    },
)

FULL = Preset(name="full", summary="The suite as it is written.")

SMOKE = Preset(
    name="smoke",
    summary="Tens of updates of a small network, two short evaluation episodes: shows that a suite runs, not what it measures.",
    settings={
        "training.env_steps": 96,
        "training.final_updates": 0,
        "training.curve_interval": 48,
        "training.curve_episodes": 1,
        "training.checkpoint_interval": 20,
        "evaluation.num_episodes": 2,
        "evaluation.max_episode_env_steps": 50,
        # Also of the episodes that learning curves are measured by, which in some games last for minutes.
        "environment.max_episode_env_steps": 50,
        "transfer.teacher.updates": 20,
        "transfer.pretraining.updates": 20,
        "transfer.pretraining.batch_size": 16,
        "transfer.cross_tasks.batch_size": 16,
        "transfer.task_weights.start": 2,
        "transfer.task_weights.interval": 5,
        "transfer.task_weights.window": 2,
    },
    agents={
        "efficientzero": {
            "agent.network.channels": 8,
            "agent.network.head_channels": 4,
            "agent.network.head_hidden": 8,
            "agent.network.lstm_hidden": 16,
            "agent.network.projection_hidden": 16,
            "agent.network.projection_size": 16,
            "agent.network.predictor_hidden": 16,
            "agent.search.num_simulations": 4,
            "agent.acting.num_envs": 4,
            "agent.optimizer.batch_size": 8,
            "agent.optimizer.warmup_updates": 10,
            "agent.targets.target_update_interval": 10,
            "agent.replay.min_transitions": 32,
        },
        "curl": {
            "agent.network.hidden": 16,
            "agent.acting.num_envs": 4,
            "agent.targets.td_steps": 5,
            "agent.targets.target_update_interval": 10,
            "agent.optimizer.batch_size": 8,
            "agent.replay.min_transitions": 32,
        },
    },
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (EFFICIENTZERO, XTRA, EFFICIENTZERO_V2, SMALL, TINY)}

SIZES: dict[str, Preset] = {size.name: size for size in (FULL, SMOKE)}
"""Settings that a suite's `size` puts over its methods: unlike a preset they shorten what the protocol fixes, and so change the
label."""
