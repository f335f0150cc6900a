"""Plugins for tests: files beside a suite, and registries that are afterwards as they were."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xtra import plugins
from xtra.registry import forget_what_was_derived

GAME = '''
"""Counts what is loaded, and a game of two steps."""
from pathlib import Path

from xtra.protocol.families import Family
from xtra.protocol.families import Protocol

with (Path(__file__).parent / "runs.txt").open("a") as file:
    file.write("run\\n")

FAMILY = Family(
    name="corridor",
    games={"Corridor": (0, 3, 4)},
    emulators="my_games:Emulators",
    protocols=(Protocol("corridor", "corridor", "Ten cells.", {"training.env_steps": 2_000}),),
)
'''
SUITE = """
suite: mine
version: 1
question: Does it walk?
plugins: [my_games.py]
protocol: corridor
preset: tiny
seeds: [0]
targets: [Corridor]
methods:
  - name: EfficientZero
  - name: Random
    agent: random
"""


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No consent was given before, and what a test loads is gone after it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    before = [dict(registry._entries) for registry in plugins.REGISTRIES]
    modules = set(sys.modules)
    yield
    for registry, entries in zip(plugins.REGISTRIES, before, strict=True):
        registry._entries.clear()
        registry._entries.update(entries)
    for name in plugins.LOADED:
        sys.modules.pop(name.removesuffix(".py"), None)
    for name in set(sys.modules) - modules:
        if not name.startswith("xtra"):
            del sys.modules[name]
    plugins.LOADED.clear()
    forget_what_was_derived()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A suite and the plugin that it names."""
    (tmp_path / "my_games.py").write_text(GAME)
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path
