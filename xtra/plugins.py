"""Plugins: code of other people that a suite, or the command line, names; and what of it a job runs on.

A plugin is a Python file, or the name of an installed module. Whatever it holds at its top level that a registry takes (a family
of games, an agent, ...) is registered when it is loaded. Its source's hash is part of the jobs that run on it, its place is not.
Files are kept in the store, by their hash, from where workers load them: what is edited meanwhile does not reach jobs that wait.

What an installed package registers by entry points needs no naming, and no consent: installing it was the consent.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from xtra.agents.registry import AGENTS
from xtra.protocol.families import FAMILIES, GAME_KEYS, games_in
from xtra.registry import Origin, RegistrationError, Registry, forgotten_at_registration, load_object, source_sha256
from xtra.store.files import write_text_atomically
from xtra.store.job import Job
from xtra.transfer.registry import PRETRAINING, STARTS, TASK_WEIGHTS

REGISTRIES: tuple[Registry[Any], ...] = (FAMILIES, AGENTS, PRETRAINING, STARTS, TASK_WEIGHTS)
"""What plugins can add to."""

_NAMING_KEYS = {*GAME_KEYS, *(key for registry in REGISTRIES for key in registry.names_in)}

DIRECTORY = "plugins"
"""In a store: the files that its jobs were planned with, each in a directory that bears its hash."""


class PluginError(Exception):
    """A plugin that cannot be used. remedy: what to do, as far as that is known."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class Plugin:
    """A plugin that a reference leads to, before any of its code has run.

    name: `my_games.py` for a file, else the module's. source: the file's bytes; None for an installed module.
    """

    name: str
    sha256: str
    source: bytes | None = None
    path: Path | None = None

    @property
    def module(self) -> str:
        """Name that its code is imported as."""
        return self.name.removesuffix(".py")


LOADED: dict[str, Plugin] = {}
"""By name, those that this process has loaded."""


def find(reference: str, directory: Path) -> Plugin:
    """Finds the plugin that a reference means: a `.py` file, its path relative to `directory`, or an installed module. Runs
    nothing of it. Raises PluginError."""
    if reference.endswith(".py"):
        return _find_file(directory / reference)
    top = reference.partition(".")[0]
    if not all(part.isidentifier() for part in reference.split(".")):
        raise PluginError(f"{reference!r} is not a plugin", "name a .py file, or an installed module such as my_package.games")
    if find_spec(top) is None:
        remedy = f"did you mean {reference}.py?" if (directory / f"{reference}.py").is_file() else f"install {top}"
        raise PluginError(f"no module {top!r} is installed", remedy)
    return Plugin(reference, source_sha256(top))


def _find_file(path: Path) -> Plugin:
    name = path.name.removesuffix(".py")
    if not name.isidentifier():
        raise PluginError(
            f"{path.name} cannot be imported by its name", "rename it: letters, digits and '_' only, a letter first"
        )
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        others = sorted(other.name for other in path.parent.glob("*.py"))
        remedy = f"there is {', '.join(others[:8])}" if others else "its path is relative to the suite's directory"
        raise PluginError(f"no file {path}", remedy) from None
    except OSError as error:
        raise PluginError(f"{path}: {error.strerror}") from None
    try:
        source.decode("utf-8")
    except UnicodeDecodeError:
        raise PluginError(f"{path} is not UTF-8", "save it as UTF-8") from None
    spec = find_spec(name) if path.name not in LOADED else None
    if spec is not None and not _is_source(spec.origin, source):
        at = f" ({spec.origin})" if spec.origin else ""
        raise PluginError(f"{path.name} has the name of the module {name}{at}, whose source is another", "rename the file")
    return Plugin(path.name, hashlib.sha256(source).hexdigest(), source, path)


def _is_source(origin: str | None, source: bytes) -> bool:
    """Tells whether a module that Python finds is of this source: the file itself, or the one that the store's is a copy of."""
    with suppress(OSError):
        return origin is not None and Path(origin).read_bytes() == source
    return False  # built into Python


def load(plugin: Plugin) -> None:
    """Runs a plugin's code, unless this process has, and registers what it brings. Raises PluginError."""
    loaded = LOADED.get(plugin.name)
    if loaded is not None:
        if loaded.sha256 != plugin.sha256:
            raise PluginError(f"another {plugin.name} has been loaded by this process", "give one of the two another name")
        return
    known_ids = _gymnasium_ids()
    try:
        module = import_module(plugin.module) if plugin.source is None else _run(plugin, plugin.source)
    except Exception as error:  # somebody's code: whatever it raises
        sys.modules.pop(plugin.module, None)
        raise PluginError(f"{plugin.name} cannot be loaded: {_complaint(error, plugin)}") from error
    origin = Origin(plugin.name, "", plugin.sha256, plugin.module.partition(".")[0])
    brought = [
        (registry, value) for registry in REGISTRIES for value in vars(module).values() if isinstance(value, registry.kind)
    ]
    if not brought and _gymnasium_ids() == known_ids:
        kinds = ", ".join(registry.kind.__name__ for registry in REGISTRIES)
        raise PluginError(f"{plugin.name} registers nothing", f"it needs one of {kinds} at its top level; see docs/extending.md")
    try:
        for registry, value in brought:
            registry.add(value, origin)
    except RegistrationError as error:
        raise PluginError(str(error)) from None
    LOADED[plugin.name] = plugin


def _gymnasium_ids() -> set[str]:
    """The environments that Gymnasium knows by now: a plugin may register some there."""
    registry = getattr(sys.modules.get("gymnasium"), "registry", {})
    return set(registry)


def _run(plugin: Plugin, source: bytes) -> ModuleType:
    """Runs the bytes that were hashed, not what the file may hold by now."""
    module = ModuleType(plugin.module)
    module.__file__ = filename = str(plugin.path or plugin.name)
    lines = source.decode("utf-8").splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)  # for tracebacks
    sys.modules[plugin.module] = module
    exec(compile(source, filename, "exec"), vars(module))
    return module


def _complaint(error: Exception, plugin: Plugin) -> str:
    """The error, and the last line of the plugin that it came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(plugin.path or plugin.name)]
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
    return f"{type(error).__name__}: {getattr(error, 'msg', error)}" + (f" (line {line})" if line else "")


def plugins_of(config: Any) -> dict[str, str]:
    """Returns what a job's configuration names that is not ours: the name of each plugin or distribution, and its identity."""
    return {origin.name: origin.identity for _, origin in sorted(_origins(config).items())}


def packages_of(jobs: Iterable[Job]) -> set[str]:
    """The top-level modules that jobs import of installed plugins: what a snapshot of the code has to hold."""
    origins = {name: origin for job in jobs if job.plugins for name, origin in _origins(job.config).items()}
    return {origin.package for name, origin in origins.items() if not name.endswith(".py")}


def _origins(config: Any) -> dict[str, Origin]:
    named: dict[str, Origin] = {}
    for key, value in _entries(config):
        for registry in REGISTRIES:
            if key in registry.names_in:
                origins = [registry.origin(name) for name in registry.names_in[key](value)]
                named |= {origin.name: origin for origin in origins if origin is not None}
        if key in GAME_KEYS:
            packages = {load_object(family.package_of)(game) for family, game in games_in(value) if family.package_of}
            named |= {origin.name: origin for origin in map(_package_origin, packages)}
    return named


def _entries(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields the entries of all mappings within a configuration under whose keys something registered may be named."""
    nested = [config]
    while nested:
        block = nested.pop()
        if isinstance(block, dict):
            yield from ((key, value) for key, value in block.items() if key in _NAMING_KEYS)
            block = block.values()
        nested += [value for value in block if isinstance(value, dict | list | tuple)]


@cache
def _package_origin(package: str) -> Origin:
    """Returns where an installed package comes from, or the plugin that it is."""
    if f"{package}.py" in LOADED:
        plugin = LOADED[f"{package}.py"]
        return Origin(plugin.name, "", plugin.sha256, package)
    name = metadata.packages_distributions().get(package, [package])[0]
    return Origin(name, metadata.version(name), source_sha256(package), package)


forgotten_at_registration(_package_origin.cache_clear)


def keep(store_root: Path, jobs: Iterable[Job]) -> None:
    """Writes the files that jobs run on into their store."""
    for name in sorted({name for job in jobs for name in job.plugins}):
        plugin = LOADED.get(name)
        if plugin is not None and plugin.source is not None:
            kept = store_root / DIRECTORY / plugin.sha256 / name
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomically(kept, plugin.source.decode("utf-8"))


def load_kept(store_root: Path, plugins: Mapping[str, str], *, only_trusted: bool = False) -> None:
    """Loads what a job of the store was planned with, by its `plugins`. only_trusted: the store may be somebody else's, so what
    this user has not consented to is refused. Raises PluginError.

    Packages that register by entry points are there without it; whether theirs is the right source is for the caller to compare.
    """
    for name, identity in plugins.items():
        sha256 = identity.partition("source sha256:")[2]
        if name.endswith(".py"):
            kept = _find_file(store_root / DIRECTORY / sha256 / name)
            if kept.sha256 != sha256:
                raise PluginError(f"{kept.path} is not the file that its directory is named after", "run the suite again")
            if only_trusted and name not in LOADED and not is_trusted(kept):
                remedy = f"read {kept.path}, then run its suite with --trust-plugins"
                raise PluginError(f"{name} is code that you have not trusted: none of it was run", remedy)
            load(kept)
        elif identity.startswith("source "):  # a module that a suite named; a distribution has a version before it
            load(find(name, store_root))


def trusted_file() -> Path:
    """Returns the file of this user's consents. It is not beside suites or results, which other people send."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "xtra-bench" / "trusted-plugins.txt"


def is_trusted(plugin: Plugin) -> bool:
    """Tells whether the user has consented to run exactly this source before."""
    try:
        lines = trusted_file().read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.split()[:1] == [plugin.sha256] for line in lines)


def trust(plugin: Plugin) -> None:
    """Writes the consent down, so that it need not be given again; where that cannot be written, it holds for this time."""
    if is_trusted(plugin):
        return
    path = trusted_file()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{plugin.sha256}  {plugin.name}\n")
