"""Checks of a suite of the right shape: names that do not exist, duplicates, cycles, settings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from xtra.agents.registry import AGENTS, LearningAgentConfig
from xtra.protocol.families import ANY_FAMILY, FAMILIES, PROTOCOLS, UnknownGame
from xtra.protocol.games import GAMES, find_game, is_game
from xtra.stages.registry import STAGES
from xtra.suite.diagnostics.document import DataPath, Document, Problems
from xtra.suite.diagnostics.errors import Problem, shown, suggest
from xtra.suite.diagnostics.validation import own_message
from xtra.suite.method import agent_of, foreign_to, leaves, merged_settings, resolve, value_at, values_of
from xtra.suite.overrides import Override
from xtra.suite.presets import PRESETS, SIZES
from xtra.suite.settings import setting_problem
from xtra.suite.spec import OTHER_TARGETS, MethodSpec, SuiteFile, SuiteSpec

UNNAMED = "?/"
"""The name of a method whose own is broken; no method may be called so."""

LONG_EPISODES = 4
"""Budgets that one episode may last before `warnings` speaks of it."""

REFERENCES = ("baseline", "base", "source_method")
"""Fields of suites and methods that name a method."""


def names(spec: SuiteSpec, document: Document) -> Problems:
    """Reports names of games, agents, presets, protocols, stages and methods that do not exist."""
    methods = {method.name for method in spec.methods}
    if UNNAMED in methods or document.has_unread_methods:  # Any name may be that of a method whose own name is not known.
        named = {getattr(one, field, None) for one in (spec, *spec.methods) for field in REFERENCES}
        methods |= {name for name in named if name is not None}

    def known(path: DataPath, name: str | None, valid: Iterable[str], kind: str) -> Problems:
        if name is not None and name not in valid:
            yield path, Problem(document.location(path), f"unknown {kind} {shown(name)}", suggest(name, valid, f"{kind}s"))

    yield from known(("protocol",), spec.protocol, PROTOCOLS, "protocol")
    yield from known(("preset",), spec.preset, PRESETS, "preset")
    yield from known(("size",), spec.size, SIZES, "size")
    yield from known(("baseline",), spec.baseline, methods, "method")

    yield from known(("source_method",), spec.source_method, methods, "method")
    yield from _games(document, ("targets",), spec.targets)
    yield from _games(document, ("sources",), spec.sources)
    for stage in spec.resources:
        if stage not in STAGES:
            path: DataPath = ("resources", stage)
            yield path, Problem(document.key_location(path), f"unknown stage {shown(stage)}", suggest(stage, STAGES, "stages"))
    for index, method in enumerate(spec.methods):
        yield from known(("methods", index, "agent"), method.agent, AGENTS, "agent")
        yield from known(("methods", index, "preset"), method.preset, PRESETS, "preset")
        yield from known(("methods", index, "base"), method.base, methods, "method")
        yield from known(("methods", index, "source_method"), method.source_method, methods, "method")
        yield from _games(document, ("methods", index, "sources"), method.sources)


def _games(document: Document, path: DataPath, listed: Sequence[str] | None) -> Problems:
    """Reports names that no game has; among sources `other_targets` is not one."""
    for index, game in enumerate(listed or ()):
        if path != ("targets",) and game == OTHER_TARGETS:
            continue
        try:
            find_game(game)
        except UnknownGame as error:
            where, name = (*path, index), game.partition("@")[0]
            message = str(error) if error.remedy else f"unknown game {shown(name)}"
            yield where, Problem(document.location(where), message, error.remedy or suggest(name, GAMES, "games"))


def labels(spec: SuiteSpec, document: Document) -> Problems:
    """Reports method names with the slash that `--only` uses, or with spaces that a table would not show."""
    for index, method in enumerate(spec.methods):
        if "/" in method.name or method.name != " ".join(method.name.split()):
            path = ("methods", index, "name")
            remedy = "one line, no '/', single spaces between words and none at the ends"
            yield path, Problem(document.location(path), f"{shown(method.name)} is not a method's name", remedy)


def duplicates(spec: SuiteSpec, document: Document) -> Problems:
    """Reports seeds, targets and method names that occur twice."""

    def repeated(values: Sequence[Any], kind: str, path_of: Callable[[int], DataPath]) -> Problems:
        met: set[Any] = set()
        for index, value in enumerate(values):
            if value in met:
                path = path_of(index)
                yield path, Problem(document.location(path), f"duplicate {kind} {shown(value)}", "name each once")
            met.add(value)

    yield from repeated(spec.seeds, "seed", lambda index: ("seeds", index))
    yield from repeated(spec.targets, "target", lambda index: ("targets", index))
    yield from repeated([m.name for m in spec.methods], "method name", lambda index: ("methods", index, "name"))


def families(spec: SuiteSpec, document: Document) -> Problems:
    """Reports targets of another family than the protocol measures."""
    protocol = PROTOCOLS.get(spec.protocol)
    for index, target in enumerate(spec.targets):
        if protocol is None or not is_game(target) or protocol.family in (ANY_FAMILY, find_game(target).family):
            continue
        fitting = [p.name for p in PROTOCOLS.values() if p.family in (ANY_FAMILY, find_game(target).family)]
        message = f"{target} is a game of family {find_game(target).family}; protocol {protocol.name} measures {protocol.family}"
        path = ("targets", index)
        yield path, Problem(document.location(path), message, f"protocols for it: {', '.join(fitting)}")


def cycles(spec: SuiteSpec, document: Document) -> Problems:
    """Reports methods that are their own base, directly or through others."""
    reported: set[str] = set()
    for index, method in enumerate(spec.methods):
        walk = _walk(spec, method)
        if walk[-1] in walk[:-1] and not reported.intersection(walk) and walk[0] == walk[-1]:
            reported.update(walk)
            path = ("methods", index, "base")
            message = f"{shown(walk[0])} is its own base" if len(walk) == 2 else f"bases form a cycle: {' -> '.join(walk)}"
            yield path, Problem(document.location(path), message, "let one of them stand without `base`")


def settings(spec: SuiteSpec, document: Document, overrides: Iterable[Override]) -> Problems:
    """Reports unknown settings, settings of another agent, and values that a setting does not take."""
    agents = [_safe_agent(spec, method) for method in spec.methods]
    everyone = sorted(set(AGENTS if None in agents else (agent for agent in agents if agent)))
    layered = [method for method in spec.methods if _has_known_layers(spec, method)]
    for path, value in spec.set.items():
        without = spec.model_copy(update={"set": _without(spec.set, path)})
        yield from _setting(document, ("set", path), value, everyone, values_of(path, without, layered))
    for index, method in enumerate(spec.methods):
        own = agents[index]
        for path, value in method.set.items():
            bare = [method.model_copy(update={"set": _without(method.set, path)})] if method in layered else []
            users = sorted(AGENTS) if own is None else [own]
            yield from _setting(document, ("methods", index, "set", path), value, users, values_of(path, spec, bare))
    for override in overrides:
        places, values = (override.location, override.value_location), values_of(override.path, spec, layered)
        problem = setting_problem(override.path, override.value, everyone, *places, SuiteFile.model_fields, values)
        if problem is not None:
            yield ("--set", override.path), problem


def combinations(spec: SuiteSpec, document: Document) -> Problems:
    """Reports values that are valid alone but not together. Only for suites that pass everything above."""
    for index, method in enumerate(spec.methods):
        try:
            config = resolve(spec, method)
            environment = config.environment
            for target in spec.targets:
                type(environment).model_validate({**environment.model_dump(), "game": target})
        except ValidationError as error:
            path = ("methods", index, "name")
            for detail in error.errors():
                setting = [".".join(str(part) for part in detail["loc"])] if detail["loc"] else []
                yield path, Problem(document.location(path), ": ".join([shown(method.name), *setting, own_message(detail)]))


def actions(spec: SuiteSpec, document: Document) -> Problems:
    """Reports methods whose agent cannot tell a target's, or a source's, actions apart."""
    for index, method in enumerate(spec.methods):
        config = resolve(spec, method)
        sources = spec.inherited(method, "sources") if config.transfer.needs_sources else None
        for game in (*spec.targets_of(method), *(name for name in sources or () if name != OTHER_TARGETS)):
            try:
                config.agent.check_actions(find_game(game))
            except ValueError as error:
                path: DataPath = ("methods", index, "name")
                yield path, Problem(document.location(path), f"{shown(method.name)}: {error}")


def settings_of_others(spec: SuiteSpec, document: Document) -> Problems:
    """Reports settings that a method itself makes for a way of transfer which it does not use; inherited ones are passed over."""
    for index, method in enumerate(spec.methods):
        agent, merged = agent_of(spec, method), merged_settings(spec, method)
        for setting in method.set:
            users = foreign_to(agent, setting, merged)
            if users is not None:
                chosen_by = leaves(agent)[setting].chosen_by
                path: DataPath = ("methods", index, "set", setting)
                message = f"{setting} is a setting of {users}, and {chosen_by} is not"
                yield path, Problem(document.key_location(path), message, f"set {chosen_by} to {users}, or leave this out")


def protocols(spec: SuiteSpec, document: Document) -> Problems:
    """Reports methods that are measured otherwise than the rest, whose scores no report would put beside the others'.

    Only for suites with no other problem.
    """
    fixed = PROTOCOLS[spec.protocol].settings
    measured = [{path: value_at(resolve(spec, method), path) for path in fixed} for method in spec.methods]
    for path in sorted(fixed):
        counts = Counter(json.dumps(one[path]) for one in measured)
        usual = counts.most_common(1)[0][0]
        for index, method in enumerate(spec.methods):
            value = json.dumps(measured[index][path])
            if value == usual:
                continue
            own = ("methods", index, "set", path)
            place = own if path in method.set else ("methods", index, "name")
            message = (
                f"{shown(method.name)}: {path} is {value}, and {usual} for other methods; protocol {spec.protocol} owns it, and "
                "scores that were measured differently are never compared"
            )
            remedy = "move it to the suite's `set`, so that all methods are measured alike, or the method to a suite of its own"
            yield place, Problem(document.location(place), message, remedy)


def runs_without_updates(spec: SuiteSpec, document: Document) -> Problems:
    """Reports methods whose training would end before its first update. Only for suites with no other problem."""
    for index, method in enumerate(spec.methods):
        config = resolve(spec, method)
        if not isinstance(config.agent, LearningAgentConfig):
            continue
        first, last = config.agent.replay.min_transitions, config.training.env_steps
        if first >= last:
            path = ("methods", index, "name")
            message = (
                f"{shown(method.name)}: its first update is due after {first:,} env steps, and training.env_steps is {last:,}"
            )
            yield path, Problem(document.location(path), message, "lower agent.replay.min_transitions")


def warnings(spec: SuiteSpec) -> Iterator[str]:
    """Yields a sentence wherever a sound suite may not do what its author meant."""
    for method in spec.methods:
        config = resolve(spec, method)
        longest, budget = config.environment.max_episode_env_steps, config.training.env_steps
        measures_curve = config.learns_online and config.training.curve_episodes > 0
        ends_by_itself = all(FAMILIES[find_game(target).family].ends_by_itself for target in spec.targets)
        if measures_curve and not ends_by_itself and longest > LONG_EPISODES * budget:
            yield (
                f"{method.name}: an episode of its learning curve may last {longest:,} env steps, training only {budget:,}; "
                "lower environment.max_episode_env_steps, or set training.curve_episodes to 0"
            )


def _has_known_layers(spec: SuiteSpec, method: MethodSpec) -> bool:
    """Tells whether everything that a method's settings come from is known."""
    if _safe_agent(spec, method) is None:
        return False
    presets = {spec.preset, *(link.preset for link in spec.chain(method) if link.preset is not None)}
    return spec.protocol in PROTOCOLS and spec.size in SIZES and presets <= PRESETS.keys()


def _without(settings: Mapping[str, Any], path: str) -> dict[str, Any]:
    return {other: value for other, value in settings.items() if other != path}


def _setting(document: Document, path: DataPath, value: Any, agents: Sequence[str], otherwise: Sequence[Any]) -> Problems:
    places = document.key_location(path), document.location(path)
    problem = setting_problem(str(path[-1]), value, agents, *places, otherwise=otherwise)
    if problem is not None:
        yield path, problem


def _walk(spec: SuiteSpec, method: MethodSpec) -> list[str]:
    """Returns the names from a method along its bases, to the end or to the first repetition."""
    by_name = {m.name: m for m in reversed(spec.methods)}
    walk, link = [method.name], by_name.get(method.base or "")
    while link is not None:
        walk.append(link.name)
        if link.name in walk[:-1]:
            break
        link = by_name.get(link.base or "")
    return walk


def _safe_agent(spec: SuiteSpec, method: MethodSpec) -> str | None:
    """Returns the method's agent, or None where names or bases are wrong."""
    walk, names_known = _walk(spec, method), {m.name for m in spec.methods}
    if len(set(walk)) < len(walk) or any(m.base not in {None, *names_known} for m in spec.methods if m.name in walk):
        return None
    agent = agent_of(spec, method)
    return agent if agent in AGENTS else None
