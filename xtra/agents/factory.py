"""Learners and players made from an agent's configuration. Each agent's module is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from xtra.agents.cloning import CloningPlayer
from xtra.agents.config import IMPORTED_FILE, CloningConfig, RandomConfig
from xtra.agents.curl import agent as curl
from xtra.agents.curl.config import CurlConfig
from xtra.agents.efficientzero.agent import EfficientZeroLearner, EfficientZeroPlayer, make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.copies import inference_copy
from xtra.agents.evaluation import RandomPlayer
from xtra.agents.interface import Learner, Player, TrainingRun
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import ActionSpace

NETWORK_FILE = "network.pt"
"""What every job that trains leaves: the network's `state_dict`."""


def make_learner(config: Config, environment: EnvironmentConfig, run: TrainingRun) -> Learner:
    """Makes an agent at the start of its training. Raises TypeError for an agent that does not learn online."""
    if isinstance(config, EfficientZeroConfig):
        return EfficientZeroLearner(config, environment, run)
    if isinstance(config, CurlConfig):
        return curl.CurlLearner(config, environment, run)
    raise TypeError(f"{type(config).__name__} does not learn online")


def make_player(
    config: Config, environment: EnvironmentConfig, weights: Mapping[str, Tensor] | None, *, seed: int, num_threads: int
) -> Player:
    """Makes an agent that plays greedily. weights: its network's; None for an agent that has none."""
    if isinstance(config, RandomConfig):
        return RandomPlayer(environment.game, seed)
    if weights is None:
        raise ValueError(f"{type(config).__name__} plays by a network, and none was given")
    if isinstance(config, EfficientZeroConfig | CloningConfig):
        space = ActionSpace.of(config.network.action_space, environment.game)
        network = make_network(config.network, environment.frame_size, seed, _device_of(weights), space.size)
        network.load_state_dict(weights)
        if isinstance(config, CloningConfig):
            return CloningPlayer(config, environment, network)
        return EfficientZeroPlayer(config, environment, inference_copy(network, config.precision), num_threads)
    if isinstance(config, CurlConfig):
        curl_network = curl.make_network(config, environment, seed, _device_of(weights))
        curl_network.load_state_dict(weights)
        return curl.CurlPlayer(config, environment, curl_network, seed)
    raise TypeError(f"{type(config).__name__} has no player")


def load_weights(directory: Path, device: torch.device) -> dict[str, Any]:
    """Loads the network that a job left in its output directory."""
    imported = directory / IMPORTED_FILE
    if imported.exists():
        return dict(safetensors.torch.load_file(imported, device=str(device)))
    weights: dict[str, Any] = torch.load(directory / NETWORK_FILE, map_location=device, weights_only=True)
    return weights


def _device_of(weights: Mapping[str, Tensor]) -> torch.device:
    return next(iter(weights.values())).device
