"""What a suite with transfer can get wrong: sources that are missing, or that are the target; a source method that is none."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from xtra.envs.config import VIEW
from xtra.protocol.games import GAMES
from xtra.protocol.protocols import PROTOCOLS
from xtra.suite.document import DataPath, Document
from xtra.suite.errors import Problem, shown
from xtra.suite.method import MethodConfig, resolve
from xtra.suite.spec import OTHER_TARGETS, MethodSpec, SuiteSpec

Found = Iterator[tuple[DataPath, Problem]]


def sources(spec: SuiteSpec, document: Document) -> Found:
    """Every method that reads source games has some, from a method that makes them. Only for suites whose names are right."""
    for index, method in enumerate(spec.methods):
        try:
            config = resolve(spec, method)
        except ValidationError:
            continue  # told by `combinations`
        if config.transfer.needs_sources:
            yield from _games(spec, method, index, document)
            yield from _source_method(spec, method, config, index, document)


def _games(spec: SuiteSpec, method: MethodSpec, index: int, document: Document) -> Found:
    listed = spec.inherited(method, "sources")
    path: DataPath = ("methods", index, "sources") if method.sources is not None else ("sources",)
    if listed is None:
        remedy = "sources: [game, ...], or sources: [other_targets], in the method or in the suite"
        yield _at(document, index, f"{shown(method.name)} learns from source games, and none are named", remedy)
    elif OTHER_TARGETS in listed:
        if len(listed) > 1:
            yield path, Problem(document.place(path), f"{OTHER_TARGETS} stands beside named games", "name either it or games")
        if len(spec.targets) < 2:
            yield path, Problem(document.place(path), "there is no other target to learn from", "name source games")
    else:
        yield from _listed(spec, path, listed, document)


def _listed(spec: SuiteSpec, path: DataPath, listed: tuple[str, ...], document: Document) -> Found:
    protocol = PROTOCOLS[spec.protocol]
    for place, game in enumerate(listed):
        here: DataPath = (*path, place)
        if game in spec.targets:
            remedy = "leave it out of one of the two; sources: [other_targets] leaves each target out of its own sources"
            yield here, Problem(document.place(here), f"{game} is a target: its data would be known before it is learned", remedy)
        elif game in listed[:place]:
            yield here, Problem(document.place(here), f"duplicate source {shown(game)}", "name each once")
        elif GAMES[game].family != protocol.family:
            message = f"{game} is a game of family {GAMES[game].family}; the targets are of family {protocol.family}"
            yield (
                here,
                Problem(document.place(here), message, "one network sees them all: name games of one family"),
            )


def _source_method(spec: SuiteSpec, method: MethodSpec, config: MethodConfig, index: int, document: Document) -> Found:
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
        yield path, Problem(document.place(path), message, "name a method with agent efficientzero that needs no sources itself")
        return
    theirs, ours = played.environment.model_dump(), config.environment.model_dump()
    for setting in theirs:
        if setting not in VIEW and theirs[setting] != ours[setting]:
            message = f"environment.{setting} is {ours[setting]} in {shown(method.name)} and {theirs[setting]} in {shown(name)}"
            yield _at(document, index, message, f"the data show the source's games: only {' and '.join(VIEW)} may differ")


def _plays_from_scratch(config: MethodConfig) -> bool:
    transfer = config.transfer
    return config.agent.name == "efficientzero" and not transfer.needs_sources and transfer.init_from is None


def _at(document: Document, index: int, message: str, remedy: str) -> tuple[DataPath, Problem]:
    path: DataPath = ("methods", index, "name")
    return path, Problem(document.place(path), message, remedy)
