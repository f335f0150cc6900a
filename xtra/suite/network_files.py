"""The files of networks that methods start from (`transfer.init_from`): where they are, and whether they fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xtra.networks.compatibility import differences
from xtra.networks.network_file import NetworkFileError, read_network_file
from xtra.suite.document import DataPath, Document
from xtra.suite.errors import Place, Problem, nearest, shown
from xtra.suite.method import MethodConfig, resolve
from xtra.suite.spec import MethodSpec, SuiteSpec
from xtra.transfer.config import COMPONENTS

INIT_FROM = "transfer.init_from"

Found = Iterator[tuple[DataPath, Problem]]


def anchor(document: Document, directory: Path) -> None:
    """Makes the paths that the document gives for networks relative to where the suite is, not to where the command is given.

    What has not the shape of settings is left to the checks that follow.
    """
    for settings in _settings(document.data):
        value = settings.get(INIT_FROM)
        if isinstance(value, str):
            settings[INIT_FROM] = str(directory / value)


def networks(spec: SuiteSpec, document: Document) -> Found:
    """Every network that a method starts from is there, whole, ours, and of the method's shapes."""
    for method in spec.methods:
        try:
            config = resolve(spec, method)
        except ValidationError:
            continue  # told by `combinations`
        if config.transfer.init_from is not None:
            path, place = _written(spec, method, document)
            file = Path(config.transfer.init_from)
            yield from ((path, problem) for problem in _problems(method.name, config, file, spec.targets, place))


def _problems(name: str, config: MethodConfig, file: Path, targets: Collection[str], place: Place) -> Iterator[Problem]:
    try:
        header = read_network_file(file).header
    except NetworkFileError as error:
        yield Problem(place, f"{error.path}: {error.fault}", _similar_file(file) or error.remedy)
        return
    known = [game for game in header.games if game in targets]
    if known:
        message = f"{file} has learned from {', '.join(known)}: a target would be known before it is learned"
        yield Problem(place, message, "leave the game out of `targets`, or take a network that has not seen it")
    # Training takes some components; what is scored as it is needs all of them.
    components = config.transfer.start.components if config.learns_online else COMPONENTS
    network = {"agent": header.agent, "environment": header.environment}
    unequal = differences(network, config.agent, config.environment, components)
    if unequal:
        remedy = "set the method to the file's values; or take parts that do not depend on them: transfer.start.components"
        yield Problem(place, f"{shown(name)} cannot start from {file}: {'; '.join(unequal)}", remedy)


def _similar_file(file: Path) -> str:
    """A remedy for a path where nothing is; empty where there is something, or nothing like it."""
    if file.exists():
        return ""
    close = nearest(file.name, [other.name for other in file.parent.glob("*.safetensors")])
    return "" if close is None else f"did you mean {file.parent / close}?"


def _written(spec: SuiteSpec, method: MethodSpec, document: Document) -> tuple[DataPath, Place]:
    """Where the path stands that a method takes: on the command line, else in itself or its nearest base, else in the suite."""
    if INIT_FROM in spec.command_line:
        return ("--set", INIT_FROM), Place("--set", text=f"{INIT_FROM}={spec.command_line[INIT_FROM]}")
    places = {m.name: i for i, m in enumerate(spec.methods)}
    owners = [link for link in spec.chain(method) if INIT_FROM in link.set]
    path: DataPath = ("methods", places[owners[-1].name], "set", INIT_FROM) if owners else ("set", INIT_FROM)
    return path, document.place(path)


def _settings(data: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of settings in a suite's data."""
    methods = data.get("methods") if isinstance(data, dict) else None
    for owner in (data, *(methods if isinstance(methods, list) else ())):
        if isinstance(owner, dict) and isinstance(owner.get("set"), dict):
            yield owner["set"]
