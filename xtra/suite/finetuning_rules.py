"""The demands of a method's settings of finetuning on one another: what would be ignored in silence, or fail after everything
else has run, is refused."""

from __future__ import annotations

import json
from operator import attrgetter

from pydantic import BaseModel

from xtra.agents.registry import AGENTS
from xtra.networks.network_file import ARCHITECTURES, DEPENDS_ON
from xtra.transfer.config import COMPONENTS, Component, LearningRateConfig, StartConfig, TransferConfig

PRETRAINED_POLICY: dict[str, tuple[Component, ...]] = {
    "kickstarting": ("representation", "prediction"),
    "ewc": ("representation", "dynamics", "prediction"),
}
"""Components of what a method of retention measures before the first update: the policy; for EWC also the value, and what the
dynamics make of both."""


def check_components(agent: str, start: StartConfig) -> None:
    """Refuses components that the agent's network does not have, frozen ones that are not loaded, and a network of which nothing
    that it plays by would learn: the projection is for a loss alone."""
    own = components_of(agent)
    if absent := [name for name in start.components if name not in own]:
        raise ValueError(f"transfer.start.components names {', '.join(absent)}; a network of agent {agent} has {', '.join(own)}")
    if fresh := [name for name in start.frozen if name not in start.components]:
        raise ValueError(f"transfer.start.frozen: {', '.join(fresh)} is not loaded (transfer.start.components)")
    if set(start.frozen) >= set(own) - {"projection"}:
        raise ValueError(
            f"transfer.start.frozen is {', '.join(start.frozen)}: nothing that the network plays by is left to learn; "
            "see transfer.zero_shot"
        )


def components_of(agent: str) -> tuple[Component, ...]:
    """Returns the components of an agent's network; of a plugin's agent, any."""
    architecture = ARCHITECTURES.get(agent)
    return COMPONENTS if architecture is None else tuple(DEPENDS_ON[architecture])


def check_untrained(agent: str, transfer: TransferConfig) -> None:
    """Refuses settings of finetuning where a pretrained network is played as it is: whatever they say, it scores the same."""
    reason = "transfer.zero_shot is true" if transfer.zero_shot else f"agent {agent} is never trained"
    for path in ("retention.method", *_leaves("start", StartConfig), *_leaves("learning_rates", LearningRateConfig)):
        value = json.dumps(attrgetter(path)(transfer))
        default = json.dumps(AGENTS[agent].defaults.get(f"transfer.{path}", attrgetter(path)(TransferConfig())))
        if value != default:
            raise ValueError(
                f"transfer.{path} is {value}, but {reason}: the pretrained network is played as it is, so it must be {default}"
            )


def check_retention(transfer: TransferConfig) -> None:
    """Refuses a penalty that would hold to what nobody has learned. Last layers of fresh heads are 0: their policy is uniform,
    and no gradient passes below them, so that all Fisher information there is 0."""
    method, start = transfer.retention.method, transfer.start
    needed = PRETRAINED_POLICY.get(method)
    if needed is None:
        return
    if method == "ewc" and transfer.pretraining.method == "cloning":
        raise ValueError(
            "transfer.retention.method is ewc, which measures what dynamics and values know, but transfer.pretraining.method is "
            "cloning, which teaches them nothing: kickstarting holds the cloned policy"
        )
    settings = {
        "components": (", ".join(start.components), not set(needed) <= set(start.components), f"at least {', '.join(needed)}"),
        "reset_heads": ("true", start.reset_heads, "false"),
        "retained": (f"{start.retained:g}", start.retained == 0.0, "more than 0"),
    }
    for name, (value, is_wrong, valid) in settings.items():
        if is_wrong:
            raise ValueError(
                f"transfer.start.{name} is {value}, but transfer.retention.method is {method}, which measures pretrained heads: "
                f"it needs {valid}; l2_sp holds whatever is loaded"
            )


def _leaves(block: str, config: type[BaseModel]) -> list[str]:
    return [f"{block}.{name}" for name in config.model_fields]
