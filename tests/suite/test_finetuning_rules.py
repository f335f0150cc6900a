"""Settings of finetuning that do not go together are refused, with the value at fault and what would be valid."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from xtra.suite.method import MethodConfig, configure

POOLED = {"transfer.pretraining.method": "multi_task"}
GRAY = {"environment.frame_size": 84, "environment.color": "gray"}


def transferred(agent: str, settings: dict[str, Any]) -> MethodConfig:
    """A method with settings of block `transfer`, which starts from a network pretrained on pooled data, where its agent takes
    one."""
    needed = {**(GRAY if agent == "curl" else {}), **({} if agent == "cloning" else POOLED)}
    return configure(agent, needed | {f"transfer.{path}": value for path, value in settings.items()})


def refusal(agent: str, settings: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        transferred(agent, settings)
    return str(caught.value)


@pytest.mark.parametrize("method", ["ewc", "kickstarting"])
@pytest.mark.parametrize(
    ("start", "told"),
    [
        ({"start.components": ["representation", "dynamics"]}, "transfer.start.components is representation, dynamics"),
        ({"start.components": ["prediction", "dynamics"]}, "transfer.start.components is prediction, dynamics"),
        ({"start.reset_heads": True}, "it needs false"),
        ({"start.retained": 0.0}, "it needs more than 0"),
    ],
)
def test_nothing_is_held_to_heads_that_are_not_the_pretrained_ones(method: str, start: dict[str, Any], told: str) -> None:
    message = refusal("efficientzero", {"retention.method": method, **start})
    assert told in message and f"transfer.retention.method is {method}" in message


def test_ewc_needs_the_dynamics_too_which_kickstarting_and_l2_sp_do_not() -> None:
    parts = {"start.components": ["representation", "prediction"]}
    assert "at least representation, dynamics, prediction" in refusal("efficientzero", {"retention.method": "ewc", **parts})
    for method in ("kickstarting", "l2_sp"):
        transferred("efficientzero", {"retention.method": method, **parts})
