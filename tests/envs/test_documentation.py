"""docs/environments.md tells the truth: its example keeps the contract, its table of built-in games is complete."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import VectorEnvironment
from xtra.protocol.catch import CATCH_GAMES
from xtra.protocol.families import PROTOCOLS
from xtra.protocol.games import GAMES

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


def block(language: str) -> str:
    return TEXT.split(f"```{language}\n")[1].split("```")[0]


def test_a_package_of_one_file_adds_a_game_that_a_suite_takes_to_a_report(tmp_path: Path) -> None:
    (tmp_path / "corridor_games.py").write_text(block("python"))
    metadata = tmp_path / "corridor_games-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: corridor-games\nVersion: 1.2\n")
    groups = tomllib.loads(block("toml"))["project"]["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items()) for group, entries in groups.items()
    ]
    (metadata / "entry_points.txt").write_text("".join(lines))
    (tmp_path / "corridor.yaml").write_text(block("yaml"))
    places = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    command = [str(Path(sys.executable).parent / "xtra-bench"), "run", "corridor.yaml"]
    environment = os.environ | {"PYTHONPATH": places}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    check = [command[0], "check-environment", "Corridor"]
    checked = subprocess.run(check, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout.count("kept: ")) == (0, 7), checked.stdout + checked.stderr
    report = tmp_path / done.stdout.strip().splitlines()[-1]
    facts = json.loads((report.parent / "run.json").read_text())["methods"][0]["identity"]["facts"]
    assert facts["plugin corridor-games"].startswith("1.2, source sha256:")


def test_every_family_protocol_and_built_in_game_is_named() -> None:
    assert all(f"`{name}`" in TEXT for name in (*PROTOCOLS, *CATCH_GAMES, *{game.family for game in GAMES.values()}))
    assert all(name in TEXT for name, game in GAMES.items() if game.family == "minatar")
    assert f"| {sum(game.family == 'atari' for game in GAMES.values())} of ale-py |" in TEXT
