"""Which of the places that set a value wins: defaults < protocol < preset < suite < bases < method < size < command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtra.agents.registry import AGENTS
from xtra.protocol.families import PROTOCOLS
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.method import agent_of, configure, layers, leaves, protocol_label, resolve, value_at
from xtra.suite.presets import PRESETS, SIZES, Preset
from xtra.suite.spec import SuiteSpec

SIMULATIONS = "agent.search.num_simulations"
NUMBER_OF = {"suite": 101, "furthest base": 102, "base": 103, "method": 104}
"""What each place sets the number of simulations to; preset `small` sets it too."""


def suite(**changes: Any) -> dict[str, Any]:
    methods = [
        {"name": "furthest base"},
        {"name": "base", "base": "furthest base"},
        {"name": "method", "base": "base"},
        {"name": "Random", "agent": "random"},
    ]
    return {
        "suite": "example", "version": 1, "question": "?", "protocol": "atari100k", "preset": "small",
        "seeds": [0], "targets": ["Pong"], "methods": methods,
    } | changes  # fmt: skip


def loaded(data: dict[str, Any], directory: Path, overrides: tuple[str, ...] = ()) -> SuiteSpec:
    path = directory / "suite.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    return load_suite(path, overrides)


@given(st.sets(st.sampled_from(sorted(NUMBER_OF))))
def test_the_strongest_place_that_sets_a_value_wins(setters: set[str]) -> None:
    data = suite()
    for owner in [data, *data["methods"]]:
        name = owner.get("name", "suite")
        if name in setters:
            owner["set"] = {SIMULATIONS: NUMBER_OF[name]}
    spec = SuiteSpec.model_validate_json(json.dumps(data))
    strongest = [name for name in ("suite", "furthest base", "base", "method") if name in setters]
    expected = NUMBER_OF[strongest[-1]] if strongest else PRESETS["small"].settings_for("efficientzero")[SIMULATIONS]
    assert value_at(resolve(spec, spec.method("method")), SIMULATIONS) == expected


def test_the_command_line_wins_over_the_method_and_reaches_every_method_that_has_the_setting(tmp_path: Path) -> None:
    data = suite()
    data["methods"][2]["set"] = {SIMULATIONS: 5}
    spec = loaded(data, tmp_path, (f"{SIMULATIONS}=7", "evaluation.num_episodes=3"))
    configs = {method.name: resolve(spec, method) for method in spec.methods}
    assert {name: config.evaluation.num_episodes for name, config in configs.items()} == dict.fromkeys(configs, 3)
    assert {value_at(configs[name], SIMULATIONS) for name in ("furthest base", "base", "method")} == {7}


def test_a_smoke_run_shortens_everything_and_says_so_in_its_label(tmp_path: Path) -> None:
    data = suite(size="smoke")
    data["methods"][2]["set"] = {"training.env_steps": 50_000, SIMULATIONS: 60}
    spec = loaded(data, tmp_path, (f"{SIMULATIONS}=2",))
    config = resolve(spec, spec.method("method"))
    assert config.training.env_steps == SIZES["smoke"].settings["training.env_steps"]
    assert value_at(config, SIMULATIONS) == 2
    assert protocol_label(spec, config).startswith("atari100k+environment.max_episode_env_steps=")


def test_a_preset_does_not_touch_what_a_protocol_owns() -> None:
    owned = {path for protocol in PROTOCOLS.values() for path in protocol.settings}
    for preset in PRESETS.values():
        assert not owned & {*preset.settings, *(path for paths in preset.agents.values() for path in paths)}


@pytest.mark.parametrize("preset", [*PRESETS.values(), *SIZES.values()], ids=lambda preset: preset.name)
def test_every_setting_of_a_preset_exists_and_is_in_range(preset: Preset) -> None:
    assert preset.settings.keys() <= leaves("efficientzero").keys()
    for agent, settings in preset.agents.items():
        assert settings.keys() <= leaves(agent).keys()
    for agent in AGENTS:
        wanted = {path: value for path, value in preset.settings_for(agent).items() if path in leaves(agent)}
        config = configure(agent, wanted)
        assert {path: value_at(config, path) for path in wanted} == wanted


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_setting_of_a_protocol_exists_for_every_agent(protocol: str) -> None:
    wanted = PROTOCOLS[protocol].settings
    for agent in AGENTS:
        config = configure(agent, wanted)
        assert {path: value_at(config, path) for path in wanted} == wanted


def test_a_method_inherits_agent_and_preset_from_its_nearest_base_that_names_them() -> None:
    data = suite()
    data["methods"][0] |= {"preset": "tiny", "agent": "efficientzero"}
    data["methods"][1] |= {"preset": "small", "agent": "random"}
    spec = SuiteSpec.model_validate_json(json.dumps(data | {"preset": "xtra"}))
    assert agent_of(spec, spec.method("method")) == "random"
    assert layers(spec, spec.method("method"))[1] == PRESETS["small"].settings_for("random")


def test_an_agent_is_spared_the_settings_of_another(tmp_path: Path) -> None:
    data = suite(set={SIMULATIONS: 9, "environment.frame_size": 40})
    data["methods"][3] |= {"base": "base"}
    data["methods"][1]["set"] = {"agent.network.channels": 8}
    spec = loaded(data, tmp_path)
    random = resolve(spec, spec.method("Random"))
    assert random.agent.model_dump() == {"name": "random"}
    assert random.environment.frame_size == 40


def test_a_setting_that_no_method_of_the_suite_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="is a setting of efficientzero, not of random"):
        loaded(suite(methods=[{"name": "Random", "agent": "random"}], set={SIMULATIONS: 9}), tmp_path)


def test_lists_in_yaml_become_the_tuples_of_the_configuration(tmp_path: Path) -> None:
    spec = loaded(suite(set={"agent.acting.temperatures": [1, 0.5, 0.1]}), tmp_path)
    assert value_at(resolve(spec, spec.method("method")), "agent.acting.temperatures") == (1.0, 0.5, 0.1)


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({}, "atari100k"),
        ({"training.env_steps": 100_000, SIMULATIONS: 3}, "atari100k"),
        ({"training.env_steps": 50_000}, "atari100k+training.env_steps=50000"),
        (
            {"training.env_steps": 50_000, "environment.repeat_action_probability": 0.25},
            "atari100k+environment.repeat_action_probability=0.25+training.env_steps=50000",
        ),
    ],
)
def test_rows_are_labelled_by_what_they_change_of_the_protocol(settings: dict[str, Any], label: str, tmp_path: Path) -> None:
    spec = loaded(suite(set=settings), tmp_path)
    assert {protocol_label(spec, resolve(spec, method)) for method in spec.methods} == {label}


@pytest.mark.parametrize("change", ["training.env_steps=9", "agent.replay.capacity=9"])
def test_settings_that_are_wrong_together_are_told_before_anything_runs(change: str, tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as refused:
        loaded(suite(), tmp_path, (change,))
    # 8 environments, 5 unrolled and 5 bootstrap steps: 8 x 11.
    assert f"{change.replace('=', ' is ')}, but 8 environments need 88 transitions" in refused.value.render()
