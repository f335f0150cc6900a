"""Benchmark protocols: what is measured, as pure data.

A protocol fixes the settings below, named by their path in a method's configuration. A suite may override one, but its rows then
carry another protocol label (`atari100k+training.env_steps=50000`), and rows of different labels are never aggregated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from xtra.registry import Derived

ANY_FAMILY = "any"
"""Stands in place of a family's name: games of several families may stand side by side."""


@dataclass(frozen=True)
class Protocol:
    """One way to measure. `settings` maps dotted configuration paths to values; `score_rule` reduces episode returns to a
    score."""

    name: str
    family: str
    summary: str
    settings: Mapping[str, Any]
    proves: Literal["learning", "wiring"] = "learning"
    """What its scores can show; reports of a `wiring` protocol say so on every screen."""
    score_rule: str = "mean_episode_return"
    normalization: Literal["human", "maximum"] = "human"
    """What a normalized score of 1 stands for: a human's score, or the game's maximum (0 is the random agent in both)."""

    def label(self, overrides: Mapping[str, Any]) -> str:
        """Returns the name that rows carry: the protocol's own, and after it each of its settings that `overrides` changes."""
        changed = [
            f"{path}={overrides[path]}"
            for path in sorted(self.settings)
            if path in overrides and overrides[path] != self.settings[path]
        ]
        return "+".join([self.name, *changed])


def _protocols() -> Mapping[str, Protocol]:
    from xtra.protocol.families import FAMILIES  # a family's module may import this one

    return {protocol.name: protocol for family in FAMILIES.values() for protocol in family.protocols}


PROTOCOLS: Mapping[str, Protocol] = Derived(_protocols)
"""Every family's protocols by name."""
