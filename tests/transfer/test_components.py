"""Loading and freezing parts of a network: which tensors change, and which do not."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.copies import inference_copy
from xtra.agents.interface import TrainingRun, make_learner
from xtra.transfer.config import COMPONENTS

from ..tiny_agent import CATCH
from .small_tasks import AGENT, filled


def learner(seed: int, **network: Any) -> EfficientZeroLearner:
    config = EfficientZeroConfig.model_validate({**AGENT, "network": {**AGENT["network"], **network}})
    run = TrainingRun(num_updates=10, env_step_updates=10, seed=seed, num_threads=1, device=torch.device("cpu"))
    made = make_learner(config, CATCH, run)
    assert isinstance(made, EfficientZeroLearner)
    return made


def copied(made: EfficientZeroLearner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in made.network_state().items()}


SUBSETS = [subset for size in range(5) for subset in combinations(COMPONENTS, size)]


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda subset: "+".join(subset) or "nothing")
def test_a_subset_of_components_is_loaded_and_the_rest_is_as_initialised(subset: tuple[str, ...]) -> None:
    pretrained, made = learner(1), learner(2)
    pretrained.update(filled(EfficientZeroConfig.model_validate(AGENT), 5), 0)
    fresh = copied(made)
    made.start_from(pretrained.network_state(), subset, ())
    for name, value in made.network_state().items():
        source = pretrained.network_state() if name.split(".")[0] in subset else fresh
        assert torch.equal(value, source[name]), name


def test_self_play_and_targets_start_with_what_was_loaded() -> None:
    pretrained, made = learner(1), learner(2)
    made.start_from(pretrained.network_state(), COMPONENTS, ())
    state = made.state()
    folded = inference_copy(pretrained.network, "float32").state_dict()
    for copy, expected in {"acting": folded, "target": folded, "next_target": pretrained.network_state()}.items():
        assert state[copy].keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in state[copy].items()), copy


@pytest.mark.parametrize("frozen", [("representation",), ("dynamics", "prediction")])
def test_frozen_components_stay_bit_equal_statistics_included_and_the_others_learn(frozen: tuple[str, ...]) -> None:
    made = learner(2)
    made.start_from(learner(1).network_state(), COMPONENTS, frozen)
    before, replay = copied(made), filled(EfficientZeroConfig.model_validate(AGENT), 5)
    for update in range(3):
        made.update(replay, update)
    changed = {name.split(".")[0] for name, value in made.network_state().items() if not torch.equal(value, before[name])}
    assert changed == set(COMPONENTS) - set(frozen)


def test_a_pretrained_network_acts_from_the_first_step_and_a_fresh_one_at_random() -> None:
    stacks = np.zeros((4, 2, 10, 10, 3), np.uint8)
    fresh = learner(2)
    assert fresh.act(stacks, 0, 0).root_values.tolist() == [0.0] * 4
    assert fresh.act(stacks, 0, 0).policies[:, [0, 3, 4]] == pytest.approx(1 / 3)
    pretrained = learner(2)
    pretrained.start_from(learner(1).network_state(), ["representation"], ())
    assert not np.allclose(pretrained.act(stacks, 0, 0).policies[:, [0, 3, 4]], 1 / 3)


def test_a_part_of_another_shape_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="component representation does not fit"):
        learner(2, channels=8).start_from(learner(1).network_state(), ["representation"], ())
    with pytest.raises(ValueError, match="has no component 'head'; it has representation, dynamics"):
        learner(2).start_from(learner(1).network_state(), ["head"], ())
