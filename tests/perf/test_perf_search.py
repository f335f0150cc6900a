"""`xtra-bench perf search`, in small."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from xtra.cli.perf import app
from xtra.perf import search as perf_search
from xtra.perf.engines import ENGINES, Absent, Cell
from xtra.perf.hash_model import NativeHashModel, root_latents, successors, tables
from xtra.perf.rounds import Turn, measure
from xtra.perf.split import split_tree_only

TINY = Cell(batch=2, num_actions=4, num_simulations=3)


def test_the_native_hash_model_is_the_one_the_peers_get() -> None:
    model = NativeHashModel(5, 4)
    root = model.initial_inference(root_latents(5))
    actions = torch.tensor([0, 1, 2, 3, 0])
    latents = root.latent.clone()
    output = model.recurrent_inference(latents, torch.full((5, 1), 2.0), actions)
    expected = successors(root_latents(5), actions.numpy().astype(np.uint32))
    rows = expected % len(tables(4).values)
    assert (output.latent.numpy().view(np.uint32) == expected).all()
    assert (output.policy_logits.numpy() == tables(4).logits[rows]).all()
    assert (output.value_prefix.numpy() == 2 + tables(4).rewards[rows]).all()


def test_our_engines_take_turns_in_processes_of_their_own() -> None:
    samples = measure(TINY, ["xtra", "xtra_gumbel"], num_rounds=2, cores=[0])
    assert [len(found.seconds) for found in samples.values()] == [2, 2]
    assert all(second > 0 for found in samples.values() for second in found.seconds)


def test_an_engine_that_is_not_installed_is_reported_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(cell: Cell) -> None:
        raise Absent("nothing is not installed: pip install nothing")

    monkeypatch.setitem(ENGINES, "mctx_muzero", missing)
    assert Turn("mctx_muzero", TINY).prepare() == {"absent": "nothing is not installed: pip install nothing"}


def test_the_split_adds_up_and_a_node_takes_at_most_300_bytes() -> None:
    found = split_tree_only(Cell(4, 18, 50), num_searches=3)
    assert found["bytes_per_node"] <= 300
    whole = found["tree_us"] + found["glue_us"] + found["network_us"]
    assert found["outside_network_fraction"] == pytest.approx(1 - found["network_us"] / whole, rel=0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="pins processes to cores")
def test_the_command_prints_everything_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_search, "STANDARD_CELLS", [TINY])
    monkeypatch.setattr(perf_search, "thread_scaling", lambda cell, rounds: {"whole": 1.0, "tree": 1.0})
    result = CliRunner().invoke(app, ["search", "--json", "--rounds", "1", "--engine", "xtra"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert report["tree_only"][0]["engines"]["xtra"]["simulations_per_second"] > 0
    assert {"machine", "split", "network"} <= set(report)


def test_an_unknown_engine_is_refused_with_the_valid_names() -> None:
    result = CliRunner().invoke(app, ["search", "--engine", "alphazero"])
    assert result.exit_code == 2
    assert "xtra_gumbel" in result.output
