"""Makes learners and players from an agent's configuration. Each agent's module is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from xtra.agents.config import IMPORTED_FILE
from xtra.agents.interface import Learner, Player, TrainingRun
from xtra.agents.registry import AGENTS, AgentConfig
from xtra.envs.config import EnvironmentConfig
from xtra.registry import load_object

NETWORK_FILE = "network.pt"
"""The file of the network's `state_dict`, which every job that trains leaves."""


def make_learner(config: AgentConfig, environment: EnvironmentConfig, run: TrainingRun) -> Learner:
    """Makes an agent at the start of its training. Raises TypeError for an agent that does not learn online."""
    agent = AGENTS[config.name]
    if agent.learner is None:
        raise TypeError(f"agent {agent.name} does not learn online")
    learner: Learner = load_object(agent.learner)(config, environment, run)
    return learner


def make_player(
    config: AgentConfig, environment: EnvironmentConfig, weights: Mapping[str, Tensor] | None, *, seed: int, num_threads: int
) -> Player:
    """Makes an agent that plays greedily. weights: its network's; None for an agent that has none."""
    agent = AGENTS[config.name]
    if weights is None and agent.has_network:
        raise ValueError(f"agent {agent.name} plays by a network, and none was given")
    player: Player = load_object(agent.player)(config, environment, weights, seed=seed, num_threads=num_threads)
    return player


def load_weights(directory: Path, device: torch.device) -> dict[str, Any]:
    """Loads the network that a job left in its output directory."""
    imported = directory / IMPORTED_FILE
    if imported.exists():
        return dict(safetensors.torch.load_file(imported, device=str(device)))
    weights: dict[str, Any] = torch.load(directory / NETWORK_FILE, map_location=device, weights_only=True)
    return weights
