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
from xtra.perf.engines import ENGINES
from xtra.perf.hash_model import NativeHashModel, root_latents, successors, tables
from xtra.perf.rounds import Samples, Turn, measure
from xtra.perf.searcher import Absent, Cell
from xtra.perf.split import split_network, split_tree_only

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
    monkeypatch.setattr(perf_search, "THREAD_CELLS", [])
    sizes = ["--batch", "1", "--batch", "2", "--simulations", "3"]
    rest = ["--preset", "tiny", "--most-seconds", "0", "--rounds", "1", "--engine", "xtra"]
    result = CliRunner().invoke(app, ["search", "--json", *sizes, *rest])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [cell["batch"] for cell in report["tree_only"]] == [1, 2]
    assert report["tree_only"][0]["engines"]["xtra"]["simulations_per_second"] > 0
    assert report["split"][1]["bytes_per_root"] > 0
    assert all("the limit is 0 s" in row["skipped"] for row in report["network"])
    assert "tree only: 2 roots x 18 actions x 3 simulations" in result.stderr


def test_a_search_with_a_network_is_split_into_its_parts() -> None:
    found = split_network("tiny", Cell(2, 18, 2), num_searches=1, most_seconds=60)
    assert found["tree_us"] + found["network_us"] < 2 / found["simulations_per_second"] * 1e6
    assert found["network_us"] > found["tree_us"]


def test_two_threads_are_timed_in_turn_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(perf_search, "Worker", lambda name, cell, cores: (name, cell.num_threads))
    monkeypatch.setattr(perf_search, "split_tree_only", lambda cell, rounds: {"tree_us": 6.0 / cell.num_threads})

    def turns(workers: dict[str, object], num_rounds: int) -> dict[str, Samples]:
        asked.append(workers)
        return {"1": Samples(seconds=[3.0, 4.0, 9.0]), "2": Samples(seconds=[2.0, 2.0, 3.0])}

    monkeypatch.setattr(perf_search, "take_turns", turns)
    assert perf_search.thread_scaling(TINY, 3) == {"whole": 2.0, "whole_best": 3.0, "tree": 2.0}
    assert asked == [{"1": ("xtra", 1), "2": ("xtra", 2)}]


def test_an_unknown_engine_is_refused_with_the_valid_names() -> None:
    result = CliRunner().invoke(app, ["search", "--engine", "alphazero"])
    assert result.exit_code == 2
    assert "xtra_gumbel" in result.output
