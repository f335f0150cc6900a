"""Checks of a suite with transfer: its source games, its source method, the network file that a method starts from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import ValidationError

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.envs.config import VIEW
from xtra.networks.network_file import NetworkFileError, differences, read_network_file
from xtra.protocol.games import find_game
from xtra.suite.diagnostics.document import DataPath, Document, Problems
from xtra.suite.diagnostics.errors import Location, Problem, nearest, shown
from xtra.suite.method import MethodConfig, resolve
from xtra.suite.spec import OTHER_TARGETS, MethodSpec, SuiteSpec

INIT_FROM = "transfer.init_from"


def sources(spec: SuiteSpec, document: Document) -> Problems:
    """Reports methods without the source games or the source method that they need. Only for suites whose names are valid."""
    for index, method in enumerate(spec.methods):
        try:
            config = resolve(spec, method)
        except ValidationError:
            continue  # reported by `combinations`
        if config.transfer.probes.predictors:
            yield from _pairs(spec, method, index, document)
        if config.transfer.cross_tasks.enabled:
            yield from _single_samples(spec, method, config, index, document)
        if config.transfer.needs_sources:
            yield from _games(spec, method, index, document)
            yield from _source_method(spec, method, config, index, document)


def _games(spec: SuiteSpec, method: MethodSpec, index: int, document: Document) -> Problems:
    listed = spec.inherited(method, "sources")
    path: DataPath = ("methods", index, "sources") if method.sources is not None else ("sources",)
    if listed is None:
        remedy = "sources: [game, ...], or sources: [other_targets], in the method or in the suite"
        yield _at(document, index, f"{shown(method.name)} learns from source games, and none are named", remedy)
    elif OTHER_TARGETS in listed:
        if len(listed) > 1:
            yield path, Problem(document.location(path), f"{OTHER_TARGETS} stands beside named games", "name either it or games")
        if len(spec.targets) < 2:
            yield path, Problem(document.location(path), "there is no other target to learn from", "name source games")
    else:
        yield from _listed(spec, method, path, listed, document)


def _pairs(spec: SuiteSpec, method: MethodSpec, index: int, document: Document) -> Problems:
    """Reports a method with probes and another number of source games than one: its rows could not name the pair."""
    num_sources = _num_sources(spec, method)
    if num_sources not in (0, 1):
        message = f"{shown(method.name)} has probes, which are of one source and one target, and {num_sources} source games"
        yield _at(document, index, message, "make a method of each source game, or leave transfer.probes.predictors out")


def _single_samples(spec: SuiteSpec, method: MethodSpec, config: MethodConfig, index: int, document: Document) -> Problems:
    """Reports cross-tasks that come to a forward pass of one sample, of which batch norm knows no variance."""
    cross = config.transfer.cross_tasks
    num_tasks = _num_sources(spec, method) if cross.filled_by == "sources" else 1
    small = [size for size in cross.batch_sizes if 0 < size < 2 * num_tasks]
    if cross.forward == "separate" and small:
        message = (
            f"{shown(method.name)}: transfer.cross_tasks.forward is separate, and of {min(small)} offline samples an update, "
            f"shared by {num_tasks} task{'s' * (num_tasks > 1)}, one is alone in its pass: batch norm needs two"
        )
        remedy = f"choose forward: joint, or a batch_size and a final_share that leave at least {2 * num_tasks} samples, or none"
        yield _at(document, index, message, remedy)


def _num_sources(spec: SuiteSpec, method: MethodSpec) -> int:
    listed = spec.inherited(method, "sources") or ()
    return len(spec.targets) - 1 if listed == (OTHER_TARGETS,) else len(listed)


def _listed(spec: SuiteSpec, method: MethodSpec, path: DataPath, listed: tuple[str, ...], document: Document) -> Problems:
    targets = spec.targets_of(method)
    families = {find_game(target).family for target in targets}
    if not targets:
        yield path, Problem(document.location(path), f"{shown(method.name)} has no target beside its sources", "name another")
    for index, game in enumerate(listed):
        here: DataPath = (*path, index)
        if game in targets:
            remedy = (
                "leave it out of one of the two; sources: [other_targets] leaves each target out of its own sources, "
                "targets: other_than_sources leaves the method out on these targets"
            )
            message = f"{game} is a target: its data would be known before it is learned"
            yield here, Problem(document.location(here), message, remedy)
        elif game in listed[:index]:
            yield here, Problem(document.location(here), f"duplicate source {shown(game)}", "name each once")
        elif find_game(game).family not in families or len(families) > 1:
            message = f"{game} is a game of family {find_game(game).family}; the targets are of {' and '.join(sorted(families))}"
            yield here, Problem(document.location(here), message, "one network sees them all: name games of one family")


def _source_method(spec: SuiteSpec, method: MethodSpec, config: MethodConfig, index: int, document: Document) -> Problems:
    name = spec.inherited(method, "source_method")
    if name is None:
        remedy = "source_method: an EfficientZero method from scratch, whose runs on the source games make the data"
        yield _at(document, index, f"{shown(method.name)} learns from source games, and nobody plays them", remedy)
        return
    try:
        played = resolve(spec, spec.method(name))
    except ValidationError:
        return
    if not _plays_from_scratch(played):
        path: DataPath = ("methods", index, "source_method") if method.source_method is not None else ("source_method",)
        message = f"{shown(name)} cannot make the data: it is not EfficientZero from scratch"
        remedy = "name a method with agent efficientzero that needs no sources itself"
        yield path, Problem(document.location(path), message, remedy)
        return
    assert isinstance(played.agent, EfficientZeroConfig)
    if played.agent.network.action_space != "ale18":
        message = f"{shown(name)} cannot make the data: its agent.network.action_space is {played.agent.network.action_space}"
        yield _at(
            document, index, message, "teachers are of the source method's agent, and games that share a student need ale18"
        )
        return
    source_environment, environment = played.environment.model_dump(), config.environment.model_dump()
    for setting, value in source_environment.items():
        if setting not in VIEW and environment[setting] != value:
            message = f"environment.{setting} is {environment[setting]} in {shown(method.name)} and {value} in {shown(name)}"
            yield _at(document, index, message, f"the data show the source's games: only {' and '.join(VIEW)} may differ")


def _plays_from_scratch(config: MethodConfig) -> bool:
    transfer = config.transfer
    return config.agent.name == "efficientzero" and not transfer.needs_sources and transfer.init_from is None


def _at(document: Document, index: int, message: str, remedy: str) -> tuple[DataPath, Problem]:
    path: DataPath = ("methods", index, "name")
    return path, Problem(document.location(path), message, remedy)


def network_files(spec: SuiteSpec, document: Document) -> Problems:
    """Reports network files that are missing, damaged, not of this project, or of other shapes than the method's."""
    for method in spec.methods:
        try:
            config = resolve(spec, method)
        except ValidationError:
            continue  # reported by `combinations`
        if config.transfer.init_from is not None:
            path, location = _location_of_path(spec, method, document)
            file = Path(config.transfer.init_from)
            yield from ((path, problem) for problem in _problems(method.name, config, file, spec.targets, location))


def _problems(name: str, config: MethodConfig, file: Path, targets: Collection[str], location: Location) -> Iterator[Problem]:
    try:
        header = read_network_file(file).header
    except NetworkFileError as error:
        yield Problem(location, f"{error.path}: {error.fault}", _similar_file(file) or error.remedy)
        return
    known = [game for game in header.games if game in targets]
    if known:
        message = f"{file} has learned from {', '.join(known)}: a target would be known before it is learned"
        yield Problem(location, message, "leave the game out of `targets`, or take a network that has not seen it")
    network = {"agent": header.agent, "environment": header.environment}
    unequal = differences(network, config.agent, config.environment, config.transfer.start.components)
    if unequal:
        remedy = "set the method to the file's values; or take parts that do not depend on them: transfer.start.components"
        yield Problem(location, f"{shown(name)} cannot start from {file}: {'; '.join(unequal)}", remedy)


def _similar_file(file: Path) -> str:
    """Suggests the file that was meant by a path where nothing is; empty where there is something, or nothing like it."""
    if file.exists():
        return ""
    close = nearest(file.name, [other.name for other in file.parent.glob("*.safetensors")])
    return "" if close is None else f"did you mean {file.parent / close}?"


def _location_of_path(spec: SuiteSpec, method: MethodSpec, document: Document) -> tuple[DataPath, Location]:
    """Locates the `transfer.init_from` that a method uses: `--set`, else itself or its nearest base, else the suite."""
    if INIT_FROM in spec.command_line:
        return ("--set", INIT_FROM), Location("--set", text=f"{INIT_FROM}={spec.command_line[INIT_FROM]}")
    indices = {m.name: i for i, m in enumerate(spec.methods)}
    owners = [link for link in spec.chain(method) if INIT_FROM in link.set]
    path: DataPath = ("methods", indices[owners[-1].name], "set", INIT_FROM) if owners else ("set", INIT_FROM)
    return path, document.location(path)
