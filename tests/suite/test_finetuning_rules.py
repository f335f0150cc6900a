"""Settings of finetuning that do not go together are refused, with the value at fault and what would be valid."""

from __future__ import annotations

import json
import re
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


def test_ewc_is_refused_after_cloning_which_teaches_neither_dynamics_nor_values() -> None:
    cloned = {"pretraining.method": "cloning"}
    assert "kickstarting holds the cloned policy" in refusal("efficientzero", {"retention.method": "ewc", **cloned})
    transferred("efficientzero", {"retention.method": "kickstarting", **cloned})


@pytest.mark.parametrize(
    ("setting", "value", "valid"),
    [
        ("start.retained", 0.5, "it must be 1.0"),
        ("start.reset_heads", True, "it must be false"),
        ("start.batch_norm", "target", 'it must be "pretrained"'),
        ("start.frozen", ["representation"], r"it must be \[\]"),
        ("start.components", ["representation"], r'it must be \["representation", "dynamics"'),
        ("retention.method", "l2_sp", 'it must be "none"'),
        ("learning_rates.representation", 0.1, "it must be 1.0"),
    ],
)
def test_a_network_that_is_played_as_it_is_takes_no_setting_of_finetuning(setting: str, value: Any, valid: str) -> None:
    message = refusal("efficientzero", {"zero_shot": True, setting: value})
    assert f"transfer.{setting} is {json.dumps(value)}, but transfer.zero_shot is true" in message
    assert re.search(valid, message)


def test_a_cloned_policy_is_never_trained_so_it_takes_none_either() -> None:
    for setting, value in (("start.retained", 0.5), ("start.frozen", ["representation"])):
        assert "agent cloning is never trained" in refusal("cloning", {setting: value})


@pytest.mark.parametrize("agent", ["efficientzero", "curl"])
def test_what_an_agent_loads_by_default_is_played_as_it_is(agent: str) -> None:
    transferred(agent, {"zero_shot": True})
    assert "it must be" in refusal(agent, {"zero_shot": True, "start.components": ["representation"]})


@pytest.mark.parametrize(
    ("agent", "settings", "told"),
    [
        (
            "curl",
            {"start.components": ["representation", "dynamics"]},
            "names dynamics; a network of agent curl has",
        ),
        ("curl", {"start.frozen": ["representation", "prediction"]}, "nothing that the network plays by is left to learn"),
        ("curl", {"start.frozen": ["representation", "prediction", "projection"]}, "see transfer.zero_shot"),
        ("efficientzero", {"start.frozen": ["representation", "dynamics", "prediction"]}, "is left to learn"),
        ("efficientzero", {"start.components": ["prediction"], "start.frozen": ["dynamics"]}, "dynamics is not loaded"),
    ],
)
def test_components_are_those_of_the_agents_own_network_and_one_it_plays_by_learns(
    agent: str, settings: dict[str, Any], told: str
) -> None:
    assert told in refusal(agent, settings)


def test_all_but_one_component_that_the_network_plays_by_may_be_frozen() -> None:
    transferred("efficientzero", {"start.frozen": ["representation", "dynamics", "projection"]})
    transferred("curl", {"start.frozen": ["representation", "projection"]})
