"""What is measured: benchmark protocols, pure data.

A protocol fixes the settings below, named by their path in a method's configuration. A suite may override one, but its rows then
carry another protocol label (`atari100k+training.env_steps=50000`), and rows of different labels are never aggregated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from xtra.protocol.games import Family


@dataclass(frozen=True)
class Protocol:
    """One way to measure. `settings` maps dotted configuration paths to values; `score_rule` reduces episode returns to a
    score."""

    name: str
    family: Family
    summary: str
    settings: Mapping[str, Any]
    proves: Literal["learning", "wiring"] = "learning"
    """What its scores can show; reports of a `wiring` protocol say so on every screen."""
    score_rule: str = "mean_episode_return"
    normalization: Literal["human", "maximum"] = "human"
    """What a normalised score of 1 stands for: a human's score, or the game's maximum (0 is the random agent in both)."""

    def label(self, overrides: Mapping[str, Any]) -> str:
        """The name that rows carry: the protocol's own, and after it each of its settings that `overrides` changes."""
        changed = [
            f"{path}={overrides[path]}"
            for path in sorted(self.settings)
            if path in overrides and overrides[path] != self.settings[path]
        ]
        return "+".join([self.name, *changed])


_ATARI_100K = {
    "environment.frame_skip": 4,
    "environment.noop_max": 30,
    "environment.repeat_action_probability": 0.0,
    "environment.life_loss_terminal": True,
    "environment.max_episode_env_steps": 27_000,
    "training.env_steps": 100_000,
    "evaluation.num_episodes": 32,
    "evaluation.max_episode_env_steps": 27_000,
}

ATARI_100K = Protocol(
    name="atari100k",
    family="atari",
    summary="Atari 100k as EfficientZero and XTRA ran it: 100,000 env steps (400,000 frames), no sticky actions, 32 whole games.",
    settings=_ATARI_100K,
)
ATARI_100K_STICKY = Protocol(
    name="atari100k-sticky",
    family="atari",
    summary="Atari 100k with the sticky actions of Machado et al. (2018): each frame repeats the last action with chance 0.25.",
    settings=_ATARI_100K | {"environment.repeat_action_probability": 0.25},
)
ATARI_20K = Protocol(
    name="atari20k",
    family="atari",
    summary="The first fifth of Atari 100k: 20,000 env steps (80,000 frames), scored alike: what one core can train in.",
    settings=_ATARI_100K | {"training.env_steps": 20_000},
)
ATARI_SMOKE = Protocol(
    name="atari-smoke",
    family="atari",
    summary="A few hundred env steps of real Atari, evaluated on 4 episodes cut at 400 env steps: proves wiring, not learning.",
    settings=_ATARI_100K
    | {
        "environment.max_episode_env_steps": 400,
        "training.env_steps": 240,
        "evaluation.num_episodes": 4,
        "evaluation.max_episode_env_steps": 400,
    },
    proves="wiring",
)
CATCH = Protocol(
    name="catch",
    family="catch",
    summary="The built-in pixel game Catch and its variants: one ball an episode, +1 caught, -1 missed; 100 evaluation episodes.",
    settings={"training.env_steps": 5_000, "evaluation.num_episodes": 100, "evaluation.max_episode_env_steps": 100},
    normalization="maximum",
)
MINATAR = Protocol(
    name="minatar",
    family="minatar",
    summary="MinAtar with its own sticky actions (0.1) and difficulty ramp: 20,000 env steps, 32 whole games of at most 3,000.",
    settings={
        "environment.repeat_action_probability": 0.1,
        # MinAtar's Freeway ends by itself after 2,501.
        "environment.max_episode_env_steps": 3_000,
        "training.env_steps": 20_000,
        "evaluation.num_episodes": 32,
        "evaluation.max_episode_env_steps": 3_000,
    },
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol for protocol in (ATARI_100K, ATARI_100K_STICKY, ATARI_20K, ATARI_SMOKE, CATCH, MINATAR)
}
