"""What a GPU does otherwise: bfloat16, frames in its memory, searches of one shape. Shown on CPU as far as that goes."""

import copy
import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from xtra import cuda_graphs
from xtra.agents.efficientzero import optimizer, targets
from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.reanalysis import ask_all
from xtra.agents.interface import prepare_torch
from xtra.cuda_graphs import WARM_UP_CALLS, FlatFunction, GraphedFunction, without_graphs
from xtra.execute.machine import NO_GPU
from xtra.replay.buffer import ReplayBuffer, table_rows
from xtra.replay.frames import DeviceFrames, RawFrames

from ..tiny_agent import fill, tiny_learner
from .pretended import PretendedGraph, PretendedRecorder


@pytest.fixture(autouse=True)
def as_in_a_job(request: pytest.FixtureRequest) -> Iterator[None]:
    """On a GPU every job demands deterministic kernels."""
    if request.node.get_closest_marker("gpu") is None:
        yield
        return
    prepare_torch(1)
    yield
    torch.use_deterministic_algorithms(False)


def test_torch_is_prepared_to_be_deterministic_without_its_compiler_being_imported() -> None:
    code = (
        "import sys, torch; from xtra.agents.interface import prepare_torch; prepare_torch(1); "
        "print(torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), 'torch._dynamo' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "True 1 False\n"


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_the_memory_of_a_freed_tensor_serves_the_next_one_unless_the_user_says_otherwise() -> None:
    """Counted in page faults: 40 times 40 MB are 400,000 pages, which are mapped once or every time. The child asks for small
    ones (PR_SET_THP_DISABLE): huge pages are too few to count."""
    code = (
        "import ctypes, resource, torch; from xtra.agents.interface import prepare_torch; "
        "ctypes.CDLL(None).prctl(41, 1, 0, 0, 0); prepare_torch(1); "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt; "
        "[torch.zeros(10_000_000).sum().item() for _ in range(40)]; "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )

    def faults(**variables: str) -> int:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
        environment = {**own, **variables}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        return int(run.stdout)

    kept, returned = faults(), faults(MALLOC_MMAP_THRESHOLD_="1000000")
    assert kept < 0.5 * returned, (kept, returned)


def make_learner(device: str = "cpu", **settings: Any) -> EfficientZeroLearner:
    return tiny_learner(device=device, **{"targets": {"target_update_interval": 2}, **settings})


def metrics_of(learner: EfficientZeroLearner, replay: ReplayBuffer, num_updates: int = 4) -> list[dict[str, float]]:
    return [learner.update(replay, update) for update in range(num_updates)]


def on_host(learner: EfficientZeroLearner) -> ReplayBuffer:
    return fill(learner.make_replay(2, (10, 10, 3), 200))


def on_device(learner: EfficientZeroLearner, device: str = "cpu") -> ReplayBuffer:
    config = EfficientZeroConfig()
    frames = DeviceFrames(table_rows(config.replay, 2, 200), 2, (10, 10, 3), torch.device(device))
    return fill(ReplayBuffer(config.replay, 2, (10, 10, 3), 18, config.window, 200, frames))


def test_frames_in_device_memory_are_those_of_host_memory() -> None:
    rng = np.random.default_rng(0)
    stores = RawFrames(5, 3, (8, 8, 3)), DeviceFrames(5, 3, (8, 8, 3), torch.device("cpu"))
    for row in range(5):
        frames = rng.integers(256, size=(3, 8, 8, 3), dtype=np.uint8)
        for store in stores:
            store.write(row, frames)
    rows, envs = rng.integers(5, size=(4, 6)), rng.integers(3, size=(4, 6))
    assert np.array_equal(stores[0].read(rows, envs), stores[1].read(rows, envs))


def test_where_the_frames_lie_changes_nothing() -> None:
    first, second = make_learner(), make_learner()
    assert metrics_of(first, on_host(first)) == metrics_of(second, on_device(second))


@pytest.mark.parametrize("value_source", ["network", "search"])
def test_rows_past_an_episodes_end_have_no_influence_on_the_others(value_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make_learner(targets={"value_source": value_source, "td_steps": 1, "target_update_interval": 2})
    learner.randomize_heads()
    replay = on_host(learner)
    metrics_of(learner, replay)  # its target network tells observations apart
    batches = [learner.make_batch(replay, 7)[1]]
    monkeypatch.setattr(targets, "ask_all", lambda alive, _: ask_all(alive, torch.device("cuda")))
    batches.append(learner.make_batch(replay, 7)[1])
    few, all_rows = batches
    assert not few.alive.all()
    assert len(few.values.unique()) > 10
    assert torch.equal(few.policies, all_rows.policies)
    torch.testing.assert_close(few.values, all_rows.values)


def test_bfloat16_learns_about_the_same_and_keeps_weights_and_losses_in_float32() -> None:
    plain, rounded = make_learner(), make_learner(precision="bfloat16")
    expected, found = metrics_of(plain, on_host(plain)), metrics_of(rounded, on_host(rounded))
    for name in ("loss", "policy_loss", "value_loss", "value_prefix_loss"):
        assert [line[name] for line in found] == pytest.approx([line[name] for line in expected], rel=0.05), name
        assert found[-1][name] != expected[-1][name]
    state = rounded.state()
    assert {tensor.dtype for tensor in state["network"].values() if tensor.is_floating_point()} == {torch.float32}
    assert state["acting"]["dynamics.conv.weight"].dtype == torch.bfloat16
    assert state["acting"]["dynamics.lstm_bn.running_var"].dtype == torch.float32


def test_a_bfloat16_run_goes_on_from_its_state_bit_for_bit() -> None:
    first, second = (make_learner(precision="bfloat16") for _ in range(2))
    replay = on_host(first)
    metrics_of(first, replay)
    second.restore(first.state())
    stacks = np.random.default_rng(1).integers(256, size=(3, 2, 10, 10, 3), dtype=np.uint8)
    assert second.play(stacks, 0).tolist() == first.play(stacks, 0).tolist()
    other = on_host(second)
    other.restore(replay.state())
    assert second.update(other, 4) == first.update(replay, 4)


def test_nothing_is_read_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    torch.use_deterministic_algorithms(True)
    try:
        for fill in (True, False):
            monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", fill)
            learner = make_learner(network={"num_halvings": 1})
            found.append(metrics_of(learner, on_host(learner)))
    finally:
        torch.use_deterministic_algorithms(False)
    assert found[0] == found[1]


@pytest.fixture
def as_on_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Steps as on CUDA, on CPU: captured or kernel by kernel."""

    def choose(captured: bool) -> None:
        monkeypatch.setattr(optimizer, "steps_on_device", lambda device: True)
        monkeypatch.setattr(cuda_graphs, "graphs_are_wanted", lambda device: captured)
        monkeypatch.setattr(cuda_graphs, "CudaRecorder", lambda device: PretendedRecorder())

    return choose


def test_captured_updates_wait_for_nothing_and_are_those_that_run_kernel_by_kernel(as_on_device: Callable[[bool], None]) -> None:
    found = []
    for captured in (False, True):
        as_on_device(captured)
        learner = make_learner()
        replay = on_host(learner)
        found.append(metrics_of(learner, replay, 8))
    assert found[0] == found[1]
    (graph,) = learner._learn.captured.values()
    assert graph.replays == 8 - WARM_UP_CALLS


def test_a_restored_run_goes_on_by_the_graphs_it_has(as_on_device: Callable[[bool], None]) -> None:
    as_on_device(True)
    first, second = make_learner(), make_learner()
    replay = on_host(first)
    metrics_of(first, replay, 6)
    other = on_host(second)
    metrics_of(second, other, 5)  # its graph remembers where the optimiser's state lies
    second.restore(copy.deepcopy(first.state()))
    other.restore(replay.state())
    for update in range(6, 12):
        assert second.update(other, update) == first.update(replay, update)


def test_on_a_device_a_step_that_is_not_finite_changes_nothing(as_on_device: Callable[[bool], None]) -> None:
    as_on_device(True)
    learner = make_learner()
    metrics_of(learner, on_host(learner), 2)
    before = copy.deepcopy(learner.state())
    loss = sum(parameter.sum() for parameter in learner._network.parameters()) * float("nan")
    loss_and_norm = learner._optimizer.step(loss)
    with pytest.raises(FloatingPointError, match="update 2: the loss is nan"):
        learner._optimizer.metrics(loss_and_norm, 2)
    after = learner.state()
    for part in ("network", "optimizer"):
        leaves = [[x for x in tree_leaves(state[part]) if isinstance(x, torch.Tensor)] for state in (before, after)]
        assert all(map(torch.equal, *leaves))


def test_what_cannot_be_captured_runs_as_it_is_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing(PretendedRecorder):
        def capture(self, function: FlatFunction, inputs: Sequence[torch.Tensor]) -> PretendedGraph:
            raise RuntimeError("not while the stream is capturing")

    doubled = GraphedFunction(lambda x: (2 * x,), Refusing())
    assert [doubled(torch.tensor(float(i)))[0].item() for i in range(6)] == [0, 2, 4, 6, 8, 10]
    assert capsys.readouterr().out.count("not while the stream is capturing") == 1


def test_every_arrangement_of_shapes_is_warmed_up_and_captured_once() -> None:
    """As the shares of three tasks in a batch take turns."""
    doubled = GraphedFunction(lambda x: (2 * x,), PretendedRecorder())
    for call in range(2 * WARM_UP_CALLS + 7):
        assert len(doubled.captured) == min(2, max(0, call - 2 * WARM_UP_CALLS))
        x = torch.full((call % 2 + 1,), float(call))
        assert torch.equal(doubled(x)[0], 2 * x)
    assert sorted(graph.replays for graph in doubled.captured.values()) == [3, 4]


def test_structures_of_tensors_go_through_a_graph_as_they_are() -> None:
    class Pair(NamedTuple):
        left: torch.Tensor
        right: torch.Tensor

    swapped = GraphedFunction(lambda pairs, scale: [Pair(p.right * scale, p.left) for p in pairs], PretendedRecorder())
    for call in range(WARM_UP_CALLS + 2):
        pair = Pair(torch.tensor(call), torch.tensor(2))
        (first, second) = swapped([pair, Pair(*pair)], torch.tensor(10))
        assert [x.item() for x in (*first, *second)] == [20, call, 20, call]
        assert isinstance(first, Pair)


def test_without_graphs_even_what_was_captured_runs_operator_by_operator() -> None:
    calls: list[int] = []

    def doubled(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        calls.append(len(x))
        return (2 * x,)

    graphed = GraphedFunction(doubled, PretendedRecorder())
    for _ in range(WARM_UP_CALLS + 1):
        graphed(torch.ones(3))
    (captured,) = graphed.captured.values()
    calls.clear()
    with without_graphs():
        assert graphed(torch.ones(3))[0].tolist() == [2, 2, 2]
        graphed(torch.ones(4))
    assert (calls, captured.replays, len(graphed.captured)) == ([3, 4], 1, 1)  # type: ignore[attr-defined]
    graphed(torch.ones(3))
    assert captured.replays == 2  # type: ignore[attr-defined]


def test_adams_counters_follow_the_device_not_the_checkpoint(as_on_device: Callable[[bool], None]) -> None:
    adam = {"batch_size": 6, "warmup_updates": 0, "learning_rate": 0.02, "method": "adam"}
    on_cpu = make_learner(optimizer=adam)
    metrics_of(on_cpu, on_host(on_cpu), 2)
    as_on_device(True)
    learner = make_learner(optimizer=adam)
    rate = learner._optimizer._optimizer.param_groups[0]["lr"]
    learner.restore(copy.deepcopy(on_cpu.state()))
    (group,) = learner._optimizer._optimizer.param_groups
    assert group["fused"] and group["capturable"]
    assert group["lr"] is rate
    metrics_of(learner, on_host(learner), WARM_UP_CALLS + 2)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_captured_updates_on_cuda_are_those_that_run_kernel_by_kernel(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for switch in ("0", "1"):
        monkeypatch.setenv("XTRA_CUDA_GRAPHS", switch)
        learner = make_learner("cuda", precision=precision)
        found.append(metrics_of(learner, on_host(learner), 10))
    assert learner._learn.captured
    assert found[0] == found[1]


@pytest.mark.gpu
def test_a_job_that_asked_for_no_gpu_sees_none() -> None:
    code = "from xtra.agents.interface import prepare_torch; print(prepare_torch(1))"
    environment = os.environ | NO_GPU
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "cpu"


@pytest.mark.gpu
@pytest.mark.parametrize("make_replay", [on_host, lambda learner: on_device(learner, "cuda")])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cuda_runs_repeat_bit_for_bit_wherever_the_frames_lie(
    make_replay: Callable[[EfficientZeroLearner], ReplayBuffer], precision: str
) -> None:
    first, second = (make_learner("cuda", precision=precision) for _ in range(2))
    assert metrics_of(first, on_host(first), 8) == metrics_of(second, make_replay(second), 8)


@pytest.mark.gpu
@pytest.mark.arithmetic
def test_a_captured_search_finds_what_a_plain_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, plain = make_learner("cuda"), make_learner("cuda")
    monkeypatch.setattr(plain._planner, "_captures", lambda observations: False)
    stacks = np.random.default_rng(1).integers(256, size=(5, 2, 10, 10, 3), dtype=np.uint8)
    for row in range(3):
        captured, stepwise = learner.act(stacks, row, updates=1), plain.act(stacks, row, updates=1)
        assert np.array_equal(captured.policies, stepwise.policies)
    assert learner.play(stacks, 0)[:2].tolist() == learner.play(stacks[:2], 1).tolist()


def test_tests_that_do_not_ask_for_a_gpu_see_none() -> None:
    """Else `tox` would fail where there is one: stages take what they find."""
    code = "import torch; print(torch.cuda.device_count())"
    counted = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "" and counted.stdout.strip() == "0"
