"""Targets and losses against cases worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from xtra.agents.efficientzero.agent import temperature
from xtra.agents.efficientzero.batch import TensorBatch
from xtra.agents.efficientzero.config import EfficientZeroConfig, TargetConfig
from xtra.agents.efficientzero.losses import Losses, Masks, total_loss, unroll_losses
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.optimizer import learning_rate
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.efficientzero.targets import (
    TargetMaker,
    bootstrap_discounts,
    discounted_rewards,
    takes_n_step,
    td_horizon,
    value_prefix_targets,
    value_targets,
)
from xtra.agents.observation import to_observations
from xtra.protocol.games import ActionSpace
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.replay.window import Window
from xtra.search import ModelOutput

from ..tiny_agent import merged, tiny_config


def tiny(**changes: dict[str, Any]) -> EfficientZeroConfig:
    """Two unrolled steps, two rewards, half a discount."""
    return tiny_config(**merged({"search": {"discount": 0.5}, "targets": {"num_unroll_steps": 2, "td_steps": 2}}, changes))


def test_value_prefixes_are_undiscounted_sums_that_start_anew_at_the_lstm_horizon() -> None:
    rewards = np.array([[1, 0, -1, 1, 1, 1, 1]], np.float32)
    assert value_prefix_targets(rewards, 5).tolist() == [[1, 1, 0, 1, 2, 1, 2]]
    assert value_prefix_targets(rewards, 3).tolist() == [[1, 1, 0, 1, 2, 3, 1]]


def test_values_are_n_step_returns_with_each_samples_own_horizon() -> None:
    rewards = np.array([[1, 2, 4, 8], [1, 2, 4, 8]], np.float32)
    bootstrap = np.array([[16, 32], [16, 32]], np.float32)
    # discount 1/2. n = 2: 1 + 2/2 + 16/4 = 6, 2 + 4/2 + 32/4 = 12. n = 1: 1 + 16/2 = 9, 2 + 32/2 = 18.
    horizon = np.array([2, 1])
    targets = bootstrap, bootstrap_discounts(horizon, 0.5), discounted_rewards(rewards, horizon, 0.5, 2)
    assert value_targets(*map(torch.from_numpy, targets)).tolist() == [[6, 12], [9, 18]]


@pytest.mark.parametrize(("age", "steps"), [(0, 5), (29_999, 5), (30_000, 4), (90_000, 2), (120_000, 1), (10**6, 1)])
def test_older_transitions_look_less_far_ahead(age: int, steps: int) -> None:
    assert td_horizon(np.array([age]), TargetConfig()).tolist() == [steps]


@pytest.mark.parametrize(
    ("update", "rate"), [(0, 0.0), (500, 0.1), (1_000, 0.2), (100_999, 0.2), (101_000, 0.02), (119_999, 0.02)]
)
def test_the_learning_rate_warms_up_and_drops_late(update: int, rate: float) -> None:
    assert learning_rate(update, EfficientZeroConfig().optimizer) == pytest.approx(rate)


def test_temperature_and_importance_exponent_follow_their_schedules() -> None:
    config = EfficientZeroConfig()
    temperatures = [temperature(updates, 100_000, config.acting) for updates in (0, 49_999, 50_000, 74_999, 75_000, 120_000)]
    assert temperatures == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    corrections = [config.replay.importance_exponent(update, 120_001) for update in (0, 60_000, 120_000)]
    assert corrections == pytest.approx([0.4, 0.7, 1.0])


class MeanFrame:
    """A target network whose value is the mean of the newest frame, so that a target tells which observation it saw."""

    def __init__(self) -> None:
        self._parameters = [torch.zeros(1)]

    def parameters(self) -> Any:
        return iter(self._parameters)

    def initial_inference(self, observations: torch.Tensor) -> ModelOutput:
        value = observations[:, -3:].mean((1, 2, 3)) * 255
        zero = torch.zeros(len(value), 1)
        return ModelOutput(zero, zero, zero[:, 0], value, torch.zeros(len(value), 18))


def test_a_batch_holds_what_followed_each_sample_and_nothing_past_the_end() -> None:
    config = tiny(targets={"reanalyze_fraction": 0.0})
    replay = ReplayBuffer(config.replay, 1, (2, 2, 3), 18, window=4, expected_transitions=20)
    for row in range(8):
        policy = np.eye(18, dtype=np.float32)[[row]]
        frame = np.full((1, 2, 2, 3), 10 * row, np.uint8)
        reward = np.array([row], np.float32)
        final = np.full((1, 2, 2, 3), 200 + row, np.uint8)
        replay.append(frame, np.array([row]), reward, np.array([row == 4]), policy, np.zeros(1, np.float32), final)
    sample = Sample(np.array([0, 3]), np.array([0, 0]), np.ones(2, np.float32))
    maker = TargetMaker(config, Planner(config.search, ActionSpace.of("ale18", "Catch"), 0, 1), 0)
    batch = maker.make(replay, sample, MeanFrame(), 0)  # type: ignore[arg-type]
    assert batch.frames[..., 0, 0, 0].tolist() == [[0, 0, 10, 20], [20, 30, 40, 204]]
    assert batch.alive.tolist() == [[True, True, True], [True, True, False]]
    # What was seen after the last action, of row 4, is known, and no row of the replay.
    assert batch.observed.tolist() == [[True, True], [True, True]]
    assert batch.actions[0].tolist() == [0, 1]
    assert batch.actions[1].tolist() == [3, 4]
    # Rewards 0 1 2 3 4 clipped to signs: 0 1 1 1 1, then the end.
    assert batch.value_prefixes.tolist() == [[0, 1], [1, 2]]
    # discount 1/2, n = 2. Row 0: 0 + 1/2 + 20/4; row 1: 1 + 1/2 + 30/4; row 2: 1 + 1/2 + 40/4. Rows 3, 4 bootstrap past the end.
    assert batch.values.tolist() == [[5.5, 9.0, 11.5], [1.5, 1.0, 0.0]]
    assert batch.policies.argmax(-1)[0].tolist() == [0, 1, 2]
    assert batch.policies.sum(-1).tolist() == [[1, 1, 1], [1, 1, 0]]


def test_reanalysis_replaces_policies_for_its_share_of_the_batch_and_only_within_trajectories() -> None:
    config = tiny(targets={"reanalyze_fraction": 0.5})
    replay = ReplayBuffer(config.replay, 1, (10, 10, 3), 18, window=4, expected_transitions=20)
    stored = np.eye(18, dtype=np.float32)[[17]]
    for row in range(6):
        frame = np.full((1, 10, 10, 3), row, np.uint8)
        replay.append(frame, np.array([0]), np.ones(1, np.float32), np.array([row == 1]), stored, np.zeros(1, np.float32))
    sample = Sample(np.array([0, 0]), np.array([0, 0]), np.ones(2, np.float32))
    network = EfficientZeroNetwork(config.network, 10).eval()
    maker = TargetMaker(config, Planner(config.search, ActionSpace.of("ale18", "Catch"), 0, 1), 0)
    policies = maker.make(replay, sample, network, 0).policies
    # 4 simulations over ids 0, 3, 4: shares of 1/4, nothing on the stored policy's 17 and nothing past the end.
    assert (policies[0, :2] * 4 == (policies[0, :2] * 4).round()).all()
    assert policies[0, :2, [0, 3, 4]].sum() == pytest.approx(2.0)
    assert policies[1, 0, 17] == policies[1, 1, 17] == 1.0
    assert policies[:, 2].sum() == 0.0


def test_mixed_values_are_n_step_returns_early_and_of_new_transitions_and_searched_ones_of_the_rest() -> None:
    config = TargetConfig(value_target="mixed", mixed_start=100, mixed_recent=10)
    age = np.array([0, 9, 10])
    assert takes_n_step(age, 99, config).tolist() == [True, True, True]
    assert takes_n_step(age, 100, config).tolist() == [True, True, False]
    assert takes_n_step(age, 100, TargetConfig()).tolist() == [True, True, True]


def test_a_batch_with_mixed_values_takes_them_from_the_searches_that_make_its_policies() -> None:
    config = tiny(targets={"value_target": "mixed", "mixed_start": 7, "mixed_recent": 6})
    replay = ReplayBuffer(config.replay, 1, (10, 10, 3), 18, window=4, expected_transitions=20)
    rng = np.random.default_rng(0)
    for _ in range(12):
        frame = rng.integers(256, size=(1, 10, 10, 3), dtype=np.uint8)
        replay.append(
            frame, np.array([3]), np.ones(1, np.float32), np.zeros(1, bool), np.eye(18, dtype=np.float32)[[3]], np.zeros(1)
        )
    network = EfficientZeroNetwork(config.network, 10).eval()
    torch.nn.init.normal_(network.prediction.value_head[-1].weight, generator=torch.Generator().manual_seed(0))
    planner = Planner(config.search, ActionSpace.of("ale18", "Catch"), 0, 1)
    # Of twelve transitions, row 5 is six old and row 6 five: the one is searched, the other not.
    sample = Sample(np.array([5, 6]), np.array([0, 0]), np.ones(2, np.float32))
    n_step = tiny(targets={"value_target": "n_step"})
    plain, early, late = (
        TargetMaker(settings, planner, 0).make(replay, sample, network, update)
        for settings, update in ((n_step, 7), (config, 6), (config, 7))
    )
    assert early.values.tolist() == TargetMaker(n_step, planner, 0).make(replay, sample, network, 6).values.tolist()
    assert late.values[1].tolist() == plain.values[1].tolist()
    rows, steps = np.divmod(np.arange(6), 3)
    stacks = replay.stacks(sample.rows[rows] + steps, 0 * rows, 2)
    observations = to_observations(stacks, torch.device("cpu"))
    found = planner.explore(network, observations, planner.draw_exploration(6, "reanalyze", 7)).root_values.numpy()
    np.testing.assert_allclose(late.values[0], found[:3], atol=1e-6)
    assert (late.values[0] - plain.values[0]).abs().max() > 0.01
    assert late.policies.tolist() == plain.policies.tolist()


@pytest.mark.parametrize("other", [{"reanalyze_fraction": 0.5}, {"reanalysis": "per_period"}])
def test_mixed_values_need_every_position_searched(other: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="needs every position searched"):
        TargetConfig.model_validate({"value_target": "mixed", **other})


def test_settings_of_mixed_values_are_part_of_a_job_only_where_there_are_any() -> None:
    plain, mixed = TargetConfig().model_dump(), TargetConfig(value_target="mixed").model_dump()
    assert mixed.keys() - plain.keys() == {"value_target", "mixed_start", "mixed_recent"}
    assert TargetConfig.model_validate(mixed) == TargetConfig(value_target="mixed")


def test_the_state_after_the_end_is_taught_value_zero_and_nothing_else() -> None:
    alive = torch.tensor([[True, True, False], [True, False, False]])
    observed = torch.tensor([[True, True], [True, False]])
    masks = Masks.of(alive, observed, "all")
    assert masks.policy.tolist() == [[1, 1, 0], [1, 0, 0]]
    assert masks.value.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert masks.after.tolist() == [[1, 1], [1, 0]]
    assert masks.consistency.tolist() == [[1, 1], [1, 0]]
    released = Masks.of(alive, observed, "consistency")
    assert released.value.all()
    assert released.after.all()
    assert released.consistency.tolist() == [[1, 1], [1, 0]]


def make_batch(config: EfficientZeroConfig, size: int = 6) -> TensorBatch:
    torch.manual_seed(0)
    unroll, channels = config.targets.num_unroll_steps, 3 * config.network.frame_stack
    return TensorBatch(
        observation=torch.rand(size, channels, 10, 10),
        next_observations=tuple(torch.rand(unroll, size, channels, 10, 10)),
        actions=torch.randint(0, 18, (size, unroll)),
        value_prefixes=torch.randint(-1, 2, (size, unroll)).float(),
        values=torch.randn(size, unroll + 1),
        policies=torch.eye(18)[torch.randint(0, 18, (size, unroll + 1))],
        alive=torch.ones(size, unroll + 1, dtype=torch.bool),
        observed=torch.ones(size, unroll, dtype=torch.bool),
        weights=torch.ones(size),
    )


def test_a_fresh_networks_losses_are_those_of_uniform_guesses() -> None:
    config = tiny()
    losses = unroll_losses(EfficientZeroNetwork(config.network, 10).train(), make_batch(config), config)
    # K = 2: 3 policies over 18 actions, 3 values and 2 prefixes over 11 bins.
    torch.testing.assert_close(losses.policy, torch.full((6,), 3 * math.log(18)))
    torch.testing.assert_close(losses.value, torch.full((6,), 3 * math.log(11)))
    torch.testing.assert_close(losses.value_prefix, torch.full((6,), 2 * math.log(11)))


def test_past_an_episodes_end_its_final_frame_is_repeated_and_without_one_its_last() -> None:
    config = tiny(targets={"num_unroll_steps": 4})
    for given, expected in ((True, [0, 0, 10, 99, 99, 99]), (False, [0, 0, 10, 10, 10, 10])):
        replay = ReplayBuffer(config.replay, 1, (2, 2, 3), 18, window=4, expected_transitions=20)
        for row in range(8):
            frame = np.full((1, 2, 2, 3), 10 * row, np.uint8)
            final = np.full((1, 2, 2, 3), 99, np.uint8) if given else None
            policy, one = np.eye(18, dtype=np.float32)[[0]], np.ones(1, np.float32)
            replay.append(frame, np.array([0]), one, np.array([row == 1]), policy, one, final)
        window = Window(replay, Sample(np.array([0]), np.array([0]), np.ones(1, np.float32)), 5)
        assert window.frames(2, 4)[0, :, 0, 0, 0].tolist() == expected
        assert window.observed.tolist() == [[True, given, False, False]]


def test_batch_norm_of_the_prediction_sees_root_imagined_1_real_1_imagined_2_and_so_on() -> None:
    """As in EfficientZero's released code; of running statistics the latest count most."""
    config = tiny()
    network, batch = EfficientZeroNetwork(config.network, 10).train(), make_batch(config)
    layer = network.prediction.value_stem[1]
    seen: dict[int, list[torch.Tensor]] = {}

    def see(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        steps = inputs[0].detach().unflatten(0, (len(batch.weights), -1))
        seen[steps.shape[1]] = [step.mean((0, 2, 3)) for step in steps.unbind(1)]

    layer.register_forward_pre_hook(see)
    unroll_losses(network, batch, config)
    (root, imagined_1, imagined_2), (real_1, real_2) = seen[3], seen[2]
    expected = torch.zeros_like(root)
    for mean in (root, imagined_1, real_1, imagined_2, real_2):
        expected = 0.9 * expected + 0.1 * mean
    torch.testing.assert_close(layer.running_mean, expected)


def test_the_lstm_stays_in_float32_under_bfloat16() -> None:
    config = tiny_config(precision="bfloat16")
    network = EfficientZeroNetwork(config.network, 10)
    features = torch.randn(2, 3, 200, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network.dynamics.unroll_lstm(features)
    assert outputs.dtype == torch.float32
    assert torch.equal(outputs, network.dynamics.lstm(features.float())[0])


def test_the_total_weighs_terms_and_samples_as_published() -> None:
    config = tiny()
    batch = make_batch(config, size=2)
    terms = [torch.tensor(row) for row in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [0.0, 0.0])]
    weighted = batch._replace(weights=torch.tensor([1.0, 0.5]))
    # Sample 0: 1 + 3 + 5/4 + 14 = 19.25; sample 1: 2 + 4 + 6/4 + 16 = 23.5, halved by its weight. Mean, then 1/K.
    assert total_loss(Losses(*terms), weighted, config).item() == pytest.approx((19.25 + 11.75) / 2 / 2)


def test_one_batch_can_be_learned_by_heart() -> None:
    config = tiny(optimizer={"consistency_weight": 0.0})
    torch.manual_seed(1)
    network, batch = EfficientZeroNetwork(config.network, 10).train(), make_batch(config)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    first = None
    for _ in range(150):
        losses = unroll_losses(network, batch, config)
        first = first or losses
        optimizer.zero_grad()
        total_loss(losses, batch, config).backward()
        optimizer.step()
    assert losses.policy.mean() < 0.05 * first.policy.mean()
    # Two-hot targets between bins keep their own entropy, so these cannot reach zero.
    assert losses.value_prefix.mean() < 0.2 * first.value_prefix.mean()
    assert losses.value_errors.mean() < 0.2 * first.value_errors.mean()
