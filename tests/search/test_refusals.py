"""Bad input: a ValueError that names the argument, what came and what is expected."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError

from xtra.search import ModelOutput, SearchConfig, search

BATCH, ACTIONS = 3, 4


class Constant:
    """Returns the same output always, but for `changed` fields of the recurrent inference."""

    def __init__(self, root: dict[str, object] | None = None, later: dict[str, object] | None = None) -> None:
        good = ModelOutput(
            latent=torch.zeros(BATCH, 2, 3),
            value_prefix_state=torch.zeros(BATCH, 1),
            value_prefix=torch.zeros(BATCH),
            value=torch.zeros(BATCH),
            policy_logits=torch.zeros(BATCH, ACTIONS),
        )
        self.root = good._replace(**(root or {}))
        self.later = good._replace(**(later or {}))

    def initial_inference(self, observations: object) -> ModelOutput:
        return self.root

    def recurrent_inference(self, latent: object, state: object, actions: object) -> ModelOutput:
        return self.later


def run(model: object = None, policy: str = "puct", **changed: object) -> None:
    given: dict[str, object] = {"valid_actions": torch.ones(BATCH, ACTIONS, dtype=torch.bool)}
    search(model or Constant(), None, SearchConfig(num_simulations=2, policy=policy), **(given | changed))


NAN_ROW = torch.zeros(BATCH, ACTIONS)
NAN_ROW[1, 2] = torch.nan
INF = torch.tensor([0.0, 0.0, torch.inf])


@pytest.mark.parametrize(
    ("attempt", "named"),
    [
        (lambda: run(valid_actions=torch.ones(BATCH, ACTIONS)), r"valid_actions is float32; expected a contiguous bool tensor"),
        (lambda: run(valid_actions=torch.ones(BATCH, 5, dtype=torch.bool)), r"valid_actions has shape \[3, 5\].*\[3, 4\]"),
        (lambda: run(valid_actions=torch.ones(ACTIONS, BATCH, dtype=torch.bool).T), r"valid_actions has strides \[1, 3\]"),
        (
            lambda: run(valid_actions=torch.eye(BATCH, ACTIONS).bool() & (torch.arange(3) < 2)[:, None]),
            "root 2 has no valid action",
        ),
        (lambda: run(seeds=torch.zeros(BATCH, dtype=torch.int32)), "seeds is int32; expected a contiguous int64 or uint64"),
        (lambda: run(seeds=[1, 2, 3]), "seeds is list"),
        (lambda: run(noise=torch.zeros(BATCH, ACTIONS, dtype=torch.float64)), "noise is float64"),
        (lambda: run(noise=NAN_ROW), "noise of root 1 has entries that are not finite"),
        (lambda: run(noise=torch.full((BATCH, ACTIONS), -9.0)), "prior negative; expected finite Dirichlet.*policy='gumbel'"),
        (lambda: run(policy="gumbel", noise=NAN_ROW), "noise of root 1 has entries that are not finite"),
        (lambda: run(num_threads=0), "num_threads is 0"),
        (lambda: run(Constant(root={"policy_logits": NAN_ROW})), "initial_inference: policy_logits of root 1 is not finite"),
        (lambda: run(Constant(root={"policy_logits": torch.zeros(BATCH, 129)})), r"policy_logits has shape \[3, 129\].*1 to 128"),
        (lambda: run(Constant(root={"value": INF})), "initial_inference: value of root 2 is not finite"),
        (
            lambda: run(Constant(root={"latent": torch.zeros(3, 2, 6)[:, :, ::2]})),
            "latent .* expected batch rows dense in memory",
        ),
        (lambda: run(Constant(root={"value": torch.zeros(3, device="meta")})), "value is on meta; expected .* on cpu"),
        (lambda: run(Constant(later={"policy_logits": NAN_ROW})), "recurrent_inference: policy_logits of root 1 is not finite"),
        (lambda: run(Constant(later={"value_prefix": INF})), "recurrent_inference: value_prefix of root 2 is not finite"),
        (lambda: run(Constant(later={"value": torch.zeros(BATCH, 1)})), r"recurrent_inference: value has shape \[3, 1\]"),
        (lambda: run(Constant(later={"value": torch.zeros(6)[::2]})), r"recurrent_inference: value has strides \[2\]"),
        (lambda: run(Constant(later={"latent": torch.zeros(3, 2, 3).half()})), "latent is float16 .* expected float32"),
        (lambda: run(Constant(later={"latent": None})), "latent is NoneType"),
        (
            lambda: run(Constant(later={"latent": torch.zeros(3, 3, 2).mT})),
            r"latent is .* strides \[6, 1, 2\].*strides \[6, 3, 1\]",
        ),
    ],
)
def test_bad_input_is_named(attempt: Callable[[], None], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        attempt()


def test_good_input_is_not_refused() -> None:
    run(seeds=torch.zeros(BATCH, dtype=torch.uint64), noise=torch.zeros(BATCH, ACTIONS), num_threads=2)


def test_logits_of_actions_that_are_not_valid_are_not_read() -> None:
    valid = torch.ones(BATCH, ACTIONS, dtype=torch.bool)
    valid[1, 2] = False
    run(Constant(root={"policy_logits": NAN_ROW}, later={"policy_logits": NAN_ROW}), valid_actions=valid)


@pytest.mark.parametrize(
    "setting",
    [{"gumbel_min_span": 1e-50}, {"lstm_horizon": 2**31}, {"max_considered_actions": 2**31}],
    ids=lambda one: next(iter(one)),
)
def test_settings_that_the_engines_cannot_hold_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(setting))):
        SearchConfig(**setting)


def test_zero_simulations_are_refused() -> None:
    with pytest.raises(ValidationError, match="num_simulations"):
        SearchConfig(num_simulations=0)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("num_simulation", "unknown setting 'num_simulation'; did you mean 'num_simulations'?"),
        ("x", "there are num_simulations, "),
    ],
)
def test_a_setting_that_there_is_not_is_told_with_the_nearest(name: str, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SearchConfig.model_validate({name: 3})
    assert told in str(caught.value)
