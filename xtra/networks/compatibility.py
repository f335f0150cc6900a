"""Compatibility of a network file with a method: the settings that each component's shapes, or its weights' meaning, depend on.

Decided without torch, so that a suite is refused before anything runs; `tests/networks/test_network_file.py` compares the table
with the networks themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.transfer.config import Component

ARCHITECTURES: dict[str, str] = {"efficientzero": "efficientzero", "cloning": "efficientzero", "curl": "curl"}
"""The agent whose kind of network each agent has: EfficientZero can finetune a network that was cloned."""

_LATENT = ("environment.frame_size", "agent.network.num_halvings", "agent.network.channels", "agent.network.latent_scaling")
_HEADS = ("agent.network.head_channels", "agent.network.head_hidden", "agent.network.support")
_ACTIONS = ("agent.network.action_space",)
_FEATURES = ("environment.frame_size", "agent.network.encoder", "agent.network.hidden")

DEPENDS_ON: dict[str, dict[Component, tuple[str, ...]]] = {
    "efficientzero": {
        "representation": (
            "agent.network.frame_stack",
            "agent.network.channels",
            "agent.network.num_halvings",
            "agent.network.blocks_per_stage",
            "agent.network.latent_scaling",
        ),
        "dynamics": (*_LATENT, *_HEADS, *_ACTIONS, "agent.network.lstm_hidden", "agent.network.action_encoding"),
        "prediction": (*_LATENT, *_HEADS, *_ACTIONS),
        "projection": (
            *_LATENT,
            "agent.network.projection_hidden",
            "agent.network.projection_size",
            "agent.network.predictor_hidden",
        ),
    },
    "curl": {
        "representation": ("environment.color", "agent.network.frame_stack", "agent.network.encoder"),
        "prediction": (*_FEATURES, "agent.network.num_atoms", "agent.network.support"),
        "projection": (*_FEATURES, "agent.contrastive.size"),
    },
}
"""The settings that must be equal, by architecture and component."""

BEFORE_IT_EXISTED: dict[str, str] = {"agent.network.action_space": "ale18"}
"""Values of settings that files older than the setting lack: networks of 0.1.0 knew ALE's 18 actions alone."""


def differences(
    exported: Mapping[str, Any], agent: Config, environment: EnvironmentConfig, components: Collection[Component]
) -> list[str]:
    """Returns why components of an exported network cannot be loaded by an agent, one sentence per setting; empty if they can.

    exported: the network's `agent` and `environment`, as JSON data.
    """
    method = {"agent": agent.model_dump(mode="json"), "environment": environment.model_dump(mode="json")}
    names = _setting(exported, "agent.name"), _setting(method, "agent.name")
    architecture = ARCHITECTURES.get(str(names[1]))
    if architecture is None or ARCHITECTURES.get(str(names[0])) != architecture:
        return [f"agent is {names[0]} in the file, {names[1]} in the method"]
    known = DEPENDS_ON[architecture]
    absent = [name for name in components if name not in known]
    if absent:
        return [f"a network of agent {names[1]} has no {', '.join(absent)}; it has {', '.join(known)}"]
    paths = dict.fromkeys(path for name in components for path in known[name])
    pairs = {path: (_setting(exported, path), _setting(method, path)) for path in paths}
    return [f"{path} is {a} in the file, {b} in the method" for path, (a, b) in pairs.items() if a != b]


def _setting(record: Mapping[str, Any], path: str) -> Any:
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return BEFORE_IT_EXISTED.get(path, "missing") if value is None else value
