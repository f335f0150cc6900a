"""Every long stage, asked to stop at any move, saves, and goes on to the end that it would have had."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xtra.agents.evaluation import RandomPlayer
from xtra.stages import evaluate, resumable, train
from xtra.stages.config import EvaluateConfig, TrainConfig
from xtra.stages.context import StageContext, Stopped, StopRequest
from xtra.telemetry import Telemetry, read_progress

TRAIN: dict[str, Any] = {
    "environment": {"game": "Catch", "frame_size": 10},
    "agent": {
        "name": "efficientzero",
        "network": {"frame_stack": 2, "channels": 4, "num_halvings": 0, "head_channels": 2, "head_hidden": 8, "lstm_hidden": 8}
        | {"support": 5, "projection_hidden": 8, "projection_size": 8, "predictor_hidden": 4},
        "search": {"num_simulations": 3},
        "acting": {"num_envs": 3},
        "optimizer": {"batch_size": 6},
        "replay": {"min_transitions": 36},
    },
    "training": {"env_steps": 60, "final_updates": 20, "curve_interval": 45, "curve_episodes": 2, "checkpoint_interval": 10**9},
    "seed": 0,
}
"""No checkpoint by count. Of its moves 1 to 24 are the first 15 rows and their 9 updates, 25 to 34 the first evaluation."""
NUM_MOVES = 20 + 24 + 2 * (1 + 9)
"""Rows, updates, and two evaluations of 9 steps each, which begin with a move of their own."""


class StopAt(StopRequest):
    """As if SIGTERM came during each of these moves, counted over all attempts."""

    def __init__(self, *moves: int) -> None:
        super().__init__()
        self._moves = moves
        self._count = 0

    @property
    def requested(self) -> bool:
        self._count += 1
        if self._count in self._moves:
            self.signal_number = signal.SIGTERM
        return self.signal_number is not None


def run(directory: Path, attempt: Callable[[StageContext], None], stop: StopRequest, seconds: float = 1e9) -> StageContext:
    for name in ("work", "out"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    context = StageContext(directory / "work", directory / "out", {}, Telemetry(directory / "work"), stop, seconds)
    attempt(context)
    return context


def left(directory: Path) -> dict[str, bytes]:
    out = directory / "out"
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def training(context: StageContext) -> None:
    train.run(TrainConfig.model_validate(TRAIN), context)


def evaluating(context: StageContext) -> None:
    config = {"environment": TRAIN["environment"], "agent": {"name": "random"}, "evaluation": {"num_episodes": 3}, "seed": 4}
    evaluate.run(EvaluateConfig.model_validate(config), context)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("undisturbed")
    run(directory, training, StopRequest())
    return directory


@pytest.mark.parametrize("moves", [(1,), (3, 12), (25, 30), (45,), (58, 63)])
def test_a_training_asked_to_stop_at_any_move_saves_and_ends_as_if_it_had_not_been(
    undisturbed: Path, tmp_path: Path, moves: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    done = 0
    for move in moves:
        with pytest.raises(Stopped) as stopped:
            run(tmp_path, training, StopAt(move - done))
        done = move
        assert "env steps and" in stopped.value.resumes_from
        saved = read_progress(tmp_path / "work" / "checkpoints")
        assert saved is not None and saved.totals == {"env_steps": 60, "updates": 24}
        assert stopped.value.resumes_from == "{env_steps} env steps and {updates} updates".format_map(saved.figures)
    seen = StopAt()
    run(tmp_path, training, seen)
    assert f"going on from {stopped.value.resumes_from}" in capsys.readouterr().out
    assert left(tmp_path) == left(undisturbed)
    assert seen._count == NUM_MOVES - done  # no move is made twice


def test_when_checkpoints_come_changes_no_byte_of_what_a_run_leaves(undisturbed: Path, tmp_path: Path) -> None:
    run(tmp_path, training, StopRequest(), seconds=0.0)
    assert len(list((tmp_path / "work" / "checkpoints").glob("step-*"))) == 2
    assert left(tmp_path) == left(undisturbed)


def test_a_checkpoint_comes_after_so_much_time_whatever_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**6, 100))
    monkeypatch.setattr(resumable, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    saved: list[int] = []
    monkeypatch.setattr(resumable.Checkpoints, "save", lambda self, step, write: saved.append(step))
    (tmp_path / "work" / "checkpoints").mkdir(parents=True)
    run(tmp_path, training, StopRequest(), seconds=300.0)
    # The clock is read once a move and once a save, so a save is 100, the next move 200 and the one after it 300 seconds later.
    assert saved[:3] == [3, 6, 9]


@pytest.mark.parametrize("move", [1, 5, 8])
def test_an_evaluation_goes_on_between_two_steps(tmp_path: Path, move: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "whole", evaluating, StopRequest())
    with pytest.raises(Stopped, match=f"0 games and {move} env steps"):
        run(tmp_path / "cut", evaluating, StopAt(move))
    played: list[int] = []
    play = RandomPlayer.play

    def noted(self: RandomPlayer, stacks: Any, env_step: int) -> Any:
        played.append(env_step)
        return play(self, stacks, env_step)

    monkeypatch.setattr(RandomPlayer, "play", noted)
    run(tmp_path / "cut", evaluating, StopRequest())
    assert played == list(range(move, 9))
    assert left(tmp_path / "cut") == left(tmp_path / "whole")
    assert len(json.loads(left(tmp_path / "cut")["episodes.json"])) == 3


def test_an_evaluation_within_a_training_is_seen_in_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    publish = Telemetry.progress

    def noted(self: Telemetry, *arguments: Any, **options: Any) -> None:
        publish(self, *arguments, **options | {"force": True})
        seen.append(str(read_progress(self.directory)))

    monkeypatch.setattr(Telemetry, "progress", noted)
    with pytest.raises(Stopped):
        run(tmp_path, training, StopAt(34))
    lines = [line for line in seen if "evaluating" in line]
    assert lines[0] == "64 %  env_steps 45/60  updates 9/24  evaluating 0/2, env step 1"
    assert lines[-1] == "64 %  env_steps 45/60  updates 9/24  evaluating 2/2, env step 9"
