"""Registries of things that packages and plugins contribute, looked up by name at first use. Our own things register in the same
way as anybody's.

A registry begins with the entry points of its group; plugins that a suite names add to it (`xtra.plugins`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

OURS = "xtra-bench"
"""The distribution whose code is versioned stage by stage (`xtra.stages.registry`)."""


class RegistrationError(Exception):
    """Raised for what a package or a plugin registers and cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Origin:
    """The origin of a registered thing: a distribution and its version, or a plugin, which has none; and the SHA-256 of the
    source that defines it."""

    name: str
    version: str
    source_sha256: str
    package: str
    """The top-level module that the source lies in. No part of the identity: a file's content says what it is."""

    @property
    def identity(self) -> str:
        """The part of it that goes into a job's key, beside its name."""
        return ", ".join(filter(None, [self.version, f"source sha256:{self.source_sha256}"]))


@dataclass(frozen=True)
class _Entry(Generic[T]):
    """A registered thing, who registers it, and where it comes from: asked for when needed, since it reads the whole source."""

    value: T
    by: str
    origin: Callable[[], Origin | None]


class Registry(Mapping[str, T], Generic[T]):
    """Name → what is registered under it: objects of class `kind`, each with the attribute `name`.

    problem: (an entry, the others by name) → what is wrong with it, None if nothing. names_in: a key, met anywhere in a job's
    configuration → a function that makes of its value the names of the entries that the job runs on.
    """

    def __init__(
        self,
        group: str,
        kind: type[T],
        problem: Callable[[T, Mapping[str, T]], str | None] = lambda entry, others: None,
        names_in: Mapping[str, Callable[[Any], Iterable[str]]] = MappingProxyType({}),
    ) -> None:
        self.kind, self.names_in = kind, names_in
        self._group, self._problem = group, problem

    def __getitem__(self, name: str) -> T:
        return self._entries[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def origin(self, name: str) -> Origin | None:
        """Returns an entry's origin, as part of a job's identity; None for our own, and for a name that is not registered."""
        return self._entries[name].origin() if name in self._entries else None

    def add(self, value: T, origin: Origin) -> None:
        """Registers what a plugin brings, once. Raises RegistrationError for what cannot stand beside the others."""
        name = getattr(value, "name", "")
        if any(entry.value is value for entry in self._entries.values()):
            return  # imported from where it is registered
        if name in self._entries:
            raise RegistrationError(f"{origin.name} and {self._entries[name].by} both register {name!r}; rename or uninstall one")
        problem = self._problem(value, self)
        if problem is not None:
            raise RegistrationError(f"{origin.name} registers {name!r}: {problem}")
        self._entries[name] = _Entry(value, origin.name, lambda: origin)
        forget_what_was_derived()

    @cached_property
    def _entries(self) -> dict[str, _Entry[T]]:
        """Loads the entry points of the group."""
        by_name: dict[str, EntryPoint] = {}
        for one in sorted(entry_points(group=self._group), key=lambda one: one.name):
            if one.name in by_name:
                names = sorted(_distribution(each).name for each in (by_name[one.name], one))
                raise RegistrationError(f"{' and '.join(names)} both register {one.name!r}; uninstall one")
            by_name[one.name] = one
        entries = {name: self._load(one) for name, one in by_name.items()}
        if not any(entry.by == OURS for entry in entries.values()):
            raise RegistrationError(f"{OURS} registers nothing in {self._group}: install this version of it again")
        # Of two that clash, the one that is not ours is named.
        for name, entry in sorted(entries.items(), key=lambda item: item[1].by == OURS):
            problem = self._problem(entry.value, {other: one.value for other, one in entries.items() if other != name})
            if problem is not None:
                raise RegistrationError(f"{entry.by} registers {name!r}: {problem}")
        return entries

    def _load(self, entry_point: EntryPoint) -> _Entry[T]:
        distribution = _distribution(entry_point)
        by = distribution.name  # which parses a file at every look
        registered = f"{by} registers {entry_point.name!r} as {entry_point.value}"
        try:
            loaded = entry_point.load()
        except Exception as error:  # other people's code may raise anything
            raise RegistrationError(f"{registered}: {type(error).__name__}: {error}") from error
        if not isinstance(loaded, self.kind):
            raise RegistrationError(f"{registered}, a {type(loaded).__name__}; it takes a {self.kind.__name__}")
        if getattr(loaded, "name", None) != entry_point.name:
            raise RegistrationError(f"{registered}, whose own name is another")
        package = entry_point.module.partition(".")[0]

        @cache
        def origin() -> Origin | None:
            return None if by == OURS else Origin(by, distribution.version, source_sha256(package), package)

        return _Entry(loaded, by, origin)


def load_object(reference: str) -> Any:
    """Imports the module of a reference `module:name` and returns the object that it names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def named_by(block: str, field: str) -> Mapping[str, Callable[[Any], Iterable[str]]]:
    """Makes the `names_in` of things that a configuration chooses by the value of `field` in a block called `block`."""
    return {block: lambda value: [str(value[field])] if isinstance(value, Mapping) and field in value else []}


def _distribution(entry_point: EntryPoint) -> Distribution:
    assert entry_point.dist is not None  # entry points of a group come from distributions
    return entry_point.dist


_CACHES: list[Callable[[], None]] = []


def forgotten_at_registration(forget: Callable[[], None]) -> None:
    """Registers `forget` to be called whenever a plugin adds to a registry, for values that were computed from the registries."""
    _CACHES.append(forget)


def forget_what_was_derived() -> None:
    """Forgets everything that was computed from the registries, so that it is computed again."""
    for forget in _CACHES:
        forget()


class Derived(Mapping[str, T], Generic[T]):
    """A mapping that follows from registries: made at first use, and again after a plugin has added to them."""

    def __init__(self, make: Callable[[], Mapping[str, T]]) -> None:
        self._make = make
        self._made: Mapping[str, T] | None = None
        forgotten_at_registration(self._forget)

    def __getitem__(self, name: str) -> T:
        return self._mapping[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._mapping)

    def __len__(self) -> int:
        return len(self._mapping)

    @property
    def _mapping(self) -> Mapping[str, T]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def _forget(self) -> None:
        self._made = None


def source_sha256(package: str) -> str:
    """Hashes a top-level module's code: names and contents of its Python files, or of its own where it is one file."""
    digest = hashlib.sha256()
    for name, path in sorted(source_files(package).items()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def source_files(package: str) -> dict[str, Path]:
    """Returns the Python files of a top-level module by their path within it, or its own one where it is one file."""
    spec = find_spec(package)
    assert spec is not None  # callers have imported it
    if spec.submodule_search_locations:
        roots = [Path(root) for root in spec.submodule_search_locations]
        return {path.relative_to(root).as_posix(): path for root in roots for path in root.rglob("*.py")}
    assert spec.origin is not None
    return {Path(spec.origin).name: Path(spec.origin)}
