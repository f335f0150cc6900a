"""Finetuning with offline tasks: the loss's arithmetic, what is in a batch, what is measured, and exact resume."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from xtra import cuda_graphs
from xtra.agents.efficientzero import optimizer
from xtra.agents.efficientzero.batch import joined, to_tensors
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.interface import TrainingRun
from xtra.transfer.config import CrossTaskConfig, TaskWeightConfig, TeacherConfig
from xtra.transfer.cross_tasks import CrossTaskLearner, combined, only_terms

from ..agents.pretended import PretendedRecorder
from ..tiny_agent import CATCH
from .small_tasks import AGENT, filled, task


def learner(
    tasks: list[tuple[str, int, float]], weights: dict[str, Any] | None = None, **cross: Any
) -> tuple[CrossTaskLearner, EfficientZeroConfig]:
    config = EfficientZeroConfig.model_validate(AGENT)
    made = CrossTaskLearner(
        config,
        CATCH,
        TrainingRun(num_updates=50, env_step_updates=50, seed=1, num_threads=1, device=torch.device("cpu")),
        [task(config, game, seed, reward) for game, seed, reward in tasks],
        CrossTaskConfig(enabled=True, **{"batch_size": 6, **cross}),
        TaskWeightConfig.model_validate({"start": 1, "interval": 4, "window": 2, **(weights or {})}),
        TeacherConfig(),
    )
    return made, config


TWO = [("CatchInverted", 11, 1.0), ("CatchMirrored", 12, 1.0)]


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [
        # Losses 2 (target), 4 and 8 with weights 1 and 0.5; batches of 4, 2 and 2 samples.
        ("per_task", 2 + (4 + 4) / 2),
        ("paper_sum", 2 + 4 + 4),
        ("released", (4 * 2 + 2 * 4 + 2 * 4) / 8),
    ],
)
def test_each_normalisation_is_its_formula(normalization: str, expected: float) -> None:
    losses, weights = torch.tensor([4.0, 8.0]), torch.tensor([1.0, 0.5])
    assert combined(torch.tensor(2.0), losses, weights, [4, 2, 2], normalization).item() == pytest.approx(expected)


def test_every_task_is_in_every_balanced_update() -> None:
    made, _ = learner([*TWO, ("CatchRising", 13, 1.0)])
    for update in range(5):
        drawn = made._offline.take(update)
        assert [(d.task, len(d.sample.rows)) for d in drawn] == [(0, 2), (1, 2), (2, 2)]


def test_the_shared_queue_is_as_long_but_its_mix_is_random() -> None:
    made, _ = learner([*TWO, ("CatchRising", 13, 1.0)], composition="shared_queue")
    mixes = [tuple(d.task for d in made._offline.take(update)) for update in range(30)]
    assert {len(mix) for mix in mixes} == {3}
    assert len(set(mixes)) > 10


def test_offline_targets_are_the_teachers_and_are_never_searched() -> None:
    made, config = learner(TWO)
    made._planner.explore = None  # type: ignore[assignment, method-assign]
    (first, _) = made._offline.take(0)
    discount = config.search.discount
    for i, row in enumerate(first.sample.rows.tolist()):
        left = 8 - row % 9
        reward = discount**left if left < 5 else 0.0
        teacher = discount**5 * 0.5 if left >= 5 else 0.0
        assert first.batch.values[i, 0] == pytest.approx(reward + teacher, abs=1e-6)


def test_one_joint_pass_gives_each_task_the_losses_of_its_own_samples() -> None:
    """In evaluation mode batch norm does not mix samples, so joint and separate passes must agree."""
    made, _ = learner(TWO, forward="joint")
    drawn = made._offline.take(0)
    batches = [to_tensors(d.batch, made._config, torch.device("cpu"), 0) for d in drawn]
    made._network.eval()
    joint = made._losses(batches)
    made._cross = made._cross.model_copy(update={"forward": "separate"})
    for together, alone in zip(joint, made._losses(batches), strict=True):
        for name in ("value_prefix", "policy", "value", "consistency"):
            torch.testing.assert_close(getattr(together.losses, name), getattr(alone.losses, name))
    assert len(joined(batches).weights) == 6


def test_a_measurement_is_logged_in_its_window_and_sets_the_weights_after_it() -> None:
    made, config = learner(TWO, {"initial": 0.7})
    replay = filled(config, 5)
    seen = [made.update(replay, update) for update in range(4)]
    assert ["gradient_similarity/CatchInverted" in metrics for metrics in seen] == [False, True, True, False]
    assert {row["updates"] for row in made.task_weight_rows()} == {3}
    # The window's last update still goes by the weight of before.
    assert [metrics["task_weight/CatchInverted"] for metrics in seen[:3]] == [0.7] * 3
    assert seen[3]["task_weight/CatchInverted"] == made.task_weight_rows()[0]["weight"]


def test_a_task_with_the_targets_own_data_points_where_the_target_does() -> None:
    """One network, one batch as target and as task: the cosine of equal gradients is 1."""
    made, config = learner([("CatchInverted", 5, 1.0)], batch_size=6)
    (drawn,) = made._offline.take(0)
    batch = to_tensors(drawn.batch, config, torch.device("cpu"), 0)
    made._network.train()
    assert made._similarities(made._losses([batch, batch]), [0]) == pytest.approx({"CatchInverted": 1.0}, abs=1e-6)


@pytest.mark.parametrize("cross", [{"batch_size": 7}, {"composition": "shared_queue", "loss_normalization": "released"}])
def test_captured_updates_with_offline_tasks_are_those_that_run_kernel_by_kernel(
    cross: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device, of which CPU plays the part; batches of 3, 2 and 2 samples take turns, and some updates measure gradients."""
    monkeypatch.setattr(optimizer, "steps_on_device", lambda device: True)
    monkeypatch.setattr(cuda_graphs, "CudaRecorder", lambda device: PretendedRecorder())
    found = []
    for captured in (False, True):
        monkeypatch.setattr(cuda_graphs, "graphs_are_wanted", lambda device, captured=captured: captured)
        made, config = learner([*TWO, ("CatchRising", 13, 1.0)], **cross)
        replay = filled(config, 5)
        found.append([made.update(replay, update) for update in range(12)])
    assert str(found[0]) == str(found[1])  # NaN stands for what was not drawn
    assert all(graph.replays for graph in made._learn_jointly.captured.values())


def test_terms_that_are_not_measured_have_no_gradient() -> None:
    config = only_terms(EfficientZeroConfig(), ["policy"])
    weights = config.optimizer
    assert (weights.policy_weight, weights.value_weight, weights.value_prefix_weight, weights.consistency_weight) == (1, 0, 0, 0)


def test_finetuning_resumes_bit_for_bit_with_its_offline_tasks() -> None:
    """Stopped inside a measuring window, with a batch drawn ahead."""
    whole, config = learner(TWO)
    replay = filled(config, 5)
    first, _ = learner(TWO)
    early = filled(config, 5)
    for update in range(6):
        whole.update(replay, update)
    for update in range(2):
        first.update(early, update)
    second, _ = learner(TWO)
    second.restore(first.state())
    for update in range(2, 6):
        second.update(early, update)
    assert whole.task_weight_rows() == second.task_weight_rows()
    for name, value in whole.network_state().items():
        assert torch.equal(value, second.network_state()[name]), name
