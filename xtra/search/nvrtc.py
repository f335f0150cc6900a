"""The CUDA engine's kernels compiled at their first use, by the NVRTC that every CUDA build of torch brings, and launched through
CUDA's driver: what `_cuda` is where nvcc built it with the package.

So a machine without a toolkit has the CUDA engine too. What was compiled is kept in the user's cache, by the content of the
sources, the architecture, and the versions of NVRTC and of the driver.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

from xtra.search import _native

SOURCES = Path(__file__).resolve().parents[1] / "csrc"
STAND_INS = SOURCES / "nvrtc"
"""What NVRTC compiles, and stand-ins for the standard headers that it has not."""
OPTIONS = ("--std=c++20", "--fmad=false", "--device-as-default-execution-space")
"""As the package's own build, which tells host functions from device functions by their marks; NVRTC knows the latter alone."""


LANES = 32
"""Threads of a warp."""

Argument = ctypes.Array[ctypes.c_char] | ctypes.Array[ctypes.c_void_p] | ctypes.c_void_p | ctypes.c_int


class CompilationError(Exception):
    """A sentence that says why the kernels cannot be compiled here."""


class Nvrtc:
    """One NVRTC library. See NVIDIA's NVRTC documentation for the functions called."""

    def __init__(self, path: str) -> None:
        """Raises OSError where there is no such library."""
        for builtins in Path(path).parent.glob("libnvrtc-builtins.so*") if os.sep in path else ():
            ctypes.CDLL(str(builtins))  # NVRTC looks for it by name alone
        self._library = ctypes.CDLL(path)
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p

    @property
    def version(self) -> tuple[int, int]:
        """Its CUDA version: major and minor."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        return major.value, minor.value

    def architectures(self) -> list[int]:
        """Compute capabilities that it compiles for, 10 * major + minor, in ascending order."""
        count = ctypes.c_int()
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        numbers = (ctypes.c_int * count.value)()
        self._call("nvrtcGetSupportedArchs", numbers)
        return sorted(numbers)

    def target(self, capability: int) -> str:
        """Names the target for a device: its own machine code, or PTX for the driver where this NVRTC does not know the device.

        Raises CompilationError for a device that it knows no longer.
        """
        known = [architecture for architecture in self.architectures() if architecture <= capability]
        if not known:
            raise CompilationError(f"NVRTC {self._version_text()} no longer compiles for compute capability {capability / 10}")
        return f"{'sm' if known[-1] == capability else 'compute'}_{known[-1]}"

    def compile(self, target: str, chunks: int) -> bytes:
        """Compiles `begin_kernel` and `step_kernel` for rows of so many chunks of 32 actions: a target `sm_…` to machine code,
        `compute_…` to PTX."""
        program = ctypes.c_void_p()
        source = (STAND_INS / "kernels.cu").read_bytes()
        self._call("nvrtcCreateProgram", ctypes.byref(program), source, b"nvrtc/kernels.cu", 0, None, None)
        try:
            settings = (*OPTIONS, f"--gpu-architecture={target}", f"-DXTRA_CHUNKS={chunks}", f"-I{STAND_INS}")
            options = [option.encode() for option in settings]
            try:
                self._call("nvrtcCompileProgram", program, len(options), (ctypes.c_char_p * len(options))(*options))
            except CompilationError as error:
                lines = self._read("ProgramLog", program).rstrip(b"\0").decode(errors="replace").splitlines()
                raise CompilationError("; ".join([str(error), *(line for line in lines if "error" in line)][:3])) from None
            return self._read("CUBIN" if target.startswith("sm_") else "PTX", program)
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def compile_once(self, capability: int, chunks: int, driver: int, *, anew: bool = False) -> bytes:
        """Returns what `compile` gives for a device, from the cache if it is there, unless it is to be made anew. driver: its
        version, part of the key."""
        target = self.target(capability)
        path = cache_directory() / f"{self._key(target, chunks, driver)}.bin"
        try:
            if not anew:
                return path.read_bytes()
        except OSError:
            pass
        print(
            f"xtra: compiling the CUDA engine for {target} with NVRTC {self._version_text()}, once; it is kept in {path.parent}",
            file=sys.stderr,
        )
        image = self.compile(target, chunks)
        keep(path, image)
        return image

    def _key(self, target: str, chunks: int, driver: int) -> str:
        digest = hashlib.sha256(repr((OPTIONS, target, chunks, self.version, driver)).encode())
        for path in source_files():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def _version_text(self) -> str:
        return ".".join(map(str, self.version))

    def _read(self, what: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, text)
        return text.raw

    def _call(self, function: str, *arguments: object) -> None:
        status = getattr(self._library, function)(*arguments)
        if status != 0:
            raise CompilationError(f"{function} says {self._library.nvrtcGetErrorString(status).decode()}")


@cache
def find_nvrtc() -> Nvrtc:
    """Opens the library that belongs to this torch. Raises CompilationError where there is none."""
    if torch.version.cuda is None:
        raise CompilationError("this torch was built without CUDA")
    name = f"libnvrtc.so.{torch.version.cuda.split('.')[0]}"
    for path in candidates(Path(torch.__file__).parent, name):
        try:
            return Nvrtc(path)
        except OSError:
            continue
    raise CompilationError(f"there is no {name}, which a CUDA build of torch from PyPI brings (nvidia-cuda-nvrtc)")


def candidates(torch_directory: Path, name: str) -> Iterator[str]:
    """Yields where a library of NVIDIA's may lie: beside torch in the packages it depends on, then wherever the loader looks."""
    yield from map(str, sorted(torch_directory.parent.glob(f"nvidia/*/lib/{name}")))
    yield name


def source_files() -> list[Path]:
    """All files that may take part in a compilation."""
    headers = [path for path in SOURCES.iterdir() if path.suffix in {".hpp", ".cuh"}]
    return sorted([*headers, *STAND_INS.iterdir()])


def cache_directory() -> Path:
    """Where compiled kernels are kept, whether it exists or not."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no HOME, and no entry for this user
        cache = Path(tempfile.gettempdir()) / f"cache-{os.getuid()}"
    return cache / "xtra-bench" / "kernels"


def keep(path: Path, image: bytes) -> None:
    """Writes it whole or not at all, however many processes do so at once; a home that cannot be written costs the time only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            written = Path(file.name)
            try:
                file.write(image)
                file.flush()
                written.replace(path)
            except OSError:
                written.unlink()
    except OSError:
        pass


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
    subject = 10 * major + minor, chunks, driver_version()
    module, functions = ctypes.c_void_p(), (ctypes.c_void_p(), ctypes.c_void_p())
    with torch.cuda.device(device):
        torch.cuda.synchronize()  # makes torch's context this thread's
        try:
            call_driver("cuModuleLoadData", ctypes.byref(module), find_nvrtc().compile_once(*subject))
        except DriverError:  # of a file in the cache that was damaged
            call_driver("cuModuleLoadData", ctypes.byref(module), find_nvrtc().compile_once(*subject, anew=True))
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
