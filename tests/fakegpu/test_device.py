"""What the fake device notices, and what our code asks of it. Run by `tox -e fakegpu`; elsewhere there is no such device."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from torch import nn

from xtra.agents.efficientzero import fusion
from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.batch import TensorBatch
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.losses import total_loss, unroll_losses
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.optimizer import Optimizer
from xtra.agents.interface import prepare_torch
from xtra.cuda_graphs import WARM_UP_CALLS, CaptureStream
from xtra.perf.split import preset_network
from xtra.search import GraphedSearch, ModelOutput, SearchConfig
from xtra.search.cuda import cuda_is_usable

from ..tiny_agent import fill, tiny_learner

fakegpu = pytest.importorskip("fakegpu")
pytestmark = pytest.mark.gpu
ROOT = Path(__file__).resolve().parents[2]
BATCH, SIMULATIONS = 4, 5
BATCH_COUNTER = "CUDAFunctorOnSelf_add<long>"
"""The kernel by which torch's batch norm counts batches."""


def capture(*steps: str) -> None:
    """Captures additions to a tensor, and whatever else the steps do."""
    numbers, stream = torch.zeros(8, device="cuda"), torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.cuda.graph(torch.cuda.CUDAGraph(), stream=stream):
        for step in steps:
            numbers.add_(1)
            if step == "wait":
                numbers.sum().item()


def test_every_kernel_of_a_capture_is_a_node() -> None:
    capture("add")
    fakegpu.reset()
    capture("add", "add", "add")
    report = fakegpu.report()
    assert sum(report["captured"].values()) == 3
    assert not report["complaints"]


def test_a_host_that_waits_breaks_a_capture() -> None:
    with pytest.raises(RuntimeError):
        capture("add", "wait")
    assert any("cudaStreamSynchronize" in complaint or "capture" in complaint for complaint in fakegpu.report()["complaints"])
    torch.cuda.synchronize()
    capture("add")  # and not the next one


def test_a_captured_search_is_one_kernel_of_ours_to_begin_and_one_a_simulation() -> None:
    assert cuda_is_usable()
    device = prepare_torch(1)
    network, observations, _ = preset_network("tiny", BATCH, device)
    search = GraphedSearch(network, SearchConfig(num_simulations=SIMULATIONS))
    valid = torch.ones(BATCH, 18, dtype=torch.bool, device=device)
    fakegpu.reset()
    search(observations, valid_actions=valid)
    captured = fakegpu.report()["captured"]
    ours = {
        kernel: sum(count for name, count in captured.items() if kernel in name) for kernel in ("begin_kernel", "step_kernel")
    }
    assert ours == {"begin_kernel": 1, "step_kernel": SIMULATIONS}
    assert not any("HtoD" in name for name in captured)
    fakegpu.reset()
    search(observations, valid_actions=valid)
    launches = [name for name in fakegpu.report()["ran"] if name.startswith("graph of ")]
    assert launches == [f"graph of {sum(captured.values())} nodes"]


def test_layers_and_what_follows_them_are_one_kernel_each_where_a_network_only_infers() -> None:
    """In bfloat16, as published: 83 kernels each without it, and 35 in a recurrent inference whose heads run apart."""
    network, observations, precision = preset_network("efficientzero", BATCH, prepare_torch(1))
    actions = torch.zeros(BATCH, dtype=torch.int64, device="cuda")

    def kernels(infer: Callable[[], ModelOutput]) -> int:
        infer()  # NVRTC compiles
        fakegpu.reset()
        infer()
        return sum(fakegpu.report()["ran"].values())

    with torch.no_grad():
        root = network.initial_inference(observations)
        counts = [
            kernels(lambda: network.initial_inference(observations)),
            kernels(lambda: network.recurrent_inference(root.latent, root.value_prefix_state, actions)),
        ]
    assert (precision, counts) == ("bfloat16", [27, 25])


@pytest.mark.parametrize(("precision", "nodes"), [("bfloat16", 1366), ("float32", 1004)])
def test_an_updates_heads_run_once_for_all_steps_of_the_unroll(precision: Literal["bfloat16", "float32"], nodes: int) -> None:
    """Of the published size, but for the batch. In batches of 256, which some kernels need help for, it is 1,435 and 1,015, where
    a call for each step takes 2,594 and 1,977."""
    device = prepare_torch(1)
    config = EfficientZeroConfig(precision=precision)
    network, optimizer, batch = published_update(config, device)
    for _ in range(2):
        fakegpu.reset()
        optimizer.step(total_loss(unroll_losses(network, batch, config), batch, config))
    assert sum(fakegpu.report()["ran"].values()) == nodes


def published_update(config: EfficientZeroConfig, device: torch.device) -> tuple[EfficientZeroNetwork, Optimizer, TensorBatch]:
    network, steps = make_network(config.network, 96, 0, device).train(), config.targets.num_unroll_steps
    images = torch.zeros(steps + 1, BATCH, 12, 96, 96, device=device)
    observation, *following = (each.contiguous(memory_format=torch.channels_last) for each in images)
    zeros = torch.zeros(BATCH, steps + 1, device=device)
    batch = TensorBatch(
        observation=observation,
        next_observations=tuple(following),
        actions=torch.zeros(BATCH, steps, dtype=torch.int64, device=device),
        value_prefixes=zeros[:, 1:],
        values=zeros,
        policies=torch.zeros(BATCH, steps + 1, 18, device=device),
        alive=zeros == 0,
        observed=zeros[:, 1:] == 0,
        weights=zeros[:, 0] + 1,
    )
    return network, Optimizer(network, config.optimizer), batch


def test_convolutions_that_cudnn_does_not_join_are_plain_from_then_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: Any) -> torch.Tensor:
        raise RuntimeError("no engine")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", refuse)
    monkeypatch.setattr(fusion, "_refused", set())
    layer = nn.Conv2d(3, 3, 3).cuda().requires_grad_(False)
    for _ in range(2):
        assert fusion.convolve(layer, torch.zeros(2, 3, 5, 5, device="cuda")).shape == (2, 3, 3, 3)
    told = "convolutions [3, 3, 3, 3] in torch.float32 are not joined with what follows them: no engine\n"
    assert capsys.readouterr().out == told


def test_a_search_that_cannot_be_captured_runs_kernel_by_kernel_and_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    network, observations, _ = preset_network("tiny", BATCH, prepare_torch(1))

    def waiting(*arguments: torch.Tensor) -> ModelOutput:
        output = network.recurrent_inference(*arguments)
        output.value.sum().item()
        return output

    model = SimpleNamespace(initial_inference=network.initial_inference, recurrent_inference=waiting)
    search = GraphedSearch(model, SearchConfig(num_simulations=SIMULATIONS))
    fakegpu.reset()
    for _ in range(2):
        search(observations, valid_actions=torch.ones(BATCH, 18, dtype=torch.bool, device="cuda"))
    assert capsys.readouterr().out.count("this work is not captured as a CUDA graph") == 1
    steps = sum(count for name, count in fakegpu.report()["ran"].items() if "step_kernel" in name)
    assert steps == (WARM_UP_CALLS + 2) * SIMULATIONS


@pytest.mark.parametrize(("mode", "is_captured"), [("global", False), ("thread_local", True)])
def test_what_another_thread_asks_for_ends_a_global_capture_but_not_ours(
    mode: str, is_captured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, modes = torch.cuda.graph, []

    def in_mode(*arguments: Any, capture_error_mode: str, **named: Any) -> torch.cuda.graph:
        modes.append(capture_error_mode)
        return ours(*arguments, capture_error_mode=mode, **named)

    def allocate() -> None:
        ctypes.CDLL("libcudart.so.13").cudaMalloc(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(8))

    def work() -> None:
        numbers.add_(1)
        thread = Thread(target=allocate)
        thread.start()
        thread.join()

    monkeypatch.setattr(torch.cuda, "graph", in_mode)
    numbers, stream = torch.zeros(8, device="cuda"), CaptureStream(torch.device("cuda"))
    fakegpu.reset()
    with nullcontext() if is_captured else pytest.raises(RuntimeError):
        stream.capture(work)
    assert modes == ["thread_local"]
    assert bool(fakegpu.report()["complaints"]) != is_captured


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_captured_update_scatters_nothing_counts_no_batch_and_keeps_its_lstm_in_float32(precision: str) -> None:
    learner = tiny_learner(device="cuda", precision=precision)
    replay = fill(learner.make_replay(2, (10, 10, 3), 200))
    fakegpu.reset()
    for update in range(WARM_UP_CALLS + 2):
        learner.update(replay, update)
    report = fakegpu.report()
    assert not report["complaints"]
    lstm = {name for name in report["captured"] if name.startswith("cudnnRNN")}
    assert lstm == {f"cudnnRNN{part} float32" for part in ("Forward", "BackwardData", "BackwardWeights")}
    kernels = fakegpu.demangled(list(report["captured"]))
    assert any("CUDAFunctorOnSelf_add<float>" in kernel for kernel in kernels)
    for banned in ("scatter", "index_put", "HtoD", BATCH_COUNTER):
        assert not [kernel for kernel in kernels if banned in kernel]


@pytest.mark.parametrize(("reanalysis", "to_device", "waits"), [("each_draw", 1, 2), ("per_period", 1, 1)])
def test_an_update_sends_and_fetches_what_it_has_at_hand_together(reanalysis: str, to_device: int, waits: int) -> None:
    """Sent: all that the host knows of a batch. Fetched: the verdict on a search's outputs, then the losses with the priorities.
    Targets stay on the device."""
    learner = tiny_learner(device="cuda", targets={"reanalysis": reanalysis, "target_update_interval": 100})
    replay = fill(learner.make_replay(2, (10, 10, 3), 200))
    for update in range(20):
        learner.update(replay, update)
    fakegpu.reset()
    learner.update(replay, 20)
    calls = fakegpu.report()["ran"]
    assert calls["memcpyAsync PtoD"] == to_device
    assert calls["memcpyAsync DtoH"] == calls["cudaStreamSynchronize"] == waits
    assert "memcpyAsync HtoD" not in calls


def test_torchs_own_layers_do_what_ours_avoid() -> None:
    lstm, norm = nn.LSTM(8, 8).cuda(), nn.BatchNorm2d(3).cuda()
    fakegpu.reset()
    with torch.autocast("cuda", torch.bfloat16):
        lstm(torch.zeros(2, 3, 8, device="cuda"))
    norm(torch.zeros(2, 3, 4, 4, device="cuda"))
    ran = fakegpu.report()["ran"]
    assert "cudnnRNNForward float16" in ran
    assert any(BATCH_COUNTER in kernel for kernel in fakegpu.demangled(list(ran)))


SEARCHES = """
import fakegpu, torch
from xtra.perf.split import preset_network
from xtra.search import SearchConfig, nvrtc, search
network, observations, _ = preset_network("tiny", 2, torch.device("cuda"))
valid = torch.ones(2, 18, dtype=torch.bool, device="cuda")
{before}
fakegpu.reset()
for _ in range(2):
    try:
        search(network, observations, SearchConfig(num_simulations=3), valid_actions=valid)
    except ValueError as error:
        print(error)
print(sum(count for name, count in fakegpu.report()["ran"].items() if "step_kernel" in name), "steps on the device")
"""
"""Two searches. The mask of valid actions comes back from the device as zeros, which a tree on the CPU alone can notice."""
WITHOUT_NVRTC = "nvrtc.Nvrtc.__init__ = lambda self, path: exec('raise OSError')"
COMPILING, ON_CPU, OLD_DRIVER = (
    "compiling the CUDA engine for sm_90",
    "keep their trees on the CPU",
    "driver version is insufficient",
)


@pytest.mark.parametrize(
    ("fault", "before", "steps", "words"),
    [
        ("0", "", 6, {COMPILING: 0, ON_CPU: 0}),
        ("35", "", 6, {COMPILING: 1, ON_CPU: 0}),
        ("35", WITHOUT_NVRTC, 0, {COMPILING: 0, ON_CPU: 1, OLD_DRIVER: 1}),
    ],
    ids=["the engine loads", "the driver refuses it", "and there is no NVRTC"],
)
def test_kernels_come_with_the_package_or_from_nvrtc_and_else_trees_stay_on_the_cpu(
    fault: str, before: str, steps: int, words: dict[str, int], tmp_path: Path
) -> None:
    environment = {**os.environ, "FAKEGPU_FAULT": fault, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", SEARCHES.format(before=before)]
    searched = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"{steps} steps on the device" in searched.stdout
    assert searched.stdout.count("has no valid action") == (0 if steps else 2)
    assert {word: searched.stderr.count(word) for word in words} == words
    assert len(list(tmp_path.rglob("*.bin"))) == words[COMPILING]


def test_a_flight_is_flown_whole_in_small(tmp_path: Path) -> None:
    bench = f"{sys.executable} {ROOT / 'tests' / 'fakegpu' / 'rehearse.py'}"
    flight = [sys.executable, ROOT / "benchmarks" / "gpu" / "flight.py", "--rehearse", "--budget", "3000", "--out", tmp_path]
    only = "device,doctor,exact,train,train_cross_tasks,train_per_period,profile,search,exact_nvrtc,resume,deterministic"
    subprocess.run([*flight, "--bench", bench, "--only", only], check=True)
    steps = {step["name"]: step for step in json.loads((tmp_path / "flight.json").read_text())["steps"]}
    assert {name: step["status"] for name, step in steps.items()} == dict.fromkeys(only.split(","), "done")
    assert steps["train"]["result"]["device"] == "Fake GPU"
    table = [sys.executable, ROOT / "benchmarks" / "gpu" / "table.py", tmp_path / "flight.json"]
    text = subprocess.run(table, capture_output=True, text=True, check=True).stdout
    assert text.splitlines()[0] == "**A rehearsal: these figures mean nothing.**"
    assert text.splitlines()[2].startswith("On one Fake GPU")
    assert "not sustained" in text
