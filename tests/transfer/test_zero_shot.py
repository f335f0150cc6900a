"""What a pretrained network's losses say of a game it has not seen: a network that knows nothing by hand, others step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.support import to_categorical
from xtra.agents.observation import to_observations
from xtra.transfer.tasks import Task
from xtra.transfer.zero_shot import gradient_cosines, model_fit

from ..tiny_agent import merged
from .small_tasks import AGENT, filled

CONFIG = EfficientZeroConfig.model_validate(AGENT)
CPU = torch.device("cpu")
ROWS = np.arange(54)
"""Six whole episodes of nine steps."""


def network(drawn: bool) -> EfficientZeroNetwork:
    made = make_network(CONFIG.network, 10, 0, CPU)
    if drawn:  # fresh heads end in zeros
        generator = torch.Generator().manual_seed(0)
        for head in (made.prediction.policy_head, made.prediction.value_head, made.dynamics.head):
            torch.nn.init.normal_(head[-1].weight, std=0.5, generator=generator)
    return made


def game(seed: int = 0, reward: float = 1.0, name: str = "Catch") -> Task:
    return Task(name, filled(CONFIG, seed, reward))


def test_a_network_that_knows_nothing_gives_every_bin_of_the_value_prefix_the_same_chance() -> None:
    fit = model_fit(network(drawn=False), game(), ROWS, CONFIG)
    assert fit.value_prefix.tolist() == pytest.approx([-math.log(11)] * 5)  # support 5: 11 bins


def test_the_fit_is_that_of_the_search_s_own_steps_averaged_over_the_steps_that_were_taken() -> None:
    trained, task = network(drawn=True).eval(), game()
    likelihoods: list[list[float]] = [[] for _ in range(5)]
    cosines: list[list[float]] = [[] for _ in range(5)]
    with torch.no_grad():
        for row in ROWS.tolist():
            latent, state = trained.representation(seen(task, row)), trained.zero_lstm_state(1, CPU)
            prefix = 0.0
            for step in range(min(5, 9 - row % 9)):
                action = torch.tensor([int(task.replay.actions[row + step, 0])])
                latent, state, logits = trained.dynamics(latent, state, action)
                prefix += float(task.replay.rewards[row + step, 0])
                target = to_categorical(torch.tensor([prefix]), 5)
                likelihoods[step].append(float((target * logits.log_softmax(-1)).sum()))
                if (row + step) % 9 != 8:  # what follows the last step was not kept
                    real = trained.projection.projector(trained.representation(seen(task, row + step + 1)))
                    cosines[step].append(float(functional.cosine_similarity(trained.projection(latent), real)))
    fit = model_fit(trained, task, ROWS, CONFIG)
    np.testing.assert_allclose(fit.value_prefix, [np.mean(part) for part in likelihoods], atol=1e-5)
    np.testing.assert_allclose(fit.consistency, [np.mean(part) for part in cosines], atol=1e-5)


def test_measuring_leaves_the_network_as_it_was() -> None:
    trained = network(drawn=True)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    model_fit(trained, game(), ROWS, CONFIG)
    gradient_cosines(trained, game(), game(1, name="CatchSlow"), CONFIG, 0)
    assert trained.training
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())


def test_a_game_pulls_every_component_where_it_pulls_itself() -> None:
    cosines = gradient_cosines(network(drawn=True), game(), game(), CONFIG, 0)
    assert set(cosines) == {"representation", "dynamics", "prediction", "projection"}
    assert list(cosines.values()) == pytest.approx([1.0] * 4)


def test_opposite_rewards_pull_the_dynamics_elsewhere_and_what_they_do_not_reach_nowhere() -> None:
    silent = {"policy_weight": 0.0, "value_weight": 0.0, "consistency_weight": 0.0}
    config = CONFIG.model_copy(update={"optimizer": CONFIG.optimizer.model_copy(update=silent)})
    ours, same, opposite = game(0), game(1, name="CatchSlow"), game(1, reward=-1.0, name="CatchSlow")
    alike, unlike = (gradient_cosines(network(drawn=False), ours, other, config, 0) for other in (same, opposite))
    assert unlike["dynamics"] < alike["dynamics"] - 0.005  # most of the pull is away from bins that neither game needs
    # The layer that tells value prefixes starts at zero, so that no gradient gets past it.
    assert unlike["representation"] == unlike["prediction"] == 0.0


def test_the_transitions_that_are_compared_are_drawn_by_the_seed() -> None:
    """Nothing else is drawn here: stored policies, no augmentation, and batch norm of what happened."""
    plain = {"optimizer": {"augmentation": "none", "unroll_batch_norm": "episode"}, "targets": {"reanalyze_fraction": 0.0}}
    config = EfficientZeroConfig.model_validate(merged(AGENT, plain))
    pair = network(drawn=True), game(), game(1, name="CatchSlow")
    first, again, other = (gradient_cosines(*pair, config, seed) for seed in (0, 0, 1))
    assert first == again != other


def seen(task: Task, row: int) -> torch.Tensor:
    rows = np.array([row])
    return to_observations(task.replay.stacks(rows, 0 * rows, CONFIG.network.frame_stack), CPU)
