"""Finetuning: the loss's arithmetic, what is in a batch, what is measured, every control of it, and exact resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xtra import cuda_graphs
from xtra.agents.efficientzero import optimizer
from xtra.agents.efficientzero.agent import EfficientZeroLearner, make_network
from xtra.agents.efficientzero.batch import joined, to_tensors
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.copies import inference_copy
from xtra.agents.efficientzero.targets import TargetMaker
from xtra.agents.interface import NETWORK_FILE
from xtra.transfer.config import COMPONENTS, CrossTaskConfig, FinetuningConfig
from xtra.transfer.finetuning import FinetuningLearner, combined, make_finetuning_learner, only_terms

from ..agents.pretended import PretendedRecorder
from ..tiny_agent import CATCH, merged, tiny_run
from .small_tasks import AGENT, filled, task

CPU = torch.device("cpu")
TWO = [("CatchInverted", 11, 1.0), ("CatchMirrored", 12, 1.0)]
THREE = [*TWO, ("CatchRising", 13, 1.0)]
CONFIG = EfficientZeroConfig.model_validate(AGENT)
MIXED = {
    "cross_tasks": {"enabled": True, "batch_size": 6},
    "task_weights": {"start": 1, "interval": 4, "window": 2},
    "teacher": {},
}
OWN = {"cross_tasks": {"enabled": True, "batch_size": 6, "filled_by": "target"}, "task_weights": {"method": "uniform"}}


def learner(tasks: list[tuple[str, int, float]], weights: dict[str, Any] | None = None, **cross: Any) -> FinetuningLearner:
    changes = {"cross_tasks": cross, "task_weights": weights or {}}
    config = FinetuningConfig.model_validate(merged(MIXED, changes))
    return FinetuningLearner(CONFIG, CATCH, tiny_run(1, 50), config, [task(CONFIG, *made) for made in tasks])


def controlled(num_updates: int = 50, **finetuning: Any) -> FinetuningLearner:
    """Without source data in the loss; started from a network of other weights where something is to start from."""
    made = FinetuningLearner(CONFIG, CATCH, tiny_run(1, num_updates), FinetuningConfig.model_validate(finetuning), [])
    if "start" in finetuning or "retention" in finetuning:
        made.start_from(make_network(CONFIG.network, 10, 9, CPU).state_dict(), COMPONENTS, ())
    return made


def weights_of(made: EfficientZeroLearner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in made.network_state().items()}


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [
        # Losses 2 (target), 4 and 8 with weights 1 and 0.5; batches of 4, 2 and 2 samples.
        ("per_task", 2 + (4 + 4) / 2),
        ("paper_sum", 2 + 4 + 4),
        ("released", (4 * 2 + 2 * 4 + 2 * 4) / 8),
    ],
)
def test_each_normalization_is_its_formula(normalization: str, expected: float) -> None:
    losses, weights = torch.tensor([4.0, 8.0]), torch.tensor([1.0, 0.5])
    assert combined(torch.tensor(2.0), losses, weights, [4, 2, 2], normalization).item() == pytest.approx(expected)
    assert combined(torch.tensor(2.0), losses[:0], weights[:0], [4], normalization).item() == 2.0


def test_every_task_is_in_every_balanced_update() -> None:
    made, replay = learner(THREE), filled(CONFIG, 5)
    for update in range(5):
        batches = made.mixture.take(update, replay)
        assert [(one.task, len(one.sample.rows)) for one in batches] == [(0, 2), (1, 2), (2, 2)]


def test_the_shared_queue_is_as_long_but_its_mix_is_random() -> None:
    made, replay = learner(THREE, composition="shared_queue"), filled(CONFIG, 5)
    mixes = [tuple(one.task for one in made.mixture.take(update, replay)) for update in range(30)]
    assert {len(mix) for mix in mixes} == {3}
    assert len(set(mixes)) > 10


def test_offline_targets_are_the_teachers_and_are_never_searched() -> None:
    made = learner(TWO)
    made._planner.explore = None  # type: ignore[assignment, method-assign]
    (first, _) = made.mixture.take(0, filled(CONFIG, 5))
    discount = CONFIG.search.discount
    for i, row in enumerate(first.sample.rows.tolist()):
        left = 8 - row % 9
        reward = discount**left if left < 5 else 0.0
        teacher = discount**5 * 0.5 if left >= 5 else 0.0
        assert first.batch.values[i, 0] == pytest.approx(reward + teacher, abs=1e-6)


def test_one_joint_pass_gives_each_task_the_losses_of_its_own_samples() -> None:
    """In evaluation mode batch norm does not mix samples, so joint and separate passes must agree."""
    made = learner(TWO, forward="joint")
    batches = [to_tensors(one.batch, CONFIG, CPU, 0) for one in made.mixture.take(0, filled(CONFIG, 5))]
    made._network.eval()
    joint = made._losses(batches)
    separate = learner(TWO, forward="separate")
    separate._network = made._network
    for together, alone in zip(joint, separate._losses(batches), strict=True):
        for name in ("value_prefix", "policy", "value", "consistency"):
            torch.testing.assert_close(getattr(together.losses, name), getattr(alone.losses, name))
    assert len(joined(batches).weights) == 6


def test_a_measurement_is_logged_in_its_window_and_sets_the_weights_after_it() -> None:
    made, replay = learner(TWO, {"initial": 0.7}), filled(CONFIG, 5)
    seen = [made.update(replay, update) for update in range(4)]
    assert ["gradient_similarity/CatchInverted" in metrics for metrics in seen] == [False, True, True, False]
    assert {row["updates"] for row in made.task_weight_rows()} == {3}
    # The window's last update still goes by the weight of before.
    assert [metrics["task_weight/CatchInverted"] for metrics in seen[:3]] == [0.7] * 3
    assert seen[3]["task_weight/CatchInverted"] == made.task_weight_rows()[0]["weight"]


def test_a_task_with_the_targets_own_data_points_where_the_target_does() -> None:
    """One network, one batch as target and as task: the cosine of equal gradients is 1."""
    made = learner([("CatchInverted", 5, 1.0)])
    (one,) = made.mixture.take(0, filled(CONFIG, 5))
    batch = to_tensors(one.batch, CONFIG, CPU, 0)
    made._network.train()
    assert made._similarities(made._losses([batch, batch]), [0]) == pytest.approx({"CatchInverted": 1.0}, abs=1e-6)


def test_terms_that_are_not_measured_have_no_gradient() -> None:
    weights = only_terms(EfficientZeroConfig(), ["policy"]).optimizer
    assert (weights.policy_weight, weights.value_weight, weights.value_prefix_weight, weights.consistency_weight) == (1, 0, 0, 0)


def test_with_nothing_mixed_in_and_nothing_held_back_it_is_training_from_scratch() -> None:
    plain, made = EfficientZeroLearner(CONFIG, CATCH, tiny_run(1, 50)), controlled()
    for update in range(4):
        expected = plain.update(filled(CONFIG, 5), update)
        assert made.update(filled(CONFIG, 5), update) == expected
    assert all(torch.equal(value, made.network_state()[name]) for name, value in plain.network_state().items())


def test_the_share_falls_in_eight_equal_steps() -> None:
    config = CrossTaskConfig(final_share=0.2, anneal_updates=80)
    assert [config.share(update) for update in (0, 9, 10, 40, 79)] == pytest.approx([1.0, 1.0, 0.9, 0.6, 0.3])
    assert config.share(80) == config.share(10_000) == pytest.approx(0.2)
    assert CrossTaskConfig().share(10**6) == 1.0


def test_an_annealed_share_takes_samples_away_and_leaves_each_sample_its_weight() -> None:
    made, replay = learner(TWO, final_share=0.0, anneal_updates=8, batch_size=16), filled(CONFIG, 5)
    sizes, factors = [], []
    for update in range(10):
        batches = made.mixture.take(update, replay)
        sizes.append(sum(len(one.sample.rows) for one in batches))
        factors.append(made._factors([one.task for one in batches], update)[:-1].tolist())
    assert sizes == [16, 14, 12, 10, 8, 6, 4, 2, 0, 0]
    # Two means over half of `size` samples each, summed with these factors / 2: every sample counts 1 / 16.
    assert [factor[0] for factor in factors[:8]] == pytest.approx([size / 16 for size in sizes[:8]])
    assert factors[8:] == [[], []]
    metrics = made.update(replay, 9)
    assert "loss/CatchInverted" not in metrics


def test_the_targets_own_data_fill_the_share_with_other_samples_and_their_priorities_are_set() -> None:
    made, replay = controlled(**OWN), filled(CONFIG, 5)
    own, _ = made.make_batch(replay, 0)
    (one,) = made.mixture.take(0, replay)
    assert len(one.sample.rows) == 6
    assert one.sample.rows.tolist() != own.rows.tolist()
    metrics = made.update(replay, 0)
    assert metrics["task_weight/Catch"] == 1.0
    changed = set(np.flatnonzero(replay.priorities[:, 0] != 1.0).tolist()) - set(range(replay.num_rows, 10**6))
    drawn = {*own.rows.tolist(), *one.sample.rows.tolist()}
    assert {row for row in changed if replay.priorities[row, 0] > 0} == drawn


def test_held_back_by_a_great_strength_the_weights_hardly_move_and_by_none_they_do() -> None:
    start = dict(make_network(CONFIG.network, 10, 9, CPU).named_parameters())
    moved = {}
    for strength in (0.0, 30.0):
        made, replay = controlled(start={}, retention={"method": "l2_sp", "strength": strength}), filled(CONFIG, 5)
        for update in range(12):
            made.update(replay, update)
        moved[strength] = sum((p.detach() - start[n]).square().sum().item() for n, p in made._network.named_parameters())
    assert moved[30.0] < 0.5 * moved[0.0]


@pytest.mark.parametrize("retention", [{"method": "l2_sp", "strength": 3.0}, {"method": "kickstarting", "strength": 5.0}])
def test_the_penalty_is_added_to_the_loss_with_its_decayed_strength(retention: dict[str, Any]) -> None:
    """The same network and batch with and without it: what differs is strength x decay^update x penalty."""
    made, plain = (controlled(start={}, **more) for more in ({"retention": {**retention, "decay": 0.5}}, {}))
    weights = make_network(CONFIG.network, 10, 4, CPU).state_dict()
    with torch.no_grad():
        weights["prediction.policy_head.3.bias"][0] = 2.0
    for one in (made, plain):
        one._network.load_state_dict(weights)
    _, batch = plain.make_batch(filled(CONFIG, 5), 2)
    penalty = made._retention.penalty(made._network, batch.observation).item()  # type: ignore[union-attr]
    assert penalty > 0
    losses = [one.update(filled(CONFIG, 5), 2)["loss"] for one in (made, plain)]
    # Kickstarting's own pass comes after the loss's, by whose batch the running statistics have moved a little.
    assert losses[0] - losses[1] == pytest.approx(retention["strength"] * 0.25 * penalty, rel=0.15)


def test_batch_norm_comes_to_know_the_target_before_the_first_update_in_all_copies() -> None:
    made, other = controlled(start={"batch_norm": "target"}), controlled(start={})
    replay = filled(CONFIG, 5)
    before = weights_of(made)
    made._adapt_batch_norm(replay)
    other._adapt_batch_norm(replay)
    after = weights_of(made)
    changed = {name.rsplit(".", 1)[1] for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"running_mean", "running_var"}
    state = made.state()
    folded = inference_copy(made._network, "float32").state_dict()
    for copy, expected in {"acting": folded, "target": folded, "next_target": after}.items():
        assert state[copy].keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in state[copy].items()), copy
    assert all(torch.equal(value, before[name]) for name, value in weights_of(other).items())
    # The first layer's mean, by hand: over the latents' first convolution of the batches that were drawn.
    conv, bn = made._network.representation.stages[0], made._network.representation.stages[1]
    with torch.no_grad():
        means = []
        for place in range(10):
            _, batch = made.make_batch(replay, 50 + place)
            means.append(conv(batch.observation).mean((0, 2, 3)))
            means += [conv(observation).mean((0, 2, 3)) for observation in batch.next_observations]
    torch.testing.assert_close(bn.running_mean, torch.stack(means).mean(0), rtol=1e-4, atol=1e-5)


def test_no_target_of_an_update_is_older_than_the_statistics_that_batch_norm_was_given() -> None:
    """The batches that these were estimated on have numbers of the first period, in which nothing is searched twice."""
    targets = {"reanalysis": "per_period", "target_update_interval": 200, "value_source": "search"}
    config = EfficientZeroConfig.model_validate(merged(AGENT, {"targets": targets}))
    pretrained = EfficientZeroLearner(config, CATCH, tiny_run(9))
    pretrained.randomize_heads()
    finetuning = FinetuningConfig.model_validate({"start": {"batch_norm": "target"}})
    made, replay = FinetuningLearner(config, CATCH, tiny_run(1, 50), finetuning), filled(config, 5)
    made.start_from(pretrained.network.state_dict(), COMPONENTS, ())
    made._adapt_batch_norm(replay)
    sample, batch = made.make_batch(replay, 0)
    fresh = TargetMaker(config, made._planner, 1).make(replay, sample, made._target.network, 0)
    np.testing.assert_array_equal(batch.policies.numpy(), fresh.policies)
    assert len(np.unique(fresh.policies)) > 3  # where nothing is told apart, what is stale would be equal, too


def test_each_component_learns_at_its_own_rate() -> None:
    """Plain gradient steps: halving a component's rate halves what its first step changes; 0 leaves it."""
    plain = {"momentum": 0.0, "weight_decay": 0.0, "max_gradient_norm": 1e9}
    config = EfficientZeroConfig.model_validate(merged(AGENT, {"optimizer": plain}))
    steps = []
    for rates in (None, {"representation": 0.5, "dynamics": 0.0}):
        finetuning = FinetuningConfig.model_validate({"learning_rates": rates})
        made = FinetuningLearner(config, CATCH, tiny_run(1, 50), finetuning, [])
        before = {name: value.detach().clone() for name, value in made._network.named_parameters()}
        made.update(filled(config, 5), 0)
        steps.append({name: value.detach() - before[name] for name, value in made._network.named_parameters()})
    factor = {"representation": 0.5, "dynamics": 0.0, "prediction": 1.0, "projection": 1.0}
    for name, step in steps[0].items():
        torch.testing.assert_close(steps[1][name], factor[name.split(".")[0]] * step, rtol=1e-4, atol=1e-7)
    assert any(step.any() for name, step in steps[0].items() if name.startswith("dynamics"))


VARIANTS: dict[str, dict[str, Any]] = {
    "target": OWN,
    "l2_sp": {"start": {}, "retention": {"method": "l2_sp"}},
    "kickstarting": {"start": {}, "retention": {"method": "kickstarting", "decay": 0.9}},
    "batch_norm": {"start": {"batch_norm": "target"}},
    "learning_rates": {"learning_rates": {"representation": 0.1}},
}


@pytest.mark.parametrize("variant", ["cross_tasks", *VARIANTS])
def test_finetuning_resumes_bit_for_bit(variant: str) -> None:
    """Stopped inside a measuring window, with a batch drawn ahead."""

    def fresh() -> FinetuningLearner:
        return learner(TWO) if variant == "cross_tasks" else controlled(**VARIANTS[variant])

    whole, first, second = fresh(), fresh(), fresh()
    replay, early = filled(CONFIG, 5), filled(CONFIG, 5)
    for update in range(6):
        whole.update(replay, update)
    for update in range(2):
        first.update(early, update)
    second.restore(first.state())
    for update in range(2, 6):
        second.update(early, update)
    assert whole.task_weight_rows() == second.task_weight_rows()
    for name, value in whole.network_state().items():
        assert torch.equal(value, second.network_state()[name]), name


@pytest.mark.parametrize("variant", ["balanced", "shared_queue", *VARIANTS])
def test_captured_updates_are_those_that_run_kernel_by_kernel(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device, of which CPU plays the part; batches of 3, 2 and 2 samples take turns, and some updates measure gradients."""
    cross: dict[str, dict[str, Any]] = {
        "balanced": {"batch_size": 7},
        "shared_queue": {"composition": "shared_queue", "loss_normalization": "released"},
    }
    monkeypatch.setattr(optimizer, "steps_on_device", lambda device: True)
    monkeypatch.setattr(cuda_graphs, "CudaRecorder", lambda device: PretendedRecorder())
    runs = []
    for captured in (False, True):
        monkeypatch.setattr(cuda_graphs, "graphs_are_wanted", lambda device, captured=captured: captured)
        made = learner(THREE, **cross[variant]) if variant in cross else controlled(**VARIANTS[variant])
        replay = filled(CONFIG, 5)
        runs.append([made.update(replay, update) for update in range(12)])
    assert str(runs[0]) == str(runs[1])  # NaN stands for what was not drawn
    assert all(graph.replays for graph in made._learn_jointly.captured.values())


def test_a_finetuning_is_put_together_from_its_inputs(tmp_path: Path) -> None:
    pretrained = make_network(CONFIG.network, 10, 9, CPU).state_dict()
    torch.save(pretrained, tmp_path / NETWORK_FILE)
    finetuning = FinetuningConfig.model_validate({"start": {"components": ("representation",), "retained": 0.5}})
    made = make_finetuning_learner(CONFIG, CATCH, finetuning, {"pretrained": (tmp_path,)}, tiny_run(1))
    fresh = make_network(CONFIG.network, 10, 1, CPU).state_dict()
    name = "representation.stages.0.weight"
    torch.testing.assert_close(made.network_state()[name], (pretrained[name] + fresh[name]) / 2)
    assert torch.equal(made.network_state()["dynamics.conv.weight"], fresh["dynamics.conv.weight"])
