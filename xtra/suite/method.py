"""The configuration that dotted paths address, and how a method's is put together from its layers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self, cast

from pydantic import BaseModel, model_validator
from pydantic.fields import FieldInfo

from xtra.agents.config import AnyAgentConfig
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.registry import AGENTS, LearningAgentConfig
from xtra.config import ChosenBy, Config
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.families import PROTOCOLS
from xtra.registry import forgotten_at_registration
from xtra.stages.config import EvaluationConfig, TrainingConfig
from xtra.suite.finetuning_rules import check_components, check_retention, check_untrained
from xtra.suite.presets import PRESETS, SIZES
from xtra.suite.spec import MethodSpec, SuiteSpec
from xtra.transfer.config import LearningRateConfig, TransferConfig
from xtra.transfer.registry import PRETRAINING

DEFAULT_AGENT = "efficientzero"

RESERVED = {
    "environment.game": "games are named by the suite's `targets`",
    "agent.name": "the agent is named by the method's `agent`",
}
"""Paths that no `set` may address, and what to use instead."""


class MethodConfig(Config):
    """The complete configuration of a method, except for its game and its seed."""

    environment: EnvironmentConfig = EnvironmentConfig()
    """How the game is shown to the agent and cut into episodes."""
    agent: AnyAgentConfig = EfficientZeroConfig()
    """The agent and all its constants."""
    training: TrainingConfig = TrainingConfig()
    """Budget and intervals of training."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Episodes and caps of the final evaluation."""

    transfer: TransferConfig = TransferConfig()
    """What comes from the source games, if anything does."""

    @model_validator(mode="after")
    def _replay_holds_a_window(self) -> Self:
        """Refuses a run or a replay that is too short for one sample: a transition is sampled once the steps its targets look at
        are there."""
        if not self.learns_online:
            return self
        agent = cast("LearningAgentConfig", self.agent)
        num_envs = agent.acting.num_envs
        num_needed = num_envs * (agent.window + 1)
        settings = {"training.env_steps": self.training.env_steps, "agent.replay.capacity": agent.replay.capacity}
        for path, value in settings.items():
            if value < num_needed:
                raise ValueError(
                    f"{path} is {value}, but {num_envs} environments need {num_needed} transitions before the first update: "
                    f"agent.acting.num_envs x (the {agent.window} steps that targets look at + 1)"
                )
        return self

    @model_validator(mode="after")
    def _batches_are_not_drawn_across_rows(self) -> Self:
        """Refuses batches drawn ahead of env steps: those left when the next row comes would be drawn again."""
        at_once = self.agent.targets.batches_at_once if isinstance(self.agent, EfficientZeroConfig) else 1
        if at_once > 1 and self.learns_online:
            num_envs, rate = cast("LearningAgentConfig", self.agent).acting.num_envs, self.training.updates_per_env_step
            if at_once > num_envs * rate:
                raise ValueError(
                    f"agent.targets.batches_at_once is {at_once}, but {num_envs * rate:g} updates are made between two rows: "
                    f"agent.acting.num_envs ({num_envs}) x training.updates_per_env_step ({rate:g})"
                )
        return self

    @model_validator(mode="after")
    def _view_fits_the_agent(self) -> Self:
        """Refuses frames that the agent's network does not take."""
        self.agent.check_view(self.environment)
        return self

    @model_validator(mode="after")
    def _transfer_fits_the_agent(self) -> Self:
        """Refuses transfer that the agent cannot do: not every one can be pretrained in every way."""
        method, name = self.transfer.pretraining.method, self.agent.name
        if self.transfer.init_from is not None:
            self._check_imported()
        elif method not in pretraining_methods(name):
            taken = ", ".join(pretraining_methods(name))
            raise ValueError(f"transfer.pretraining.method is {method}; agent {name} takes {taken}")
        if self.transfer.cross_tasks.enabled and name != "efficientzero":
            raise ValueError(f"transfer.cross_tasks.enabled is true; agent {name} has no cross-tasks, efficientzero has")
        if self.transfer.zero_shot and not self.transfer.is_pretrained:
            raise ValueError("transfer.zero_shot is true, but transfer.pretraining.method is none: there is nothing to evaluate")
        if self.transfer.zero_shot and self.transfer.cross_tasks.enabled:
            raise ValueError("transfer.zero_shot is true: nothing is trained on the target, so cross_tasks must not be enabled")
        return self

    def _check_imported(self) -> None:
        """Refuses a network both from a file and from pretraining here, and one for an agent that has none."""
        method = self.transfer.pretraining.method
        if method != "none":
            raise ValueError(
                f"transfer.init_from names a network, and transfer.pretraining.method is {method}, which makes another: "
                "one of them must be none"
            )
        if not AGENTS[self.agent.name].has_network:
            raise ValueError(f"transfer.init_from names a network; agent {self.agent.name} has none")

    @model_validator(mode="after")
    def _parts_of_transfer_fit(self) -> Self:
        """Refuses settings that would be ignored in silence, or fail after everything else has run."""
        start, weights = self.transfer.start, self.transfer.task_weights
        if start.frozen and not self.transfer.is_pretrained:
            raise ValueError("transfer.start.frozen names components, but nothing is pretrained that could stay as it is")
        self._check_what_pretraining_alone_allows()
        if self.transfer.is_pretrained and not self.learns_online:
            check_untrained(self.agent.name, self.transfer)
        elif self.transfer.is_pretrained:
            check_components(self.agent.name, start)
            check_retention(self.transfer)
        transferred = self.transfer.needs_sources or self.transfer.init_from is not None
        if transferred and isinstance(self.agent, EfficientZeroConfig) and self.agent.network.action_space != "ale18":
            raise ValueError(
                f"agent.network.action_space is {self.agent.network.action_space}; games that share a network need ale18"
            )
        if weights.window > weights.interval:
            raise ValueError(f"transfer.task_weights.window is {weights.window}, longer than its interval of {weights.interval}")
        return self

    @model_validator(mode="after")
    def _probes_fit_the_agent(self) -> Self:
        """Refuses predictors beyond the model's training: it is unrolled as far as it is trained, and no further."""
        if isinstance(self.agent, EfficientZeroConfig):
            trained = self.agent.targets.num_unroll_steps
            steps = [int(name.partition(".")[2]) for name in self.transfer.probes.predictors if "_fit." in name]
            if max(steps, default=0) > trained:
                raise ValueError(
                    f"transfer.probes.predictors names unroll step {max(steps)}; agent.targets.num_unroll_steps is {trained}"
                )
        return self

    def _check_what_pretraining_alone_allows(self) -> None:
        """Refuses settings that would change nothing without a pretrained network, or with an agent that does not read them."""
        transfer = self.transfer
        used = {
            "transfer.start.retained": transfer.start.retained < 1.0,
            "transfer.start.reset_heads": transfer.start.reset_heads,
            "transfer.start.batch_norm": transfer.start.batch_norm != "pretrained",
            "transfer.retention.method": transfer.retention.method != "none",
            "transfer.probes.predictors": bool(transfer.probes.predictors),
            "transfer.learning_rates": transfer.learning_rates != LearningRateConfig(),
        }
        if transfer.probes.predictors and transfer.init_from is not None:
            raise ValueError("transfer.probes.predictors is set; of a network from a file the source game's data are not known")
        for path, is_used in used.items():
            if is_used and not transfer.is_pretrained and path != "transfer.learning_rates":
                raise ValueError(f"{path} is set, but nothing is pretrained that it could change")
            if is_used and self.agent.name != "efficientzero" and path != "transfer.start.retained":
                raise ValueError(f"{path} is set; agent {self.agent.name} does not read it, efficientzero does")

    @property
    def learns_online(self) -> bool:
        """True if the target is trained on; else a pretrained network, or none, is evaluated."""
        return AGENTS[self.agent.name].learner is not None and not self.transfer.zero_shot


def pretraining_methods(agent: str) -> tuple[str, ...]:
    """Returns the ways in which an agent's network can be pretrained; one that has a network and never learns online must be."""
    registered = AGENTS[agent]
    untrained = () if registered.has_network and registered.learner is None else ("none",)
    return (*untrained, *(name for name, objective in PRETRAINING.items() if agent in objective.factories))


@dataclass(frozen=True)
class Leaf:
    """A setting: its field, the class that has it, and, where that is the configuration of something that a name chooses, the
    path of that name and the names that choose it."""

    info: FieldInfo
    owner: type[BaseModel]
    chosen_by: str = ""
    names: frozenset[str] = frozenset()


@cache
def leaves(agent: str) -> Mapping[str, Leaf]:
    """Returns the settings of a method that uses `agent`, by dotted path; of registered ways of transfer, those that any of them
    has."""
    fields: dict[str, Leaf] = {}
    for name, info in MethodConfig.model_fields.items():
        block = AGENTS[agent].config if name == "agent" else cast("type[BaseModel]", info.annotation)
        fields |= dict(_walk(block, name))
    return {path: leaf for path, leaf in fields.items() if path not in RESERVED}


forgotten_at_registration(leaves.cache_clear)


def leaf_schemas(agent: str) -> dict[str, Any]:
    """Returns the JSON Schema of each of those fields, by dotted path."""
    owners = {leaf.owner for leaf in leaves(agent).values()}
    schemas = {owner: owner.model_json_schema()["properties"] for owner in owners}
    return {path: schemas[leaf.owner][path.rpartition(".")[2]] for path, leaf in leaves(agent).items()}


def agent_of(spec: SuiteSpec, method: MethodSpec) -> str:
    """Returns the agent that a method uses: its own, else its nearest base's, else the default."""
    named = [link.agent for link in spec.chain(method) if link.agent is not None]
    return named[-1] if named else DEFAULT_AGENT


def layers(spec: SuiteSpec, method: MethodSpec) -> tuple[Mapping[str, Any], ...]:
    """Returns the settings of a method by source, weakest first.

    Protocol, preset, the suite's `set`, its bases' and its own, the suite's size, the command line.
    """
    chain = spec.chain(method)
    preset = [spec.preset, *(link.preset for link in chain if link.preset is not None)][-1]
    agent = agent_of(spec, method)
    shared = (PROTOCOLS[spec.protocol].settings, PRESETS[preset].settings_for(agent), spec.set)
    return (*shared, *(link.set for link in chain), SIZES[spec.size].settings_for(agent), spec.command_line)


def resolve(spec: SuiteSpec, method: MethodSpec) -> MethodConfig:
    """Makes the complete configuration of a method. Settings meant for another agent (from a preset, the suite, a base) are left
    out.

    Raises pydantic.ValidationError for values that are wrong, alone or together.
    """
    agent, merged = agent_of(spec, method), merged_settings(spec, method)
    return configure(agent, {path: value for path, value in merged.items() if foreign_to(agent, path, merged) is None})


def values_of(path: str, spec: SuiteSpec, methods: Iterable[MethodSpec]) -> list[Any]:
    """Returns the value that a setting has in each of the methods whose agent has it."""
    values = []
    for method in methods:
        agent = agent_of(spec, method)
        if path in leaves(agent):
            default = leaves(agent)[path].info.get_default(call_default_factory=True, validated_data={})
            values.append({path: default, **AGENTS[agent].defaults, **merged_settings(spec, method)}[path])
    return values


def merged_settings(spec: SuiteSpec, method: MethodSpec) -> dict[str, Any]:
    """Merges the settings of all layers that the method's agent has."""
    known = leaves(agent_of(spec, method))
    return {path: value for layer in layers(spec, method) for path, value in layer.items() if path in known}


def foreign_to(agent: str, path: str, settings: Mapping[str, Any]) -> str | None:
    """Names the way of transfer that has a setting, where `settings` choose another one; None if the setting can be used."""
    leaf = leaves(agent)[path]
    if not leaf.names:
        return None
    name = {**AGENTS[agent].defaults, **settings}.get(leaf.chosen_by, leaves(agent)[leaf.chosen_by].info.default)
    return None if name in leaf.names else " or ".join(sorted(leaf.names))


def configure(agent: str, settings: Mapping[str, Any]) -> MethodConfig:
    """Makes a configuration of defaults and, in their places, `settings`. JSON mode: lists are read as tuples where the
    configuration has tuples."""
    tree: dict[str, Any] = {"agent": {"name": agent}}
    for path, value in {**AGENTS[agent].defaults, **settings}.items():
        *blocks, leaf = path.split(".")
        target = tree
        for block in blocks:
            target = target.setdefault(block, {})
        target[leaf] = value
    return MethodConfig.model_validate_json(json.dumps(tree))


def value_at(config: BaseModel, path: str) -> Any:
    """Returns the value of a leaf of a configuration."""
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def protocol_label(spec: SuiteSpec, config: MethodConfig) -> str:
    """Returns the label that rows carry: the protocol's name, and each of its settings that this configuration changes."""
    protocol = PROTOCOLS[spec.protocol]
    return protocol.label({path: value_at(config, path) for path in protocol.settings})


def _walk(block: type[BaseModel], prefix: str) -> Iterator[tuple[str, Leaf]]:
    for name, info in block.model_fields.items():
        path = f"{prefix}.{name}"
        if not (isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)):
            yield path, Leaf(info, block)
            continue
        yield from _walk(info.annotation, path)
        choice = next((one for one in info.metadata if isinstance(one, ChosenBy)), None)
        if choice is not None:
            yield from _chosen(choice, info.annotation, path)


def _chosen(choice: ChosenBy, default: type[BaseModel], prefix: str) -> Iterator[tuple[str, Leaf]]:
    """Yields the fields that only configurations of some of the registered ways have."""
    owners: dict[str, set[str]] = {}
    for name, entry in choice.registry.items():
        for leaf in entry.config.model_fields.keys() - default.model_fields.keys():
            owners.setdefault(leaf, set()).add(name)
    for leaf, names in owners.items():
        config = choice.registry[min(names)].config
        yield f"{prefix}.{leaf}", Leaf(config.model_fields[leaf], config, f"{prefix}.{choice.field}", frozenset(names))
