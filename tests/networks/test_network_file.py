"""The file of a network: the same bytes for the same network, every damage told, and which networks it fits."""

from __future__ import annotations

import copy
import os
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xtra.agents.components import ComponentNetwork
from xtra.agents.curl import agent as curl
from xtra.agents.curl.config import CurlConfig, CurlNetworkConfig
from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig, NetworkConfig
from xtra.agents.registry import AGENTS
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.networks.network_file import (
    ARCHITECTURES,
    DEPENDS_ON,
    FORMAT,
    NetworkFileError,
    NetworkHeader,
    SourceData,
    differences,
    network_bytes,
    read_network_file,
)
from xtra.suite.method import configure
from xtra.transfer.config import COMPONENTS

from ..transfer.small_tasks import AGENT

CPU = torch.device("cpu")
HEADER = NetworkHeader(
    format=FORMAT,
    agent={"name": "efficientzero"},
    environment={"game": "", "frame_size": 10},
    stage="pretrain",
    stage_version=1,
    key="pretrain-0",
    settings={"seed": 0},
    games=("CatchSlow", "Höhle"),
    seeds={"pretrain": (0,)},
    data=(SourceData(game="CatchSlow", key="dataset-0", transitions=7, files={"frames.zst": "00"}),),
    xtra_version="1",
    git_commit=None,
    git_dirty=None,
)
SMALL = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(3)}


def network(agent: Config, environment: EnvironmentConfig) -> ComponentNetwork:
    if isinstance(agent, CurlConfig):
        return curl.make_network(agent, environment, 0, CPU)
    assert isinstance(agent, EfficientZeroConfig)
    return make_network(agent.network, environment.frame_size, 0, CPU)


def test_a_network_comes_back_bit_for_bit(tmp_path: Path) -> None:
    weights: dict[str, Tensor] = network(EfficientZeroConfig.model_validate(AGENT), EnvironmentConfig(frame_size=10)).state_dict()
    weights["not finite"] = torch.tensor([torch.nan, -torch.inf, -0.0])
    weights["a view"] = torch.arange(12.0).reshape(3, 4).t()[1:]
    weights["in another order"] = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    path = tmp_path / "network.safetensors"
    path.write_bytes(network_bytes(weights, HEADER))
    read = safetensors.torch.load_file(path)
    assert read.keys() == weights.keys()
    for name, value in weights.items():
        assert (read[name].dtype, read[name].shape) == (value.dtype, value.shape), name
        assert read[name].numpy().tobytes() == value.contiguous().numpy().tobytes(), name
    file = read_network_file(path)
    assert file.header == HEADER
    assert file.num_values == sum(value.numel() for value in weights.values())


def test_equal_networks_are_equal_bytes_whatever_order_they_were_built_in() -> None:
    backwards = dict(reversed(SMALL.items()))
    assert len({network_bytes(weights, HEADER) for weights in (SMALL, backwards, SMALL)}) == 1
    other = HEADER.model_copy(update={"games": ("CatchSlow",)})
    assert network_bytes(SMALL, other) != network_bytes(SMALL, HEADER)


WHOLE = network_bytes(SMALL, HEADER)


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE) * 8 - 1), st.booleans())
def test_a_bit_that_flipped_and_an_end_that_is_missing_are_told(
    tmp_path_factory: pytest.TempPathFactory, bit: int, cut: bool
) -> None:
    damaged = bytearray(WHOLE)
    damaged[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.mktemp("damaged") / "network.safetensors"
    path.write_bytes(WHOLE[: bit // 8] if cut else damaged)
    with pytest.raises(NetworkFileError, match=r"network\.safetensors: "):
        read_network_file(path)


def test_what_is_no_network_of_ours_is_told_for_what_it_is(tmp_path: Path) -> None:
    torch.save(SMALL, tmp_path / "network.pt")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "foreign").write_bytes(safetensors.torch.save(SMALL))
    (tmp_path / "later").write_bytes(network_bytes(SMALL, HEADER.model_copy(update={"format": FORMAT + 1})))
    told = {
        "network.pt": "is not safetensors, or was cut short",
        "foreign": "is safetensors, but of something else",
        "later": f"was written by another release of xtra-bench \\(format {FORMAT + 1}; this one reads {FORMAT}\\)",
        "absent": "no such file",
        ".": "is not a regular file",
        "pipe": "is not a regular file",
        "/dev/zero": "is not a regular file",
    }
    for name, fault in told.items():
        with pytest.raises(NetworkFileError, match=fault):
            read_network_file(tmp_path / name)


SMALL_AGENTS: dict[str, dict[str, Any]] = {"efficientzero": AGENT, "curl": {"network": {"hidden": 4, "num_atoms": 3}}}
VIEWS: dict[str, dict[str, Any]] = {"efficientzero": {"frame_size": 10}, "curl": {"frame_size": 30, "color": "gray"}}
CHANGES: dict[str, dict[str, Any]] = {
    "efficientzero": {
        "environment.frame_size": 16,
        **{f"agent.network.{name}": 3 for name in ("frame_stack", "head_channels", "head_hidden", "lstm_hidden", "support")},
        **{f"agent.network.{name}": 6 for name in ("channels", "projection_hidden", "projection_size", "predictor_hidden")},
        **{f"agent.network.{name}": 2 for name in ("num_halvings", "blocks_per_stage")},
        "agent.network.latent_scaling": "min_max",
        "agent.network.action_encoding": "one_hot_planes",
        "agent.network.action_space": "game",
        "agent.network.batch_norm_momentum": 0.2,
        "agent.search.num_simulations": 5,
    },
    "curl": {
        "environment.frame_size": 60,
        "environment.color": "rgb",
        **{f"agent.network.{name}": 2 for name in ("frame_stack", "hidden", "num_atoms")},
        "agent.network.encoder": "small",
        "agent.network.noise_scale": 0.2,
        "agent.network.support": 5.0,
        "agent.contrastive.size": 8,
    },
}
MEANING = ("agent.network.latent_scaling", "agent.network.support", "agent.network.action_space")
"""Settings that change what weights mean, and not always their shape."""


def configured(kind: str, changes: dict[str, Any]) -> tuple[Config, EnvironmentConfig]:
    tree: dict[str, Any] = {"agent": copy.deepcopy(SMALL_AGENTS[kind]), "environment": {**VIEWS[kind]}}
    for path, value in changes.items():
        *blocks, leaf = path.split(".")
        reduce(lambda block, name: block.setdefault(name, {}), blocks, tree)[leaf] = value
    return AGENTS[kind].config.model_validate(tree["agent"]), EnvironmentConfig.model_validate(tree["environment"])


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, changes in CHANGES.items() for path in changes])
def test_a_setting_is_held_against_a_part_exactly_if_the_part_depends_on_it(kind: str, path: str) -> None:
    theirs, ours = configured(kind, {path: CHANGES[kind][path]}), configured(kind, {})
    header = {"agent": theirs[0].model_dump(mode="json"), "environment": theirs[1].model_dump(mode="json")}
    file, method = network(*theirs), network(*ours)
    for part in DEPENDS_ON[kind]:
        told = differences(header, *ours, [part])
        try:
            method.load_components(file.state_dict(), [part])
            loads = True
        except ValueError:
            loads = False
        if path in MEANING and loads:
            continue
        assert [sentence.split(" is ")[0] for sentence in told] == ([] if loads else [path])


def test_a_network_that_means_something_else_is_refused_though_its_shapes_fit() -> None:
    scaled, _ = configured("efficientzero", {"agent.network.latent_scaling": "min_max"})
    ours = configured("efficientzero", {})
    header = {"agent": scaled.model_dump(mode="json"), "environment": ours[1].model_dump(mode="json")}
    for part in COMPONENTS:
        assert differences(header, *ours, [part]) == ["agent.network.latent_scaling is min_max in the file, none in the method"]


def test_a_network_of_one_games_own_actions_is_refused_where_all_18_are_meant() -> None:
    own, view = configured("efficientzero", {"agent.network.action_space": "game"})
    ale18, _ = configured("efficientzero", {})
    header = {"agent": own.model_dump(mode="json"), "environment": view.model_dump(mode="json")}
    refusal = ["agent.network.action_space is game in the file, ale18 in the method"]
    for part in COMPONENTS:
        assert differences(header, ale18, view, [part]) == (refusal if part in ("dynamics", "prediction") else [])


def test_no_setting_of_a_network_is_forgotten() -> None:
    fields = {"efficientzero": NetworkConfig.model_fields, "curl": CurlNetworkConfig.model_fields}
    for kind, known in fields.items():
        assert {f"agent.network.{name}" for name in known} <= CHANGES[kind].keys()
    assert ARCHITECTURES.keys() == AGENTS.keys() - {"random"}


def test_other_kinds_of_network_and_parts_that_are_none_are_told() -> None:
    (agent, view), (other, other_view) = configured("efficientzero", {}), configured("curl", {})
    header = {"agent": agent.model_dump(mode="json"), "environment": view.model_dump(mode="json")}
    assert differences(header, other, other_view, ["prediction"]) == ["agent is efficientzero in the file, curl in the method"]
    assert differences({}, agent, view, ["prediction"]) == ["agent is missing in the file, efficientzero in the method"]
    header = {"agent": other.model_dump(mode="json"), "environment": other_view.model_dump(mode="json")}
    (told,) = differences(header, other, other_view, ["dynamics"])
    assert told == "a network of agent curl has no dynamics; it has representation, prediction, projection"


@pytest.mark.parametrize("kind", list(SMALL_AGENTS))
def test_by_default_a_method_takes_every_part_that_its_network_has(kind: str) -> None:
    assert configure(kind, {}).transfer.start.components == network(*configured(kind, {})).components
