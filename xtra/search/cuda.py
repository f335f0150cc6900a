"""The CUDA engine: trees, latents and states stay on the device, one kernel per simulation on the caller's stream."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.search.config import SearchConfig
from xtra.search.engine import BadOutput, Roots, RootStatistics
from xtra.search.memory import Memory, rules
from xtra.search.model import ModelOutput
from xtra.search.nvrtc import CompilationError, RuntimeCudaEngine, find_nvrtc, runtime_fault


def cuda_is_built() -> bool:
    """Tells whether the CUDA engine was built with this installation."""
    return find_spec("xtra.search._cuda") is not None


class CudaKernels(NamedTuple):
    """The kernels of searches on the current CUDA device, or why there are none."""

    engine: Callable[..., Any] | None
    """`_cuda.CudaEngine`, or what does the same with kernels compiled here."""
    origin: str
    """Who compiled them."""
    fault: str = ""
    """Without an engine: what is wrong, and the remedy, in a sentence each."""


@cache
def cuda_kernels() -> CudaKernels:
    """Finds the kernels that load on the current device: those built with the package, or else compiled here by NVRTC.

    Asked once in a process: whether an engine that was built also works shows only when a kernel is loaded.
    """
    wrong, remedy = _fault_of_built()
    if not wrong:
        from xtra.search import _cuda

        return CudaKernels(_cuda.CudaEngine, f"built with CUDA {_toolkit_version()}")
    fault = runtime_fault()
    if fault is None:
        return CudaKernels(RuntimeCudaEngine, f"compiled on this machine by NVRTC, because {wrong}")
    return CudaKernels(None, "", f"{wrong}, and it cannot be compiled on this machine ({fault}). {remedy}")


def _fault_of_built() -> tuple[str, str]:
    """Returns what is wrong with the engine that was built with the package, and the remedy; "" twice if it loads."""
    if not cuda_is_built():
        remedy = "Install torch for CUDA from PyPI, or xtra-bench again where a CUDA toolkit's nvcc, 12 or later, is on PATH"
        return "this installation has no CUDA engine", remedy
    from xtra.search import _cuda

    error = _cuda.probe()
    if error is None:
        return "", ""
    remedy = "Update the driver, or install xtra-bench again with a toolkit no newer than the driver's"
    return f"the CUDA engine, built with CUDA {_toolkit_version()}, does not load here ({error})", remedy


def _toolkit_version() -> str:
    from xtra.search import _cuda

    return f"{_cuda.TOOLKIT_VERSION // 1000}.{_cuda.TOOLKIT_VERSION % 1000 // 10}"


def installed_kernels() -> str:
    """Tells, where there is no GPU to ask, what this installation has for searches on one."""
    built = cuda_is_built()
    engine = f"this installation has {f'a CUDA engine, built with CUDA {_toolkit_version()}' if built else 'no CUDA engine'}"
    if torch.version.cuda is None:
        return f"{engine}, and a torch without CUDA"
    if built:
        return engine
    try:
        major, minor = find_nvrtc().version
    except CompilationError as error:
        return f"{engine} and cannot compile one at a GPU ({error})"
    return f"{engine}; at a GPU, NVRTC {major}.{minor} compiles one at its first use"


@cache
def cuda_is_usable() -> bool:
    """Tells whether searches on a CUDA device run there. If not it says so, once in a process, on standard error."""
    kernels = cuda_kernels()
    if kernels.engine is None:
        print(
            f"xtra: searches on this GPU keep their trees on the CPU, because {kernels.fault}. Until then every simulation waits "
            f"for copies from and to the GPU, and no search is captured as a CUDA graph. `xtra-bench doctor` tells more.",
            file=sys.stderr,
        )
    return kernels.engine is not None


class CudaEngine:
    """The engine whose trees lie on a GPU. Nothing waits for the device before `finish`, so a whole search can be captured as a
    graph."""

    def __init__(self, config: SearchConfig, output: ModelOutput, seeded: bool) -> None:
        make_engine = cuda_kernels().engine
        assert make_engine is not None
        batch, num_actions = output.policy_logits.shape
        self._device = output.policy_logits.device
        self.memory = memory = Memory(config, output, seeded=seeded, device=self._device)
        self._engine = make_engine(self._device.index, batch, num_actions, rules(config), memory.addresses())
        self.latent, self.value_prefix_state, self.actions = memory.latent, memory.state, memory.actions
        self.nbytes = memory.nbytes

    def begin(self, roots: Roots, output: ModelOutput) -> None:
        """Sets the roots up and selects the first leaves, without waiting for the device."""
        self.memory.accept(roots)
        self._masked = ~roots.valid
        weights = self._weights(output)
        latent, state, _, value, _ = (tensor.data_ptr() for tensor in output)
        noise = 0 if roots.noise is None else roots.noise.data_ptr()
        self._engine.begin(weights.data_ptr(), value, latent, state, roots.valid.data_ptr(), noise, self._stream())

    def step(self, simulation: int, output: ModelOutput) -> None:
        """Expands the selected leaves, backs their values up and selects the next, without waiting for the device."""
        weights = self._weights(output)
        latent, state, prefix, value, _ = (tensor.data_ptr() for tensor in output)
        self._engine.step(simulation, weights.data_ptr(), value, prefix, latent, state, self._stream())

    def finish(self) -> RootStatistics:
        """Returns the roots' statistics. Waits for the device once, to learn whether all outputs were finite."""
        statistics = self.memory.statistics()  # before the wait: whoever borrows the engine next may use another stream
        raise_errors(self.memory.errors())
        return statistics

    def read_nodes(self) -> NDArray[Any]:
        """Copies the trees to the host: `[B, S + 1]`."""
        return self.memory.read_nodes()

    def _weights(self, output: ModelOutput) -> Tensor:
        """Returns the weights `[B, A]` that priors are in proportion to: the softmax over the valid actions.

        The tree, which divides weights by their sum, needs no more than exp(logits - maximum). But that would take three kernels,
        where the whole softmax is one; its sum, by which the tree then divides again, is 1 up to rounding.
        """
        return output.policy_logits.masked_fill(self._masked, -torch.inf).softmax(-1)

    def _stream(self) -> int:
        return int(torch.cuda.current_stream(self._device).cuda_stream)


def raise_errors(errors: Tensor) -> None:
    """Raises `BadOutput` for the first root whose outputs could not be used. errors: `[B]`, as `Memory.errors` returns them."""
    errors = errors.cpu()
    if bool(errors.any()):
        root = int(errors.nonzero()[0])
        raise BadOutput("the model", root, int(errors[root]))
