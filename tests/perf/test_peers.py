"""Learners timed in turns (benchmarks/peers), with contestants that take no time and with ours in small."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"
FAKE = """
import sys
sys.path.insert(0, {folder!r})
from contestant import serve

class Fake:
    parts = {{}}

    def __init__(self, request):
        print("words that are no answer")
        self.size = request["size"]

    def update(self):
        return {{"loss": {loss}}}

    def about(self):
        return {{"parameters": self.size["agent"]["network"]["channels"]}}

serve(Fake)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="pins processes to cores")


def fake(directory: Path, name: str, loss: str = "0.5") -> list[str]:
    script = directory / f"{name}.py"
    script.write_text(FAKE.format(folder=str(FOLDER), loss=loss))
    return ["-c", name, sys.executable, str(script)]


def turns(*arguments: str, play: str = __file__) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "turns.py"), play, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@linux
def test_contestants_take_turns_at_one_size(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = turns(*fake(tmp_path, "one"), *fake(tmp_path, "other"), "--rounds", "3", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^\| (one|other) .* \| 64 \|", done.stdout, re.MULTILINE) == ["one", "other"]
    learners = json.loads(figures.read_text())["learners"]
    assert [len(learners[name][clock]) for name in ("one", "other") for clock in ("cpu", "wall")] == [3] * 4
    assert all(0 <= learners[name]["growth"] < 1e8 for name in ("one", "other"))


@linux
def test_memory_that_updates_take_is_told(tmp_path: Path) -> None:
    """Freed again, it was taken nevertheless."""
    words = fake(tmp_path, "one")
    script = Path(words[-1])
    script.write_text(script.read_text().replace("        return {", "        bytearray(200_000_000)\n        return {", 1))
    done = turns(*words, "--rounds", "1")
    growth = re.search(r"\| (\d+) \| 64 \|", done.stdout)
    assert growth is not None, done.stderr
    assert 190 < int(growth[1]) < 260


@linux
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["x", "no-python", "ours.py"], "x: no interpreter no-python"),
        (["x", sys.executable, "theirs.py"], "x: no script theirs.py"),
        (["x", sys.executable, "ours.py", "nowhere"], "x: no package xtra in nowhere"),
        (["x", sys.executable], "takes NAME PYTHON SCRIPT [CHECKOUT] [SETTING=VALUE ...], not x"),
        (["x", sys.executable, "lightzero_learner.py"], "LightZero is not installed for"),
    ],
)
def test_a_contestant_that_cannot_run_says_what_is_missing(words: list[str], says: str) -> None:
    done = turns("-c", *words)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_play_that_was_not_recorded_is_told_with_the_command_for_it() -> None:
    done = turns("-c", "x", sys.executable, "ours.py", "--size", "small64", play="alien.npz")
    command = "python benchmarks/peers/record.py alien.npz --frame-size 64"
    assert (done.returncode, done.stderr) == (1, f"error: alien.npz does not exist; write it by: {command}\n")


@linux
def test_a_loss_that_is_not_finite_ends_the_comparison(tmp_path: Path) -> None:
    done = turns(*fake(tmp_path, "one"), *fake(tmp_path, "other", "float('nan')"))
    assert (done.returncode, "other: ValueError: a loss is not finite" in done.stderr) == (1, True)


def test_our_updates_search_every_position_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    from contestant import prepare, sample
    from ours import OurUpdates
    from turns import SIZES

    size: dict[str, Any] = copy.deepcopy(SIZES["small64"])
    size["frame_size"] = 16
    size["agent"]["network"] |= {"channels": 4, "support": 2, "lstm_hidden": 8}
    size["agent"]["optimizer"]["batch_size"] = 4
    size["agent"]["search"]["num_simulations"] = 3
    path = tmp_path / "play.npz"
    np.savez(path, **play(num_transitions=200, size=16))
    settings = ["precision=bfloat16", "optimizer.batch_size=5"]
    other = OurUpdates({"play": str(path), "size": copy.deepcopy(size), "settings": settings})
    assert (other._learner._config.precision, other._learner._config.optimizer.batch_size) == ("bfloat16", 5)
    learner = OurUpdates({"play": str(path), "size": size, "settings": []})
    work = prepare(learner, warm_up=0)["work"]
    # Of each of 4 samples 6 positions are searched, 6 values bootstrapped, 1 position encoded and 5 steps unrolled and encoded.
    assert work["rows"] == {
        "representation": 4 * (6 + 6 + 1 + 5),
        "dynamics": 4 * (6 * 3 + 5),
        "prediction": 4 * (6 * (1 + 3) + 6 + (1 + 5 + 5)),
    }
    assert work["calls"]["dynamics"] == 3 + 5
    assert learner.about()["transitions"] == 200
    assert sample(learner, 1)["updates"] == 1


def play(num_transitions: int, size: int) -> dict[str, Any]:
    """One trajectory, so long that no sample of the first update comes near its end."""
    rng = np.random.default_rng(0)
    ends = np.arange(num_transitions) == num_transitions - 1
    return {
        "game": np.array("Alien"),
        "frames": rng.integers(256, size=(num_transitions, size, size, 3), dtype=np.uint8),
        "actions": rng.integers(18, size=num_transitions),
        "rewards": np.ones(num_transitions, np.float32),
        "ends": ends,
        "final_frames": np.zeros((1, size, size, 3), np.uint8),
    }
