"""The agent's parts working together: copies of the network, exploration, augmentation, batch norm over what happened."""

import copy
from typing import Any, Literal

import numpy as np
import pytest
import torch

from xtra.agents.efficientzero.agent import EfficientZeroLearner, make_player, sample_actions
from xtra.agents.efficientzero.config import ActingConfig, OptimizerConfig
from xtra.agents.efficientzero.copies import inference_copy
from xtra.agents.efficientzero.losses import UnrolledModules
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.observation import to_observations
from xtra.protocol.games import ActionSpace
from xtra.rng import stream
from xtra.search.config import SearchConfig

from ..tiny_agent import CATCH, fill, merged, tiny_config, tiny_learner

CPU = torch.device("cpu")


def make_learner(**blocks: dict[str, Any]) -> EfficientZeroLearner:
    settings: dict[str, dict[str, Any]] = {
        "search": {"num_simulations": 3},
        "acting": {"network_update_interval": 2},
        "targets": {"target_update_interval": 3},
        "optimizer": {"learning_rate": 0.05},
    }
    return tiny_learner(**merged(settings, blocks))


def weights(state: dict[str, Any], which: str) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in state[which].values()])


def test_the_acting_and_target_networks_lag_as_configured() -> None:
    learner = make_learner()
    replay = learner.make_replay(2, (10, 10, 3), 200)
    fill(replay)

    def folded() -> torch.Tensor:
        return weights({"folded": inference_copy(learner.network, "float32").state_dict()}, "folded")

    learning = [folded()]
    acting, target = [], []
    for update in range(9):
        learner.update(replay, update)
        state = learner.state()
        learning.append(folded())
        acting.append(weights(state, "acting").clone())
        target.append(weights(state, "target").clone())
    # Acting: refreshed after updates 2, 4, 6, 8. Target: snapshots after 3, 6, 9 updates, each used one interval later.
    for made, source in {1: 0, 2: 2, 3: 2, 8: 8, 9: 8}.items():
        assert torch.equal(acting[made - 1], learning[source]), made
    for made, source in {1: 0, 5: 0, 6: 3, 8: 3, 9: 6}.items():
        assert torch.equal(target[made - 1], learning[source]), made


def test_an_averaged_network_acts_makes_targets_is_restored_and_is_what_training_ends_with() -> None:
    learner, restored = (make_learner(optimizer={"average_decay": 0.5}) for _ in range(2))
    replay = fill(learner.make_replay(2, (10, 10, 3), 200))
    average = weights(learner.state(), "network").clone()
    for update in range(6):
        learner.update(replay, update)
        average += 0.5 * (weights(learner.state(), "network") - average)
    kept = learner.network_state()
    floats = torch.cat([torch.full((tensor.numel(),), tensor.is_floating_point()) for tensor in kept.values()])
    torch.testing.assert_close(weights({"kept": kept}, "kept")[floats], average[floats], rtol=1e-5, atol=1e-6)
    restored.restore(learner.state())
    learning = inference_copy(learner.network, "float32").state_dict()
    averaged = tiny_learner().network
    averaged.load_state_dict(kept)
    folded = inference_copy(averaged, "float32").state_dict()
    assert not torch.equal(weights({"of": learning}, "of"), weights({"of": folded}, "of"))
    for one in (learner, restored):
        assert torch.equal(weights(one.state(), "acting"), weights({"of": folded}, "of"))
        assert torch.equal(weights(one.state(), "next_target"), weights({"of": kept}, "of"))
        assert torch.equal(weights({"of": one.network_state()}, "of"), weights({"of": kept}, "of"))


def test_a_state_of_before_there_were_averages_and_joint_draws_is_restored() -> None:
    learner, restored = make_learner(), make_learner()
    replay = fill(learner.make_replay(2, (10, 10, 3), 200))
    learner.update(replay, 0)
    restored.restore({name: value for name, value in learner.state().items() if name not in ("average", "draws")})
    assert restored.update(copy.deepcopy(replay), 1) == learner.update(replay, 1)


@pytest.mark.parametrize(
    "blocks",
    [
        {"optimizer": {"unroll_batch_norm": "episode", "method": "adam"}, "network": {"latent_scaling": "min_max"}},
        {"network": {"action_encoding": "one_hot_planes"}, "targets": {"value_source": "search", "mask_past_end": "consistency"}},
        {"search": {"policy": "gumbel", "num_simulations": 8}, "optimizer": {"consistency_weight": 0.0}},
    ],
)
def test_every_switch_trains_to_finite_weights(blocks: dict[str, dict[str, Any]]) -> None:
    learner = make_learner(**blocks)
    replay = learner.make_replay(2, (10, 10, 3), 200)
    fill(replay)
    before = weights(learner.state(), "network").clone()
    for update in range(3):
        assert np.isfinite(learner.update(replay, update)["loss"])
    after = weights(learner.state(), "network")
    assert torch.isfinite(after).all()
    assert not torch.equal(before, after)


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make_learner()
    replay = learner.make_replay(2, (10, 10, 3), 200)
    fill(replay)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("inf")))
    before = weights(learner.state(), "network").clone()
    with pytest.raises(FloatingPointError, match="update 0: the norm of the gradient is inf"):
        learner.update(replay, 0)
    after = weights({"network": dict(learner._network.named_parameters())}, "network")
    assert torch.isfinite(after).all()
    assert torch.isfinite(before).all()


def test_gumbel_explores_by_gumbel_noise_and_plays_its_winner(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make_learner(search={"policy": "gumbel", "num_simulations": 8})
    seen = {}
    explore = learner._planner.explore

    def recorded(*args: Any) -> Any:
        seen["result"] = explore(*args)
        return seen["result"]

    monkeypatch.setattr(learner._planner, "explore", recorded)
    decision = learner.act(np.random.default_rng(0).integers(256, size=(5, 2, 10, 10, 3), dtype=np.uint8), row=0, updates=1)
    assert decision.actions.tolist() == seen["result"].actions.tolist()
    assert set(decision.actions.tolist()) <= {0, 3, 4}


def test_exploration_depends_on_its_name_and_seed_alone() -> None:
    torch.manual_seed(0)
    network = EfficientZeroNetwork(tiny_config().network, 10).eval()
    observations = torch.rand(4, 6, 10, 10)
    config = SearchConfig(num_simulations=12)

    def counts(seed: int, *name: str | int) -> list[list[int]]:
        planner = Planner(config, ActionSpace.of("ale18", "Catch"), seed, 1)
        counted: list[list[int]] = planner.explore(
            network, observations, planner.draw_exploration(4, *name)
        ).visit_counts.tolist()
        return counted

    assert counts(0, "act", 1) == counts(0, "act", 1)
    assert counts(0, "act", 1) != counts(0, "act", 2)
    assert counts(0, "act", 1) != counts(1, "act", 1)


def test_actions_are_drawn_in_proportion_to_visits_to_the_power() -> None:
    policies = np.tile(np.array([[0.0, 0.2, 0.0, 0.8]], np.float32), (20_000, 1))
    actions = sample_actions(policies, 2.0, np.random.default_rng(0))
    # 0.04 : 0.64.
    assert set(actions.tolist()) == {1, 3}
    assert (actions == 1).mean() == pytest.approx(0.04 / 0.68, abs=3 * np.sqrt(0.055 / 20_000))


def test_a_policy_that_nothing_can_be_drawn_from_is_refused() -> None:
    policies = np.eye(3, 18, dtype=np.float32)
    policies[1] = 0.0
    with pytest.raises(FloatingPointError, match="policy of environment 1 is"):
        sample_actions(policies, 1.0, np.random.default_rng(0))
    policies[1] = np.nan
    with pytest.raises(FloatingPointError, match="policy of environment 1 is"):
        sample_actions(policies, 1.0, np.random.default_rng(0))


@pytest.mark.parametrize(("action_space", "expected"), [("game", {3: 0.50, 4: 0.75}), ("ale18", {3: 3 / 18, 4: 4 / 18})])
def test_dynamics_sees_a_games_actions_by_their_place_among_those_of_its_space(
    action_space: Literal["game", "ale18"], expected: dict[int, float]
) -> None:
    """Breakout understands no-op, FIRE, RIGHT (3) and LEFT (4): 4 actions, of which RIGHT is number 2 and LEFT number 3."""
    space = ActionSpace.of(action_space, "Breakout")
    network = EfficientZeroNetwork(tiny_config().network, 10, space.size)
    for action_id, plane in expected.items():
        index = torch.from_numpy(space.to_indices(np.array([action_id])))
        planes = network.dynamics.conv.planes(index, torch.float32)
        assert planes.shape == (1, 1, 1, 1)
        torch.testing.assert_close(planes, torch.full_like(planes, plane))


def test_gumbel_self_play_draws_from_the_improved_policy_where_it_is_told_to() -> None:
    """The actions are those that the decision's own policies and the stream of that row yield, and not the winners'."""
    acting = {"random_until_training": "never", "gumbel_action": "policy"}
    learner = make_learner(search={"policy": "gumbel"}, acting=acting)
    winners = make_learner(search={"policy": "gumbel"}, acting=acting | {"gumbel_action": "winner"})
    stacks = np.random.default_rng(0).integers(256, size=(64, 2, 10, 10, 3), dtype=np.uint8)
    decision, other = learner.act(stacks, 3, updates=1), winners.act(stacks, 3, updates=1)
    np.testing.assert_array_equal(decision.policies, other.policies)
    drawn = sample_actions(decision.policies, 1.0, stream(0, "act", 3))
    np.testing.assert_array_equal(decision.actions, drawn)
    assert (decision.actions != other.actions).any()


def test_evaluation_by_the_policy_draws_what_the_policy_says_and_repeats_itself() -> None:
    """Frequencies of 2,000 draws lie within five standard deviations of the search's policy; the same seed draws the same."""
    learner = make_learner()
    learner.randomize_heads()
    config = tiny_config(search={"policy": "gumbel", "gumbel_min_span": 1.0}, acting={"evaluation_action": "policy"})
    player, other = (make_player(config, CATCH, learner.network_state(), seed=seed, num_threads=1) for seed in (0, 1))
    stacks = np.tile(np.random.default_rng(0).integers(256, size=(1, 2, 10, 10, 3), dtype=np.uint8), (2_000, 1, 1, 1, 1))
    actions = player.play(stacks, 5)
    assert actions.tolist() == player.play(stacks, 5).tolist()
    assert (actions != player.play(stacks, 6)).any()
    assert (actions != other.play(stacks, 5)).any()
    policy = player.search(stacks[:1]).action_weights[0].numpy()
    shares = np.bincount(actions, minlength=len(policy)) / len(actions)
    assert policy.max() < 0.9
    assert (np.abs(shares - policy) <= 5 * np.sqrt(policy * (1 - policy) / len(actions)) + 1e-9).all()


def test_jobs_from_before_there_was_a_choice_of_actions_or_an_average_keep_their_keys() -> None:
    assert not {"gumbel_action", "evaluation_action"} & set(ActingConfig().model_dump())
    assert "average_decay" not in OptimizerConfig().model_dump()
    assert OptimizerConfig(average_decay=0.5).model_dump()["average_decay"] == 0.5
    chosen = ActingConfig(gumbel_action="policy", evaluation_action="policy")
    assert ActingConfig.model_validate_json(chosen.model_dump_json()) == chosen


def test_in_a_games_own_space_everything_is_over_its_actions_and_the_world_sees_their_ids() -> None:
    learner = make_learner(network={"action_space": "game"}, acting={"random_until_training": "never"})
    replay = learner.make_replay(2, (10, 10, 3), 200)
    stacks = np.random.default_rng(0).integers(256, size=(2, 2, 10, 10, 3), dtype=np.uint8)
    taken = set()
    for row in range(24):
        decision = learner.act(stacks, row, updates=1)
        assert decision.policies.shape == (2, 3)
        taken |= set(decision.actions.tolist())
        ends = np.array([row % 4 == 3, False])
        replay.append(stacks[:, -1], decision.actions, np.ones(2), ends, decision.policies, decision.root_values)
    assert taken == {0, 3, 4}
    assert set(learner.play(stacks, 0).tolist()) <= taken
    sample, batch = learner.make_batch(replay, 0)
    for i, (row, env) in enumerate(zip(sample.rows, sample.envs, strict=True)):
        for k in range(5):
            if batch.alive[i, k]:
                assert [0, 3, 4][batch.actions[i, k]] == replay.actions[row + k, env]
    assert batch.policies.shape == (6, 6, 3)
    assert set(batch.actions.unique().tolist()) <= {0, 1, 2}
    assert np.isfinite(learner.update(replay, 0)["loss"])


def test_an_action_outside_a_space_is_refused() -> None:
    with pytest.raises(ValueError, match=r"actions \[2\] are not among \[0, 1, 3, 4\]"):
        ActionSpace.of("game", "Breakout").to_indices(np.array([0, 2]))


def test_next_observations_are_the_stacks_that_followed() -> None:
    learner = make_learner(optimizer={"augmentation": "none"})
    replay = learner.make_replay(2, (10, 10, 3), 200)
    fill(replay)
    sample, batch = learner.make_batch(replay, 0)
    for i, (row, env) in enumerate(zip(sample.rows, sample.envs, strict=True)):
        assert batch.observed[i].tolist() == batch.alive[i, 1:].tolist()  # this replay was given no final frames
        for k in range(1, 6):
            if batch.alive[i, k]:
                expected = to_observations(replay.stacks(np.array([row + k]), np.array([env]), 2), CPU)[0]
                assert torch.equal(batch.next_observations[k - 1][i], expected), (row, env, k)


def test_batch_norm_over_the_episode_ignores_what_did_not_happen_even_if_one_row_is_left() -> None:
    torch.manual_seed(0)
    module = torch.nn.BatchNorm1d(3).train()
    real = torch.randn(4, 3)
    for count in (4, 1, 0):
        mask = torch.arange(4) < count
        garbage = torch.where(mask[:, None], real, torch.full_like(real, 1e6))
        out = UnrolledModules(episode_only=True).apply_step(module, mask, garbage)
        assert (out[count:] == 0).all()
        assert torch.isfinite(out).all()
        if count == 4:
            torch.testing.assert_close(out, torch.nn.functional.batch_norm(real, None, None, training=True))
    assert module.running_mean is not None
    assert module.running_mean.abs().max() < 10
