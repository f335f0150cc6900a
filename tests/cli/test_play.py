"""`xtra-bench play`: a finished job's greedy episode as a picture that moves."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from xtra.agents.video import BAR, CHOSEN, PICTURE, Scene, draw
from xtra.cli import play as cli_play
from xtra.cli.main import app
from xtra.execute.worker import Exit, run_job
from xtra.protocol.games import find_game
from xtra.stages.config import TrainConfig
from xtra.stages.registry import STAGES
from xtra.store.job import Job
from xtra.store.rows import Cell
from xtra.store.store import Store

from ..tiny_agent import NETWORK

LAMPS = Path(__file__).parents[1] / "plugins" / "open_house" / "my_game.py"
CONFIG: dict[str, Any] = {
    "environment": {"game": "Catch", "frame_size": 10},
    "agent": {
        "name": "efficientzero",
        "network": NETWORK,
        "search": {"num_simulations": 4},
        "optimizer": {"batch_size": 4},
        "replay": {"min_transitions": 60},
    },
    "training": {"env_steps": 64, "final_updates": 0, "curve_episodes": 0},
    "seed": 0,
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one finished run, and the record of it and of another that has only been begun."""
    root = tmp_path_factory.mktemp("results")
    config = json.loads(TrainConfig.model_validate(CONFIG).model_dump_json())
    evaluation = {name: config[name] for name in ("environment", "agent", "seed")}
    evaluation["evaluation"] = {"num_episodes": 1, "max_episode_env_steps": 27_000, "num_threads": 1}
    train = Job("train", STAGES["train"].version, config)
    evaluate = Job("evaluate", STAGES["evaluate"].version, evaluation, {"network": (train.key,)})
    store = Store(root / "store")
    for job in (train, evaluate):
        store.add(job)
    assert run_job(str(store.root), train.key) == Exit.DONE
    cell = Cell("catch", 1, "catch", "EfficientZero", "efficientzero", "Catch", 0, train.key, evaluate.key)
    (root / "runs" / "catch").mkdir(parents=True)
    begun = replace(cell, suite="begun", train_key="train-begun", evaluate_key="evaluate-begun")
    (root / "runs" / "catch" / "plan.json").write_text(json.dumps({"cells": [vars(begun), vars(cell)]}))
    return root


def play(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["play", *map(str, arguments)])


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_an_episode_is_shown_from_a_job_and_from_the_cell_that_is_complete_alike(
    results: Path, tmp_path: Path, suffix: str
) -> None:
    (directory,) = (results / "store" / "train").iterdir()
    first, second, third = tmp_path / "new" / f"a{suffix}", tmp_path / f"b{suffix}", tmp_path / f"c{suffix}"
    for source, out in ((directory / "out", first), ("EfficientZero/Catch/0", second), (directory.name[:12], third)):
        done = play(source, "--out", out, "--results", results)
        assert done.exit_code == 0, done.output
        # The ball takes 9 steps to fall.
        assert "9 env steps of Catch" in done.output
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()
    with Image.open(first) as video:
        assert video.n_frames == 9
        assert video.height == PICTURE


def test_a_long_episode_is_cut_unless_its_length_was_chosen(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_play, "SHOWN_ENV_STEPS", 5)
    arguments = ("EfficientZero/Catch/0", "--out", tmp_path / "a.gif", "--results", results)
    assert "5 env steps of Catch; more by --max-env-steps\n" in play(*arguments).output
    assert "7 env steps of Catch\n" in play(*arguments, "--max-env-steps", "7").output
    monkeypatch.setattr(cli_play, "SHOWN_ENV_STEPS", 10)
    assert "9 env steps of Catch\n" in play(*arguments).output


def test_the_bars_show_the_shares_of_visits_and_the_action_taken() -> None:
    weights = np.zeros(18, np.float32)
    weights[[0, 3]] = 0.25, 0.75
    scene = Scene(np.zeros((10, 10, 3), np.uint8), action=3, value=0.5, action_weights=weights, episode_return=0.0)
    pixels = np.array(draw(scene, 0, find_game("Catch")))[:, PICTURE + 110 :]
    widths = [int((pixels == color).all(-1).any(0).sum()) for color in (BAR, CHOSEN)]
    assert widths[1] / widths[0] == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize(
    ("source", "message"),
    [("EfficientZero/Catsh/0", "EfficientZero/Catch/0"), ("nowhere", "neither a job nor a cell")],
)
def test_what_cannot_be_played_is_refused_in_a_sentence(results: Path, source: str, message: str) -> None:
    refused = play(source, "--results", results)
    assert refused.exit_code == 2
    assert message in refused.output
    assert "Traceback" not in refused.output


def test_a_plugins_game_can_be_played(results: Path, tmp_path: Path) -> None:
    arguments = ["EfficientZero/Catch/0", "Lamps", "--results", str(results), "--out", str(tmp_path / "lamps.gif")]
    command = [sys.executable, "-c", "from xtra.cli.main import main; main()", "play", *arguments]  # a plugin stays loaded
    without = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (without.returncode, "unknown game 'Lamps'" in without.stderr) == (2, True)
    done = subprocess.run([*command, "--plugin", str(LAMPS)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'lamps.gif'}: 8 env steps of Lamps\n"), done.stderr


def test_where_nothing_was_run_playing_says_what_to_run(tmp_path: Path) -> None:
    refused = play("EfficientZero/Catch/0", "--results", tmp_path)
    assert refused.exit_code == 2
    assert f"there is no run in {tmp_path}; `xtra-bench run quick` makes one" in refused.output


def test_a_job_that_is_not_finished_is_not_played(results: Path) -> None:
    store = Store(results / "store")
    config = json.loads(TrainConfig.model_validate(CONFIG | {"seed": 1}).model_dump_json())
    job = Job("train", STAGES["train"].version, config)
    store.add(job)
    refused = play(store.directory(job.key))
    assert refused.exit_code == 2
    assert "is not finished" in refused.output


def test_a_damaged_network_is_named_and_not_read(results: Path) -> None:
    (directory,) = [one for one in (results / "store" / "train").iterdir() if (one / "manifest.json").exists()]
    network = directory / "out" / "network.pt"
    whole = network.read_bytes()
    altered = whole[:-1] + bytes([whole[-1] ^ 1])
    faults = {whole[:100]: f"has 100 bytes instead of {len(whole)}", altered: "does not match its checksum"}
    try:
        for damaged, fault in faults.items():
            network.write_bytes(damaged)
            refused = play("EfficientZero/Catch/0", "--results", results)
            assert (refused.exit_code, refused.output) == (2, f"error: {network}: {fault}; `xtra-bench run` computes it again\n")
    finally:
        network.write_bytes(whole)
