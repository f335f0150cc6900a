"""Whether a network from elsewhere fits a method: which of its parts depend on which settings, for shape or for meaning.

Known without torch, so that a suite is refused before anything runs; `tests/transfer/test_exchange.py` holds it against the
networks themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.transfer.config import Component

KINDS: dict[str, str] = {"efficientzero": "efficientzero", "cloning": "efficientzero", "curl": "curl"}
"""Agents by whose network they have: what is cloned can be finetuned by EfficientZero."""

_LATENT = ("environment.frame_size", "agent.network.num_halvings", "agent.network.channels", "agent.network.latent_scaling")
_HEADS = ("agent.network.head_channels", "agent.network.head_hidden", "agent.network.support")
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
        "dynamics": (*_LATENT, *_HEADS, "agent.network.lstm_hidden", "agent.network.action_encoding"),
        "prediction": (*_LATENT, *_HEADS),
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
"""The settings that must be equal, by kind of network and part."""


def differences(
    theirs: Mapping[str, Any], agent: Config, environment: EnvironmentConfig, components: Collection[Component]
) -> list[str]:
    """Why the named parts of a network cannot be loaded into an agent's, one sentence per setting; empty when they can.

    theirs: `agent` and `environment` of the network, as JSON data.
    """
    ours = {"agent": agent.model_dump(mode="json"), "environment": environment.model_dump(mode="json")}
    names = _at(theirs, "agent.name"), _at(ours, "agent.name")
    kind = KINDS.get(str(names[1]))
    if kind is None or KINDS.get(str(names[0])) != kind:
        return [f"agent is {names[0]} in the file, {names[1]} in the method"]
    parts = DEPENDS_ON[kind]
    missing = [name for name in components if name not in parts]
    if missing:
        return [f"a network of agent {names[1]} has no {', '.join(missing)}; it has {', '.join(parts)}"]
    paths = dict.fromkeys(path for name in components for path in parts[name])
    pairs = {path: (_at(theirs, path), _at(ours, path)) for path in paths}
    return [f"{path} is {a} in the file, {b} in the method" for path, (a, b) in pairs.items() if a != b]


def _at(record: Mapping[str, Any], path: str) -> Any:
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return "missing" if value is None else value
