"""MinAtar's games: their names and how they are measured."""

from __future__ import annotations

from xtra.protocol.families import Family, Protocol, Requirement, multiple_of

MINATAR_ACTION_IDS: dict[str, tuple[int, ...]] = {
    "MinAtarAsterix": (0, 2, 3, 4, 5),
    "MinAtarBreakout": (0, 3, 4),
    "MinAtarFreeway": (0, 2, 5),
    "MinAtarSeaquest": (0, 1, 2, 3, 4, 5),
    "MinAtarSpaceInvaders": (0, 1, 3, 4),
}
"""MinAtar's minimal action sets as ALE's ids: minimal as for Atari, and as in the versions `-v1` of MinAtar's own games."""

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

FAMILY = Family(
    name="minatar",
    games=MINATAR_ACTION_IDS,
    emulators="xtra.envs.minatar:MinAtarEmulators",
    protocols=(MINATAR,),
    frame_problem=multiple_of(10),
    requires=Requirement("minatar", "pip install 'xtra-bench[minatar]'"),
)
