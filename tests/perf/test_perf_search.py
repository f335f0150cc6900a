"""`xtra-bench perf search`, in small."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from xtra.cli.perf import app, render_search
from xtra.perf import search as perf_search
from xtra.perf.engines import ENGINES
from xtra.perf.problem import NativeHashModel, NotInstalled, SearchSize, root_latents, successors, tables
from xtra.perf.split import measure_on_cuda, preset_network, split_network, split_tree_only
from xtra.perf.turns import Samples, Turn, measure
from xtra.search.cuda import cuda_is_usable

TINY = SearchSize(batch=2, num_actions=4, num_simulations=3)


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
    def missing(size: SearchSize) -> None:
        raise NotInstalled("nothing is not installed: pip install nothing")

    monkeypatch.setitem(ENGINES, "mctx_muzero", missing)
    assert Turn("mctx_muzero", TINY).prepare() == {"absent": "nothing is not installed: pip install nothing"}


def test_the_split_adds_up_and_a_node_takes_at_most_300_bytes() -> None:
    found = split_tree_only(SearchSize(4, 18, 50), num_searches=3)
    assert found["bytes_per_node"] <= 300
    whole = found["tree_us"] + found["glue_us"] + found["network_us"]
    assert found["outside_network_fraction"] == pytest.approx(1 - found["network_us"] / whole, rel=0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="pins processes to cores")
def test_the_command_prints_everything_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_search, "THREAD_SIZES", [])
    sizes = ["--batch", "1", "--batch", "2", "--simulations", "3"]
    rest = ["--preset", "tiny", "--most-seconds", "0", "--rounds", "1", "--engine", "xtra"]
    result = CliRunner().invoke(app, ["search", "--json", *sizes, *rest])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [row["batch"] for row in report["tree_only"]] == [1, 2]
    assert report["tree_only"][0]["engines"]["xtra"]["simulations_per_second"] > 0
    assert report["split"][1]["bytes_per_root"] > 0
    assert all("the limit is 0 s" in row["skipped"] for row in report["network"])
    assert "tree only: 2 roots x 18 actions x 3 simulations" in result.stderr


def test_a_search_with_a_network_is_split_into_its_parts() -> None:
    splits = [split_network("tiny", SearchSize(2, 18, 2), num_searches=1, most_seconds=60) for _ in range(3)]
    parts = min(splits, key=lambda split: split["tree_us"])  # the tree takes microseconds: one interruption would outweigh them
    assert parts["tree_us"] + parts["network_us"] < 2 / parts["simulations_per_second"] * 1e6
    assert parts["network_us"] > parts["tree_us"]


def test_the_network_that_is_timed_is_the_one_that_training_searches_with() -> None:
    network, observations, precision = preset_network("efficientzero", 2, torch.device("cpu"))
    assert precision == "float32"
    assert observations.shape == (2, 12, 96, 96)
    assert network.initial_inference(observations).policy_logits.shape == (2, 18)
    assert not network.training


def report_of(cuda: dict[str, object]) -> dict[str, object]:
    row = {"preset": "tiny", "batch": 8, "precision": "bfloat16", "simulations_per_second": 2e6, "outside_network_fraction": 0.25}
    machine = {"machine": {"cuda": "A card"}}
    return machine | {"tree_only": [], "split": [], "two_threads": [], "network": [], "cuda": [row | cuda]}


def test_a_profile_without_kernels_costs_no_more_than_its_own_figures() -> None:
    unseen = dict.fromkeys(("kernels_per_simulation", "host_waits_per_search", "gpu_busy_fraction"))
    assert "2,000,000 simulations/s in bfloat16, 25.0 % outside the network; the profiler saw no kernel" in render_search(
        report_of(unseen)
    )
    seen = {"kernels_per_simulation": 125.0, "host_waits_per_search": 1.0, "gpu_busy_fraction": 0.5}
    assert "125 kernels each, 1 host waits a search, GPU busy 50 %" in render_search(report_of(seen))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available() or not cuda_is_usable(), reason="needs a CUDA device and the CUDA engine")
def test_a_search_is_measured_on_a_cuda_device() -> None:
    measured = measure_on_cuda("tiny", SearchSize(4, 18, 2), num_searches=1)
    assert measured["precision"] == "bfloat16"
    assert measured["simulations_per_second"] > 0
    assert measured["kernels_per_simulation"] is None or measured["kernels_per_simulation"] > 1


def test_two_threads_are_timed_in_turn_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(perf_search, "EngineProcess", lambda name, size, cores: (name, size.num_threads))
    monkeypatch.setattr(perf_search, "split_tree_only", lambda size, rounds: {"tree_us": 6.0 / size.num_threads})

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


def test_what_would_measure_nothing_on_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app, ["search", "--cuda-only", "--preset", "tiny"])
    assert result.exit_code == 2
    assert "no CUDA device" in result.output
    monkeypatch.setattr("xtra.search.cuda.cuda_is_usable", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    result = CliRunner().invoke(app, ["search", "--cuda-only"])
    assert result.exit_code == 2
    assert "--preset" in result.output


def test_presets_are_timed_on_cuda_alone_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = {"precision": "bfloat16", "simulations_per_second": 2e6, "outside_network_fraction": 0.25}
    monkeypatch.setattr(perf_search, "measure_on_cuda", lambda preset, size, rounds: timed | {"kernels_per_simulation": None})
    for name in ("xtra.search.cuda.cuda_is_usable", "xtra.perf.search.cuda_is_usable"):
        monkeypatch.setattr(name, lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A card")
    result = CliRunner().invoke(app, ["search", "--cuda-only", "--preset", "tiny"])
    assert result.exit_code == 0, result.output
    figures, card = result.stdout.splitlines()
    assert figures.startswith("CUDA, preset tiny, 1536 roots: 2,000,000 simulations/s in bfloat16, 25.0 % outside the network")
    assert card == "CUDA: A card"
