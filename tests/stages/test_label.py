"""Labels: one per transition, of the teacher's network or of its search, never on an action that the game does not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xtra.agents.efficientzero import planning
from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.observation import to_observations
from xtra.replay.config import ReplayConfig
from xtra.replay.offline import OfflineData
from xtra.search import SearchResult, search
from xtra.search.config import SearchConfig
from xtra.stages import label
from xtra.stages.config import LabelConfig
from xtra.store.files import DamagedError
from xtra.transfer.tasks import Labels

from .small_offline import AGENT, ENV_STEPS, context, make_dataset, view

VALID, OTHERS = [0, 3, 4], [i for i in range(18) if i not in (0, 3, 4)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ...]]:
    """A dataset, and a teacher whose policy and value depend on what it sees."""
    directory = tmp_path_factory.mktemp("inputs")
    data = make_dataset(directory / "data", "Catch")
    network = make_network(EfficientZeroConfig.model_validate(AGENT).network, 10, 0, torch.device("cpu"))
    with torch.no_grad():
        for head in (network.prediction.policy_head, network.prediction.value_head):
            torch.nn.init.normal_(head[-1].weight, generator=torch.Generator().manual_seed(0))
        rows = np.arange(ENV_STEPS)
        stacks = OfflineData.open(data).replay(ReplayConfig(), 0).stacks(rows, 0 * rows, 2)
        for _ in range(40):  # until the running statistics are those of the data
            network.train().initial_inference(to_observations(stacks, torch.device("cpu")))
    torch.save(network.state_dict(), directory / "network.pt")
    return {"dataset": (data,), "teacher": (directory,)}


def labels(inputs: dict[str, tuple[Path, ...]], directory: Path, policy: str) -> tuple[Labels, dict[str, Any]]:
    settings = {"environment": view("Catch"), "agent": AGENT, "policy": policy, "num_threads": 1, "seed": 0}
    label.run(LabelConfig.model_validate(settings), context(directory, **inputs))
    return Labels.load(directory / "out"), json.loads((directory / "out" / "summary.json").read_text())


def test_every_transition_has_the_networks_policy_over_the_games_actions_and_its_value(
    inputs: dict[str, tuple[Path, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label, "BATCH_SIZE", 32)  # so that the last batch is a rest
    made, summary = labels(inputs, tmp_path, "network")
    data = OfflineData.open(inputs["dataset"][0])
    rows = np.arange(ENV_STEPS)
    replay = data.replay(ReplayConfig(), 0)
    network = make_network(EfficientZeroConfig.model_validate(AGENT).network, 10, 0, torch.device("cpu")).eval()
    network.load_state_dict(torch.load(inputs["teacher"][0] / "network.pt", weights_only=True))
    with torch.no_grad():
        output = network.initial_inference(to_observations(replay.stacks(rows, 0 * rows, 2), torch.device("cpu")))
    np.testing.assert_allclose(made.teacher_values, output.value.numpy(), atol=1e-5)
    np.testing.assert_allclose(made.teacher_policies[:, VALID], output.policy_logits[:, VALID].softmax(1).numpy(), atol=1e-5)
    assert (made.teacher_policies[:, OTHERS] == 0).all()
    assert made.teacher_policies.std(0)[VALID].min() > 0.05
    taken = (made.teacher_policies.argmax(1) == replay.actions[rows, 0]).mean()
    assert summary == {
        "num_transitions": ENV_STEPS,
        "mean_entropy": pytest.approx(label.mean_entropy(made.teacher_policies)),
        "mean_value": pytest.approx(float(made.teacher_values.mean()), abs=1e-6),
        "action_agreement": pytest.approx(taken),
    }


def test_the_visits_of_a_search_are_labels_too_and_leave_the_values_as_they_are(
    inputs: dict[str, tuple[Path, ...]], tmp_path: Path
) -> None:
    network, _ = labels(inputs, tmp_path / "network", "network")
    search, _ = labels(inputs, tmp_path / "search", "search")
    quarters = search.teacher_policies * 4
    assert (quarters == quarters.round()).all()
    assert (search.teacher_policies.sum(1) == 1).all()
    assert (search.teacher_policies[:, OTHERS] == 0).all()
    assert (search.teacher_policies != network.teacher_policies).any()
    np.testing.assert_allclose(search.teacher_values, network.teacher_values, atol=1e-5)


def test_searches_on_a_gpu_have_one_shape_wherever_a_job_goes_on(
    inputs: dict[str, tuple[Path, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last bits depend on the shape there; here the planner is told that it captures its searches."""
    shapes: list[int] = []

    class PlainSearch:
        def __init__(self, network: EfficientZeroNetwork, config: SearchConfig) -> None:
            self._network, self._config = network, config

        def __call__(self, observations: torch.Tensor, *, fetch: bool, **arguments: Any) -> SearchResult:
            shapes.append(len(observations))
            return search(self._network, observations, self._config, **arguments)

    works: list[label.Labelling] = []
    monkeypatch.setattr(label, "complete", lambda work, context: works.append(work))
    monkeypatch.setattr(label, "BATCH_SIZE", 32)
    monkeypatch.setattr(planning.Planner, "_captures", lambda planner, observations: True)
    monkeypatch.setattr(planning, "GraphedSearch", PlainSearch)
    settings = {"environment": view("Catch"), "agent": AGENT, "policy": "search", "num_threads": 1, "seed": 0}
    for _ in range(2):
        label.run(LabelConfig.model_validate(settings), context(tmp_path, **inputs))
    whole, resumed = works
    for _ in range(ENV_STEPS // 32):
        whole.move()
    resumed.restore(whole.state())
    whole.move()
    resumed.move()
    assert shapes == [32] * len(shapes)
    for labelled, other in zip(whole.state().values(), resumed.state().values(), strict=True):
        assert len(labelled) == ENV_STEPS and np.array_equal(labelled, other)


def test_entropy_is_that_of_the_policies() -> None:
    half = np.zeros((2, 18), np.float32)
    half[0, 3] = 1.0
    half[1, [0, 4]] = 0.5
    assert label.mean_entropy(half) == pytest.approx(np.log(2) / 2)


def test_labels_that_cannot_be_read_are_called_damaged(inputs: dict[str, tuple[Path, ...]], tmp_path: Path) -> None:
    labels(inputs, tmp_path, "network")
    path = tmp_path / "out" / "labels.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DamagedError, match=r"labels\.npz: it cannot be read as labels"):
        Labels.load(tmp_path / "out")
