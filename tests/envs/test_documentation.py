"""docs/environments.md tells the truth: its example keeps the contract, its table of built-in games is complete."""

from pathlib import Path
from typing import Any

import numpy as np

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import VectorEnvironment
from xtra.protocol.games import CATCH_GAMES, GAMES
from xtra.protocol.protocols import PROTOCOLS

TEXT = (Path(__file__).parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")


def corridor(seed: int) -> VectorEnvironment:
    names: dict[str, Any] = {}
    exec(TEXT.split("```python\n")[1].split("```")[0], names)
    emulators = names["CorridorEmulators"](EnvironmentConfig(game="Corridor", frame_size=10, color="gray"), 3)
    return VectorEnvironment(
        emulators, lambda env, episode: hash((seed, env, episode)) % 2**31, max_episode_env_steps=12, life_loss_terminal=False
    )


def test_the_example_plays_and_goes_on_where_it_stopped() -> None:
    actions = np.random.default_rng(0).choice([0, 3, 3, 4], size=(60, 3))
    original, restored = corridor(1), corridor(1)
    assert original.reset().shape == (3, 10, 10, 1)
    rewards = sum(original.step(row).rewards for row in actions[:30])
    assert (rewards > 0).any()
    restored.restore(original.state())
    for row in actions[30:]:
        a, b = original.step(row), restored.step(row)
        assert all(np.array_equal(getattr(a, field), getattr(b, field)) for field in ("frames", "rewards", "episode_end"))


def test_every_family_protocol_and_built_in_game_is_named() -> None:
    assert all(f"`{name}`" in TEXT for name in (*PROTOCOLS, *CATCH_GAMES, *{game.family for game in GAMES.values()}))
    assert all(name in TEXT for name, game in GAMES.items() if game.family == "minatar")
    assert f"| {sum(game.family == 'atari' for game in GAMES.values())} of ale-py |" in TEXT
