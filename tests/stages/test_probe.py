"""Stage `probe`: a row per predictor that is asked for, in its order, the same after a kill."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.stages import probe
from xtra.stages.config import ProbeConfig
from xtra.transfer.config import Predictor

from .small_offline import AGENT, Killed, context, make_dataset, view

EVERY = get_args(Predictor)
SMALL = {"env_steps": 100, "transitions": 48, "episodes": 3, "episode_env_steps": 20}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ...]]:
    directory = tmp_path_factory.mktemp("inputs")
    network = make_network(EfficientZeroConfig.model_validate(AGENT).network, 10, 0, torch.device("cpu"))
    torch.save(network.state_dict(), directory / "network.pt")
    source, target = make_dataset(directory / "source", "CatchInverted"), make_dataset(directory / "target", "Catch")
    return {"pretrained": (directory,), "dataset": (source,), "target": (target,)}


def measure(inputs: dict[str, tuple[Path, ...]], directory: Path, predictors: tuple[str, ...] = EVERY) -> list[dict[str, Any]]:
    settings = {
        "environment": view("Catch"),
        "games": ["CatchInverted"],
        "agent": AGENT,
        "probes": {**SMALL, "predictors": predictors},
        "num_threads": 1,
        "seed": 0,
    }
    probe.run(ProbeConfig.model_validate_json(json.dumps(settings)), context(directory, **inputs))
    rows: list[dict[str, Any]] = json.loads((directory / "out" / "probes.json").read_text())
    return rows


@pytest.fixture(scope="module")
def measured(inputs: dict[str, tuple[Path, ...]], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return measure(inputs, tmp_path_factory.mktemp("measured"))


def test_every_predictor_has_a_row_with_its_pair(measured: list[dict[str, Any]]) -> None:
    assert [row["predictor"] for row in measured] == list(EVERY)
    assert {row["source_game"] for row in measured} == {"CatchInverted"}
    assert all(row["value"] is not None and math.isfinite(row["value"]) for row in measured)


def test_what_is_known_of_the_pair_is_found(measured: list[dict[str, Any]]) -> None:
    values = {row["predictor"]: row["value"] for row in measured}
    assert values["action_overlap"] == 1.0
    assert values["value_prefix_fit.1"] == pytest.approx(-math.log(11))  # a fresh head, 11 bins
    # Most of a board is (0, 0, 0) in the one game and (230, 220, 200) in the other, 0.85 of white; ball and paddle differ less.
    assert -0.85 < values["picture_similarity"] < -0.75
    assert -1 <= values["zero_shot_return"] <= 1
    assert 0 <= values["cka"] <= 1


def test_a_predictor_does_not_depend_on_which_others_are_asked_for(
    inputs: dict[str, tuple[Path, ...]], measured: list[dict[str, Any]], tmp_path: Path
) -> None:
    alone = measure(inputs, tmp_path, ("cka", "gradient_cosine.dynamics"))
    expected = {row["predictor"]: row for row in measured}
    assert alone == [expected["cka"], expected["gradient_cosine.dynamics"]]
    # What each took stands apart, so that a job that is run again leaves the same rows.
    seconds = json.loads((tmp_path / "out" / "measured_seconds.json").read_text())
    assert set(seconds) == {"cka", "gradient_cosine.dynamics"}
    assert all(value >= 0 for value in seconds.values())


def test_a_killed_probe_goes_on_where_it_was(
    inputs: dict[str, tuple[Path, ...]], measured: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = iter([True, True])
    move = probe.Probing.move

    def counted(probing: probe.Probing) -> bool:
        if next(moves, None) is None:
            raise Killed
        return move(probing)

    with monkeypatch.context() as patched:
        patched.setattr(probe.Probing, "move", counted)
        patched.setattr(probe.Probing, "checkpoint_due", lambda _: True)
        with pytest.raises(Killed):
            measure(inputs, tmp_path)
    monkeypatch.setattr(probe.Pair, "zero_shot_return", None)  # measured before the kill, so not called again
    assert measure(inputs, tmp_path) == measured
