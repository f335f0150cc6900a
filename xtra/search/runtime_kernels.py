"""Kernels that NVRTC compiled, launched through CUDA's driver: what `_cuda` is where nvcc built it with the package."""

from __future__ import annotations

import ctypes
from functools import cache

import torch

from xtra.search import _native
from xtra.search.nvrtc import CompilationError, find_nvrtc

LANES = 32
"""Threads of a warp."""

Argument = ctypes.Array[ctypes.c_char] | ctypes.Array[ctypes.c_void_p] | ctypes.c_void_p | ctypes.c_int


class DriverError(RuntimeError):
    """CUDA's driver refused a call."""


class RuntimeCudaEngine:
    """An engine with the calls and the kernels of `_cuda.CudaEngine`."""

    def __init__(self, device: int, num_roots: int, num_actions: int, rules: _native.Rules, memory: dict[str, int]) -> None:
        self._device = device
        self._workspace = ctypes.create_string_buffer(_native.workspace_bytes(num_roots, num_actions, rules, memory))
        self._begin, self._step = load_kernels(device, _native.warp_chunks(num_actions))
        self._blocks = -(-num_roots // _native.WARPS_PER_BLOCK)

    def begin(self, weights: int, values: int, latents: int, states: int, valid: int, noise: int, stream: int) -> None:
        """Sets the roots up. All but `stream` are addresses of device memory; noise: 0 for none."""
        outputs = (ctypes.c_void_p * 5)(weights, values, None, latents, states)
        self._launch(self._begin, stream, self._workspace, outputs, ctypes.c_void_p(valid), ctypes.c_void_p(noise))

    def step(self, simulation: int, weights: int, values: int, prefixes: int, latents: int, states: int, stream: int) -> None:
        """Expands, backs up and selects, as above."""
        outputs = (ctypes.c_void_p * 5)(weights, values, prefixes, latents, states)
        self._launch(self._step, stream, self._workspace, outputs, ctypes.c_int(simulation))

    def _launch(self, kernel: ctypes.c_void_p, stream: int, *arguments: Argument) -> None:
        addresses = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, arguments))
        grid, block = (self._blocks, 1, 1), (LANES * _native.WARPS_PER_BLOCK, 1, 1)
        with torch.cuda.device(self._device):
            call_driver("cuLaunchKernel", kernel, *grid, *block, 0, ctypes.c_void_p(stream), addresses, None)


@cache
def load_kernels(device: int, chunks: int) -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
    """Loads `begin_kernel` and `step_kernel` onto a device, compiled before if they are not in the cache.

    Raises CompilationError or DriverError.
    """
    major, minor = torch.cuda.get_device_capability(device)
    image = find_nvrtc().compile_once(10 * major + minor, chunks, driver_version())
    module, functions = ctypes.c_void_p(), (ctypes.c_void_p(), ctypes.c_void_p())
    with torch.cuda.device(device):
        torch.cuda.synchronize()  # makes torch's context this thread's
        call_driver("cuModuleLoadData", ctypes.byref(module), image)
    for function, name in zip(functions, (b"begin_kernel", b"step_kernel"), strict=True):
        call_driver("cuModuleGetFunction", ctypes.byref(function), module, name)
    return functions


def runtime_fault() -> str | None:
    """Explains why kernels cannot be compiled and loaded on the current device; None if they can."""
    try:
        load_kernels(torch.cuda.current_device(), 1)
    except (CompilationError, DriverError) as error:
        return str(error)
    return None


def driver_version() -> int:
    """The newest CUDA version that the driver knows: 1000 * major + 10 * minor."""
    version = ctypes.c_int()
    call_driver("cuDriverGetVersion", ctypes.byref(version))
    return version.value


@cache
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def call_driver(function: str, *arguments: object) -> None:
    """Calls a function of the driver. Raises DriverError with CUDA's words."""
    status = getattr(_driver(), function)(*arguments)
    if status != 0:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(status, ctypes.byref(text))
        raise DriverError(f"{function}: {(text.value or b'unknown error').decode()}")
