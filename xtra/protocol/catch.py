"""Catch and its variants: their names and how they are measured."""

from __future__ import annotations

from xtra.protocol.families import Family, Protocol, multiple_of

CATCH_ACTION_IDS = (0, 3, 4)
"""NOOP, RIGHT, LEFT: the built-in games speak Atari's ids, so that they share the 18-action head."""

CATCH_GAMES = (
    "Catch", "CatchInverted", "CatchSlow", "CatchFast", "CatchMirrored", "CatchRising", "CatchWide", "CatchNegated",
)  # fmt: skip
"""The built-in game and its variants, each another in one rule; `xtra.envs.catch` tells which."""

CATCH = Protocol(
    name="catch",
    family="catch",
    summary="The built-in pixel game Catch and its variants: one ball an episode, +1 caught, -1 missed; 100 evaluation episodes.",
    settings={"training.env_steps": 5_000, "evaluation.num_episodes": 100, "evaluation.max_episode_env_steps": 100},
    normalization="maximum",
)
FAMILY = Family(
    name="catch",
    games=dict.fromkeys(CATCH_GAMES, CATCH_ACTION_IDS),
    emulators="xtra.envs.catch:CatchEmulators",
    protocols=(CATCH,),
    frame_problem=multiple_of(10),
    ends_by_itself=True,
)
