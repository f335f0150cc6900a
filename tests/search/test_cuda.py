"""The CUDA engine. Without a GPU its path is tested as an emulated warp (test_exactness.py); these need a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xtra.search
from xtra.search import GraphedSearch, ModelOutput, SearchConfig, SearchResult, cuda, search
from xtra.search.cuda import cuda_is_usable
from xtra.search.nvrtc import CompilationError, RuntimeCudaEngine

BATCH, ACTIONS = 37, 18


class TableModel(nn.Module):
    """Looks everything up, so that devices agree on what they hand to the search."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.randn(256, ACTIONS + 2, generator=generator), requires_grad=False)

    def infer(self, latent: Tensor, state: Tensor) -> ModelOutput:
        row = self.table[latent]
        prefix = state[:, 0] + row[:, 0]
        return ModelOutput(latent, prefix[:, None].contiguous(), prefix, row[:, 1].contiguous(), row[:, 2:].contiguous())

    def initial_inference(self, observations: Tensor) -> ModelOutput:
        return self.infer(observations, torch.zeros(len(observations), 1, device=observations.device))

    def recurrent_inference(self, latent: Tensor, value_prefix_state: Tensor, actions: Tensor) -> ModelOutput:
        return self.infer((latent * 31 + actions * 7 + 1) % 256, value_prefix_state)


def run(device: str, policy: str) -> SearchResult:
    valid = torch.ones(BATCH, ACTIONS, dtype=torch.bool, device=device)
    observations = torch.arange(BATCH, device=device)
    config = SearchConfig(num_simulations=30, policy=policy)
    return search(TableModel().to(device), observations, config, valid_actions=valid, seeds=observations)


def test_a_graphed_search_refuses_the_cpu() -> None:
    valid = torch.ones(BATCH, ACTIONS, dtype=torch.bool)
    with pytest.raises(ValueError, match="observations are on cpu; GraphedSearch needs a CUDA device"):
        GraphedSearch(TableModel(), SearchConfig())(torch.arange(BATCH), valid_actions=valid)


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes the compiled CUDA engine one whose kernels load or not, and has NVRTC compile them or not."""

    def pretend(built: bool = True, error: str | None = None, compilation_error: str | None = None) -> None:
        module = SimpleNamespace(probe=lambda: error, TOOLKIT_VERSION=13000, CudaEngine="the engine of nvcc")
        monkeypatch.setattr(xtra.search, "_cuda", module, raising=False)
        monkeypatch.setattr(cuda, "cuda_is_built", lambda: built)
        monkeypatch.setattr(cuda, "runtime_fault", lambda: compilation_error)

    for cached in (cuda.cuda_kernels, cuda.cuda_is_usable):
        cached.cache_clear()
    yield pretend
    for cached in (cuda.cuda_kernels, cuda.cuda_is_usable):
        cached.cache_clear()


OLD_DRIVER = "CUDA driver version is insufficient for CUDA runtime version"


def test_an_engine_that_loads_is_used_without_a_word(
    installation: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    installation(compilation_error="never asked")
    assert cuda.cuda_is_usable()
    assert cuda.cuda_kernels() == cuda.CudaKernels("the engine of nvcc", "built with CUDA 13.0")  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("state", "reason"), [({"built": False}, "this installation has no CUDA engine"), ({"error": OLD_DRIVER}, OLD_DRIVER)]
)
def test_kernels_that_were_not_built_or_do_not_load_are_compiled_on_this_machine(
    state: dict[str, Any], reason: str, installation: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    installation(**state)
    assert cuda.cuda_is_usable()
    assert cuda.cuda_kernels().engine is RuntimeCudaEngine
    assert "by NVRTC" in cuda.cuda_kernels().origin and reason in cuda.cuda_kernels().origin
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"built": False}, ["this installation has no CUDA engine", "nvcc, 12 or later", "torch for CUDA"]),
        ({"error": OLD_DRIVER}, ["built with CUDA 13.0", OLD_DRIVER, "Update the driver"]),
    ],
)
def test_a_search_without_kernels_says_once_why_and_what_to_do(
    state: dict[str, Any], words: list[str], installation: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    installation(**state, compilation_error="there is no libnvrtc.so.13")
    assert [cuda.cuda_is_usable() for _ in range(3)] == [False] * 3
    text = capsys.readouterr().err
    assert text.count("keep their trees on the CPU") == 1
    for part in [*words, "there is no libnvrtc.so.13", "xtra-bench doctor"]:
        assert part in text


def find_none() -> SimpleNamespace:
    raise CompilationError("there is no libnvrtc.so.13")


@pytest.mark.parametrize(
    ("built", "torch_cuda", "find", "words"),
    [
        (True, "13.0", find_none, "has a CUDA engine, built with CUDA 13.0"),
        (True, None, find_none, "has a CUDA engine, built with CUDA 13.0, and a torch without CUDA"),
        (False, None, find_none, "has no CUDA engine, and a torch without CUDA"),
        (False, "13.0", find_none, "has no CUDA engine and cannot compile one at a GPU (there is no libnvrtc.so.13)"),
        (
            False,
            "12.8",
            lambda: SimpleNamespace(version=(12, 8)),
            "has no CUDA engine; at a GPU, NVRTC 12.8 compiles one at its first use",
        ),
    ],
)
def test_without_a_gpu_an_installation_tells_what_it_has_for_one(
    built: bool,
    torch_cuda: str | None,
    find: Callable[[], SimpleNamespace],
    words: str,
    installation: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installation(built=built)
    monkeypatch.setattr(torch.version, "cuda", torch_cuda)
    monkeypatch.setattr(cuda, "find_nvrtc", find)
    assert cuda.installed_kernels() == f"this installation {words}"


@pytest.mark.gpu
@pytest.mark.arithmetic
@pytest.mark.skipif(not torch.cuda.is_available() or not cuda_is_usable(), reason="needs a CUDA device and the CUDA engine")
@pytest.mark.parametrize("policy", ["puct", "gumbel"])
def test_the_graph_and_the_plain_stream_give_the_same_numbers(policy: str) -> None:
    plain = run("cuda", policy)
    valid = torch.ones(BATCH, ACTIONS, dtype=torch.bool, device="cuda")
    roots = torch.arange(BATCH, device="cuda")
    graphed = GraphedSearch(TableModel().cuda(), SearchConfig(num_simulations=30, policy=policy))
    for fetch in (False, True, False):
        result = graphed(roots, valid_actions=valid, seeds=roots, fetch=fetch)
        assert result.actions.is_cuda is not fetch
        for name in ("visit_counts", "root_values", "action_weights", "actions"):
            assert torch.equal(getattr(result, name).cpu(), getattr(plain, name).cpu()), name


@pytest.mark.gpu
@pytest.mark.arithmetic
@pytest.mark.skipif(not torch.cuda.is_available() or not cuda_is_usable(), reason="needs a CUDA device and the CUDA engine")
def test_the_gpus_trees_equal_the_cpus_given_the_same_priors() -> None:
    """Softmax differs between devices in its last bit, so priors are compared first and visits where they agree."""
    gpu, cpu = run("cuda", "puct"), run("cpu", "puct")
    same_priors = (gpu.tree.nodes["prior"] == cpu.tree.nodes["prior"]).all(axis=(1, 2))
    assert (gpu.tree.nodes["q"][same_priors] == cpu.tree.nodes["q"][same_priors]).all()
    assert (gpu.visit_counts.cpu() == cpu.visit_counts).all(1).float().mean() > 0.95
