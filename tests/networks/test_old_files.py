"""Files outlive releases: what format 1 wrote is read, imported and loaded, and what it does not fit is said by name.

The file is never regenerated.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from xtra.agents.config import IMPORTED_FILE
from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.envs.config import EnvironmentConfig
from xtra.networks.imported import ImportedConfig, import_network
from xtra.networks.network_file import NetworkFileError, differences, network_bytes, read_network_file
from xtra.store.store import State, Store
from xtra.transfer.config import COMPONENTS

FILE = Path(__file__).parent / "data" / "format_1.safetensors"
NETWORK = {
    "frame_stack": 1, "channels": 2, "num_halvings": 0, "head_channels": 1, "head_hidden": 2, "lstm_hidden": 2, "support": 1,
    "projection_hidden": 2, "projection_size": 2, "predictor_hidden": 2,
}  # fmt: skip
VIEW = EnvironmentConfig(frame_size=10)


def agent(**changes: object) -> EfficientZeroConfig:
    return EfficientZeroConfig.model_validate({"network": NETWORK | changes})


def test_a_file_of_format_1_is_read_and_its_weights_are_those_of_todays_network() -> None:
    file = read_network_file(FILE)
    assert (file.header.format, file.header.stage, file.header.games) == (1, "pretrain", ("CatchSlow",))
    # A setting that has another name today does not keep it from being read: configurations are plain JSON.
    assert "priority_correction_start" in file.header.agent["replay"]  # type: ignore[operator]
    network = make_network(agent().network, 10, 7, torch.device("cpu"))
    network.load_state_dict(safetensors.torch.load_file(FILE))


def test_it_fits_a_method_of_its_settings_and_says_by_name_what_does_not() -> None:
    header = read_network_file(FILE).header
    exported = {"agent": header.agent, "environment": header.environment}
    assert differences(exported, agent(), VIEW, COMPONENTS) == []
    assert differences(exported, agent(channels=4), VIEW, ["prediction"]) == [
        "agent.network.channels is 2 in the file, 4 in the method"
    ]


def test_it_becomes_a_complete_job_in_a_store_of_today(tmp_path: Path) -> None:
    store, file = Store(tmp_path), read_network_file(FILE)
    key = import_network(store, file)
    assert store.state(key, now=0.0) is State.COMPLETE
    assert (store.out(key) / IMPORTED_FILE).read_bytes() == FILE.read_bytes()
    assert ImportedConfig.model_validate_json(json.dumps(store.job(key).config)).sha256 == file.sha256
    assert import_network(store, file) == key


def test_a_format_that_this_release_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    header = read_network_file(FILE).header.model_copy(update={"format": 2})
    (tmp_path / "later").write_bytes(network_bytes(safetensors.torch.load_file(FILE), header))
    with pytest.raises(NetworkFileError, match=r"another release of xtra-bench \(format 2; this one reads 1\)"):
        read_network_file(tmp_path / "later")
