"""The agent's parts working together: repeatable, resumable, exploring by noise, its followers lagging as configured."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from xtra.agents.curl import batch
from xtra.agents.curl.agent import CurlLearner, CurlPlayer, make_network
from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.network import ContrastiveHead
from xtra.agents.interface import TrainingRun
from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import FrameStacks, make_training_environment
from xtra.replay.buffer import ReplayBuffer

CPU = torch.device("cpu")
CATCH = EnvironmentConfig(game="Catch", frame_size=10)
SETTINGS: dict[str, dict[str, Any]] = {
    "network": {"frame_stack": 2, "encoder": "small", "hidden": 16},
    "acting": {"num_envs": 3},
    "targets": {"target_update_interval": 4},
    "optimizer": {"learning_rate": 0.01, "batch_size": 8},
    "contrastive": {"crop_margin": 1, "padding": 1},
}


def configure(**blocks: dict[str, Any]) -> CurlConfig:
    names = {*SETTINGS, *blocks}
    return CurlConfig.model_validate({name: SETTINGS.get(name, {}) | blocks.get(name, {}) for name in names})


def make_learner(seed: int = 0, environment: EnvironmentConfig = CATCH, **blocks: dict[str, Any]) -> CurlLearner:
    config, budget = configure(**blocks), {"num_updates": 50, "env_step_updates": 50}
    return CurlLearner(config, environment, TrainingRun(**budget, seed=seed, num_threads=1, device=CPU))


def collected(learner: CurlLearner, num_rows: int = 40, num_envs: int = 3, seed: int = 0) -> ReplayBuffer:
    """Catch as the untrained learner plays it."""
    games = make_training_environment(CATCH, num_envs, seed)
    stacks = FrameStacks(games.reset(), learner.frame_stack)
    replay = learner.make_replay(num_envs, (10, 10, 3), 1_000)
    for row in range(num_rows):
        decision = learner.act(stacks.stacks, row, 0)
        step = games.step(decision.actions)
        fields = decision.actions, step.rewards, step.terminal, decision.policies, decision.root_values
        replay.append(stacks.stacks[:, -1], *fields)
        stacks.push(step.frames, step.terminal)
    return replay


def weights(state: dict[str, Any], which: str = "network") -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in state[which].values()]).clone()


def observations(num_envs: int = 3) -> Any:
    return np.random.default_rng(0).integers(256, size=(num_envs, 2, 10, 10, 3), dtype=np.uint8)


def test_a_restored_learner_goes_on_bit_for_bit() -> None:
    learner, other = make_learner(), make_learner(seed=0)
    replay = collected(learner)
    for update in range(6):
        learner.update(replay, update)
    saved, remembered = copy.deepcopy(learner.state()), copy.deepcopy(replay)
    straight = [learner.update(replay, update) for update in range(6, 11)]
    other.restore(saved)
    resumed = [other.update(remembered, update) for update in range(6, 11)]
    assert straight == resumed
    for which in ("network", "target", "momentum"):
        assert torch.equal(weights(learner.state(), which), weights(other.state(), which))
    assert np.array_equal(replay.priorities, remembered.priorities)
    assert np.array_equal(learner.act(observations(), 50, 11).actions, other.act(observations(), 50, 11).actions)


def test_equal_seeds_give_equal_learners_and_other_seeds_others() -> None:
    trained = []
    for seed in (0, 0, 1):
        learner = make_learner(seed)
        replay = collected(learner)
        for update in range(3):
            learner.update(replay, update)
        trained.append(weights(learner.state()))
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])


def test_each_row_and_environment_explores_by_noise_of_its_own_over_valid_actions() -> None:
    learner = make_learner(network={"noise_scale": 3.0})
    same = np.repeat(observations(1), 200, axis=0)
    first, again, later = (learner.act(same, row, 0) for row in (0, 0, 1))
    assert set(first.actions.tolist()) == {0, 3, 4}
    assert np.array_equal(first.actions, again.actions)
    assert not np.array_equal(first.actions, later.actions)
    assert len(set(first.root_values.tolist())) == 200
    assert first.policies.argmax(1).tolist() == first.actions.tolist()


def test_evaluation_is_greedy_without_noise_but_for_rare_random_actions() -> None:
    config = configure(network={"noise_scale": 3.0}, acting={"evaluation_epsilon": 0.1})
    player = CurlPlayer(config, CATCH, make_network(config, CATCH, 0, CPU), seed=0)
    actions = player.play(np.repeat(observations(1), 3_000, axis=0), 0)
    counts = np.bincount(actions, minlength=18)
    greedy = counts.argmax()
    # A tenth at random over three actions: 1/15 of the others in sum.
    assert set(np.flatnonzero(counts)) == {0, 3, 4}
    assert 1 - counts[greedy] / 3_000 == pytest.approx(1 / 15, abs=4 * (1 / 15 / 3_000) ** 0.5)
    assert np.array_equal(actions, player.play(np.repeat(observations(1), 3_000, axis=0), 0))


def test_the_target_is_copied_at_its_interval_and_the_momentum_network_follows_slowly() -> None:
    learner = make_learner(contrastive={"momentum": 0.75})
    replay = collected(learner)
    learned, copied, slow = [learner.state()["network"]["projection.similarity"].clone()], [weights(learner.state())], []
    for update in range(9):
        learner.update(replay, update)
        state = learner.state()
        learned.append(state["network"]["projection.similarity"].clone())
        slow.append(state["momentum"]["projection.similarity"].clone())
        copied.append(weights(state, "target"))
        source = weights(state)
        assert torch.equal(copied[-1], source if (update + 1) % 4 == 0 else copied[-2]), update
    torch.testing.assert_close(slow[0], 0.75 * learned[0] + 0.25 * learned[1])
    torch.testing.assert_close(slow[1], 0.75 * slow[0] + 0.25 * learned[2])


def test_views_are_matched_better_than_by_chance_after_a_few_hundred_updates() -> None:
    learner = make_learner(contrastive={"momentum": 0.99}, optimizer={"learning_rate": 1e-3, "batch_size": 16})
    replay = collected(learner)
    accuracy = [learner.update(replay, update)["contrastive_accuracy"] for update in range(200)]
    assert np.mean(accuracy[:10]) < 2 / 16
    assert np.mean(accuracy[-50:]) > 5 / 16


@pytest.mark.parametrize(
    "blocks",
    [
        {"contrastive": {"weight": 0.0}},
        {"contrastive": {"weight": 0.0}, "optimizer": {"augmentation": "shift", "augmentation_shift": 1}},
        {"contrastive": {"initialization": "normal", "in_priorities": False}, "network": {"num_atoms": 21}},
    ],
)
def test_every_switch_trains_to_finite_weights(blocks: dict[str, dict[str, Any]]) -> None:
    learner = make_learner(**blocks)
    replay = collected(learner)
    before = weights(learner.state())
    for update in range(3):
        metrics = learner.update(replay, update)
    assert ("contrastive_accuracy" in metrics) == ("weight" not in blocks["contrastive"])
    assert torch.isfinite(weights(learner.state())).all()
    assert not torch.equal(before, weights(learner.state()))


def test_without_contrastive_weight_no_view_is_drawn_and_no_code_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("contrasted")

    for owner, name in ((batch, "random_view"), (ContrastiveHead, "forward"), (ContrastiveHead, "compare")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, refuse)
            released, der = make_learner(), make_learner(contrastive={"weight": 0.0})
            with pytest.raises(AssertionError, match="contrasted"):
                released.update(collected(released), 0)
            assert der.update(collected(der), 0).keys() == {"loss", "gradient_norm", "value_loss"}


def test_a_frozen_pretrained_encoder_stays_and_the_heads_learn() -> None:
    pretrained, learner = make_learner(seed=1).network_state(), make_learner(seed=0)
    heads = learner.network_state()["prediction.value.weight_mean"].clone()
    learner.start_from(pretrained, ["representation"], ["representation"])
    state = learner.state()
    for which in ("network", "target", "momentum"):
        assert torch.equal(state[which]["representation.0.weight"], pretrained["representation.0.weight"])
        assert torch.equal(state[which]["prediction.value.weight_mean"], heads)
    replay = collected(learner)
    for update in range(2):
        learner.update(replay, update)
    trained = learner.network_state()
    assert torch.equal(trained["representation.0.weight"], pretrained["representation.0.weight"])
    assert not torch.equal(trained["prediction.value.weight_mean"], heads)


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make_learner()
    replay = collected(learner)
    before = weights(learner.state())
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("inf")))
    with pytest.raises(FloatingPointError, match="update 0: the norm of the gradient is inf"):
        learner.update(replay, 0)
    assert torch.equal(before, weights(learner.state()))


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ({"network": {"encoder": "data_efficient"}}, r"agent\.network\.encoder data_efficient needs at least 25"),
        ({"contrastive": {"crop_margin": 10, "padding": 5}}, r"agent\.contrastive\.crop_margin is 10, which leaves nothing"),
    ],
)
def test_frames_that_the_encoder_or_the_crops_leave_nothing_of_are_refused(blocks: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=rf"environment\.frame_size is 10: {reason}"):
        make_learner(**blocks)
