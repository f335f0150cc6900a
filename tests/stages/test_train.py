"""Training end to end on the built-in game: repeatable, resumable from any moment, stopped when it diverges."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.stages import evaluate, train
from xtra.stages.config import EvaluateConfig, TrainConfig
from xtra.stages.context import Diverged, StageContext
from xtra.store.files import StoreError, sha256
from xtra.telemetry import Telemetry

from ..tiny_agent import NETWORK

CONFIG: dict[str, Any] = {
    "environment": {"game": "Catch", "frame_size": 10},
    "agent": {
        "name": "efficientzero",
        "network": NETWORK,
        "search": {"num_simulations": 4},
        "acting": {"num_envs": 3, "network_update_interval": 7},
        "targets": {"target_update_interval": 5, "reanalyze_fraction": 0.75},
        "optimizer": {"batch_size": 8, "learning_rate": 0.02, "warmup_updates": 10},
        "replay": {"min_transitions": 60},
    },
    "training": {"env_steps": 120, "final_updates": 70, "curve_interval": 60, "curve_episodes": 3, "checkpoint_interval": 11},
    "seed": 0,
}


def config(seed: int = 0, **optimizer: float) -> TrainConfig:
    agent = CONFIG["agent"] | {"optimizer": CONFIG["agent"]["optimizer"] | optimizer}
    return TrainConfig.model_validate(CONFIG | {"seed": seed, "agent": agent})


def context(directory: Path, **inputs: tuple[Path, ...]) -> StageContext:
    for name in ("work", "out"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    return StageContext(directory / "work", directory / "out", inputs, Telemetry(directory / "work"))


def outputs(directory: Path) -> dict[str, Any]:
    """Everything a run leaves, comparable."""
    out = directory / "out"
    network = torch.load(out / "network.pt", weights_only=True)
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.suffix in {".json", ".jsonl"}}
    segments = sorted(path.name for path in (out / "replay").iterdir())  # a segment's name holds its hash
    return {"network": network, "files": files | {"segments": "\n".join(segments).encode()}}


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    networks = all(torch.equal(a["network"][name], b["network"][name]) for name in a["network"])
    return networks and a["files"] == b["files"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished")
    train.run(config(), context(directory))
    return directory


def test_a_run_leaves_its_network_curve_replay_and_metrics(finished: Path) -> None:
    out = finished / "out"
    # 120 env steps in rows of 3; updates begin at 60 transitions, one per env step, and go on to 70.
    assert json.loads((out / "summary.json").read_text()) == {"env_steps": 120, "updates": 70}
    curve = json.loads((out / "curve.json").read_text())
    assert [(point["env_steps"], point["updates"], point["num_episodes"]) for point in curve] == [(60, 0, 3), (120, 70, 3)]
    assert all(-1 <= point["score"] <= 1 for point in curve)
    assert len(list((out / "replay").iterdir())) >= 1
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert sum("loss" in line for line in metrics) == 3
    # Every episode of Catch takes 9 steps: 3 environments, 40 rows.
    assert sum("episode_return" in line for line in metrics) == 3 * (40 // 9)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(finished: Path, tmp_path: Path) -> None:
    train.run(config(), context(tmp_path / "again"))
    train.run(config(seed=1), context(tmp_path / "other"))
    assert equal(outputs(tmp_path / "again"), outputs(finished))
    assert not equal(outputs(tmp_path / "other"), outputs(finished))


class Killed(BaseException):
    """Not an Exception: nothing may catch it."""


@pytest.mark.parametrize("stops", [[1], [30], [75], [50, 51, 20]])
def test_a_run_stopped_at_any_move_and_started_again_ends_as_if_it_had_not_stopped(
    finished: Path, tmp_path: Path, stops: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    move = train.OnlineTraining.move
    moves = {"left": 0}

    def counted(training: train.OnlineTraining) -> bool:
        moves["left"] -= 1
        if moves["left"] == 0:
            raise Killed
        return move(training)

    monkeypatch.setattr(train.OnlineTraining, "move", counted)
    for stop in stops:
        moves["left"] = stop
        with pytest.raises(Killed):
            train.run(config(), context(tmp_path))
    moves["left"] = -1
    train.run(config(), context(tmp_path))
    assert equal(outputs(tmp_path), outputs(finished))


def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.OnlineTraining, "save_outputs", lambda training: None)
    train.run(config(), context(tmp_path))
    monkeypatch.undo()
    newest = max((tmp_path / "work" / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    segments = sorted((tmp_path / "work" / "replay").iterdir())
    segments[-1].write_bytes(b"")
    train.run(config(), context(tmp_path))
    assert equal(outputs(tmp_path), outputs(finished))


@pytest.mark.parametrize("fault", ["of another release", "segment lost", "segment altered"])
def test_a_run_none_of_whose_checkpoints_will_do_begins_anew_at_the_next_attempt(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "SEGMENT_ROWS", 15)
    train.run(config(), context(tmp_path / "undisturbed"))
    disturbed = context(tmp_path / "disturbed")
    with monkeypatch.context() as patch:
        patch.setattr(train.OnlineTraining, "save_outputs", lambda training: None)
        train.run(config(), disturbed)
    first_segment = min((disturbed.work / "replay").iterdir())
    match fault:
        case "of another release":
            for path in list((disturbed.work / "checkpoints").glob("step-*")):
                state = torch.load(path, weights_only=False)
                del state["work"]["learner"]["target"]
                torch.save(state, path)
                path.rename(path.with_name(f"{path.name[:17]}-{sha256(path)}"))
        case "segment lost":
            first_segment.unlink()
        case "segment altered":
            first_segment.write_bytes(first_segment.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match="checkpoints-refused: no checkpoint was of use, and all are put aside there; run again"):
        train.run(config(), disturbed)
    train.run(config(), disturbed)
    assert equal(outputs(tmp_path / "disturbed"), outputs(tmp_path / "undisturbed"))


def test_a_loss_that_is_not_finite_stops_the_run_and_saves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update = EfficientZeroLearner.update

    def poisoned(learner: EfficientZeroLearner, replay: Any, number: int) -> dict[str, float]:
        if number == 5:
            learner.network_state()["representation.stages.0.weight"].fill_(float("nan"))
        return update(learner, replay, number)

    monkeypatch.setattr(EfficientZeroLearner, "update", poisoned)
    with pytest.raises(Diverged, match="update 5: the loss is nan"):
        train.run(config(), context(tmp_path))
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["updates"] == 5


def test_a_trained_network_is_scored_on_whole_games(finished: Path, tmp_path: Path) -> None:
    settings = {"environment": CONFIG["environment"], "evaluation": {"num_episodes": 5, "max_episode_env_steps": 50}, "seed": 3}
    trained = EvaluateConfig.model_validate(settings | {"agent": CONFIG["agent"]})
    evaluate.run(trained, context(tmp_path / "trained", network=(finished / "out",)))
    episodes = json.loads((tmp_path / "trained" / "out" / "episodes.json").read_text())
    assert [episode["episode"] for episode in episodes] == [0, 1, 2, 3, 4]
    assert all(episode["episode_return"] in (-1.0, 1.0) and episode["episode_env_steps"] == 9 for episode in episodes)
    evaluate.run(EvaluateConfig.model_validate(settings | {"agent": {"name": "random"}}), context(tmp_path / "random"))
    summary = json.loads((tmp_path / "random" / "out" / "summary.json").read_text())
    assert summary["num_episodes"] == 5
    assert summary["score_rule"] == "mean_episode_return"
