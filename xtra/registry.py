"""What packages contribute by entry points: looked up by name at first use, our own things in the same way as anybody's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

OURS = "xtra-bench"
"""The distribution whose code is versioned stage by stage (`xtra.stages.registry`)."""


class RegistrationError(Exception):
    """What an installed package registers cannot be used; the message names the package and what to do."""


@dataclass(frozen=True)
class Origin:
    """Where a registered thing comes from: a distribution, its version, and the SHA-256 of the source that defines it."""

    distribution: str
    version: str
    source_sha256: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}, source sha256:{self.source_sha256}"


class Registry(Mapping[str, T], Generic[T]):
    """Name → what the entry points of one group lead to. Each is an object of class `kind`, whose name is the entry point's.

    problem: (an entry, the others by name) → what is wrong with it, None if nothing.
    """

    def __init__(self, group: str, kind: type[T], problem: Callable[[T, Mapping[str, T]], str | None]) -> None:
        self._group, self._kind, self._problem = group, kind, problem

    def __getitem__(self, name: str) -> T:
        return self._entries[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def plugin_origin(self, name: str) -> Origin | None:
        """Where an entry comes from, as part of a job's identity; None for our own."""
        distribution, entry_point = self._entries[name][1:]
        if distribution.name == OURS:
            return None
        return Origin(distribution.name, distribution.version, source_sha256(entry_point.module))

    @cached_property
    def _entries(self) -> dict[str, tuple[T, Distribution, EntryPoint]]:
        found: dict[str, tuple[Distribution, EntryPoint]] = {}
        for entry_point in entry_points(group=self._group):
            name, distribution = entry_point.name, entry_point.dist
            assert distribution is not None  # what was found by its group is some distribution's
            if name in found:
                names = sorted((found[name][0].name, distribution.name))
                raise RegistrationError(f"{' and '.join(names)} both register {name!r}; uninstall one")
            found[name] = (distribution, entry_point)
        if not any(distribution.name == OURS for distribution, _ in found.values()):
            raise RegistrationError(f"{OURS} registers nothing in {self._group}: install this version of it again")
        entries = {name: (self._load(one, by.name), by, one) for name, (by, one) in sorted(found.items())}
        # Of two that clash, the guest is named.
        for name, (loaded, by, _) in sorted(entries.items(), key=lambda item: item[1][1].name == OURS):
            others = {other: entry[0] for other, entry in entries.items() if other != name}
            problem = self._problem(loaded, others)
            if problem is not None:
                raise RegistrationError(f"{by.name} registers {name!r}: {problem}")
        return entries

    def _load(self, entry_point: EntryPoint, distribution: str) -> T:
        registered = f"{distribution} registers {entry_point.name!r} as {entry_point.value}"
        try:
            loaded = entry_point.load()
        except Exception as error:  # somebody's code: whatever it raises
            raise RegistrationError(f"{registered}: {type(error).__name__}: {error}") from error
        if not isinstance(loaded, self._kind):
            raise RegistrationError(f"{registered}, a {type(loaded).__name__}; it takes a {self._kind.__name__}")
        if getattr(loaded, "name", None) != entry_point.name:
            raise RegistrationError(f"{registered}, whose own name is another")
        return loaded


def source_sha256(module: str) -> str:
    """Of a module's code: names and contents of its top-level package's Python files, or its own where it is one file."""
    spec = find_spec(module.partition(".")[0])
    assert spec is not None  # it was imported
    if spec.submodule_search_locations:
        roots = [Path(root) for root in spec.submodule_search_locations]
        files = {path.relative_to(root).as_posix(): path for root in roots for path in root.rglob("*.py")}
    else:
        assert spec.origin is not None
        files = {Path(spec.origin).name: Path(spec.origin)}
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
