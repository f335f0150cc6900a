"""Kernels compiled at run time: by which NVRTC, for what, and kept how. NVRTC itself needs no GPU: `tox -e nvrtc`."""

from __future__ import annotations

import ctypes
import os
import re
import struct
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from xtra.search import ModelOutput, SearchConfig, _native, nvrtc
from xtra.search.memory import Memory, rules
from xtra.search.nvrtc import CompilationError, Nvrtc, RuntimeCudaEngine, candidates, source_files


class PretendedNvrtc(Nvrtc):
    """An NVRTC that knows some architectures and counts what it compiles."""

    def __init__(self, *architectures: int, version: tuple[int, int] = (13, 0)) -> None:
        self._architectures, self._version = list(architectures), version
        self.compiled: list[tuple[str, int]] = []

    @property
    def version(self) -> tuple[int, int]:
        return self._version

    def architectures(self) -> list[int]:
        return self._architectures

    def compile(self, target: str, chunks: int) -> bytes:
        self.compiled.append((target, chunks))
        return f"{target} {chunks}".encode()


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "xtra-bench" / "kernels"


@pytest.mark.parametrize(("capability", "target"), [(80, "sm_80"), (90, "sm_90"), (89, "compute_80"), (121, "compute_90")])
def test_a_device_gets_machine_code_or_the_newest_portable_code_that_it_runs(capability: int, target: str) -> None:
    assert PretendedNvrtc(75, 80, 90).target(capability) == target


def test_a_device_older_than_nvrtcs_oldest_architecture_is_refused() -> None:
    with pytest.raises(CompilationError, match=r"NVRTC 13\.0 no longer compiles for compute capability 7\.0"):
        PretendedNvrtc(75, 80).target(70)


def test_kernels_are_compiled_once_for_each_device_width_driver_and_compiler(capsys: pytest.CaptureFixture[str]) -> None:
    compiler = PretendedNvrtc(80, 90)
    for _ in range(2):
        assert compiler.compile_once(90, 1, 13000) == b"sm_90 1"
    assert capsys.readouterr().err.count("compiling the CUDA engine for sm_90 with NVRTC 13.0") == 1
    compiler.compile_once(90, 2, 13000)
    compiler.compile_once(80, 1, 13000)
    compiler.compile_once(90, 1, 13010)
    assert compiler.compiled == [("sm_90", 1), ("sm_90", 2), ("sm_80", 1), ("sm_90", 1)]
    newer = PretendedNvrtc(80, 90, version=(13, 1))
    newer.compile_once(90, 1, 13000)
    assert newer.compiled == [("sm_90", 1)]


def test_where_the_package_lies_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every snapshot of the code for SLURM lies elsewhere."""
    compiler = PretendedNvrtc(90)
    compiler.compile_once(90, 1, 13000)
    sources = [tmp_path / path.name for path in source_files()]
    for copy, original in zip(sources, source_files(), strict=True):
        copy.write_bytes(original.read_bytes())
    monkeypatch.setattr(nvrtc, "source_files", lambda: sources)
    monkeypatch.setattr(nvrtc, "STAND_INS", tmp_path)
    compiler.compile_once(90, 1, 13000)
    assert compiler.compiled == [("sm_90", 1)]


def test_a_change_in_any_source_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [tmp_path / f"copy_{path.name}" for path in source_files()]
    for copy, original in zip(sources, source_files(), strict=True):
        copy.write_bytes(original.read_bytes())
    monkeypatch.setattr(nvrtc, "source_files", lambda: sources)
    compiler = PretendedNvrtc(90)
    for number, path in enumerate(sources, start=1):
        path.write_bytes(path.read_bytes() + b"\n")
        compiler.compile_once(90, 1, 13000)
        assert len(compiler.compiled) == number


def test_every_file_that_the_kernels_include_counts_as_a_source() -> None:
    files = {path.name for path in source_files()}
    includes = {name for path in source_files() for name in re.findall(r'#include [<"]([^">]+)[">]', path.read_text())}
    of_the_host = {
        "immintrin.h",
        "cstring",
        "atomic",
        "functional",
        "system_error",
        "thread",
        "vector",
        "nanobind/nanobind.h",
    }
    assert {Path(name).name for name in includes - of_the_host} <= files
    assert {"cuda_kernels.cuh", "search.hpp", "cstdint", "kernels.cu"} <= files


def test_a_cache_that_cannot_be_written_costs_only_time(empty_cache: Path) -> None:
    empty_cache.parent.write_text("not a directory")
    compiler = PretendedNvrtc(90)
    for _ in range(2):
        assert compiler.compile_once(90, 1, 13000) == b"sm_90 1"
    assert len(compiler.compiled) == 2


def test_what_cannot_be_put_in_its_place_leaves_nothing_behind(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", refuse)
    nvrtc.keep(empty_cache / "kernels.bin", b"image")
    assert list(empty_cache.iterdir()) == []


def test_a_user_without_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", refuse)
    assert nvrtc.cache_directory().is_absolute()


def test_kernels_in_the_cache_that_do_not_load_are_compiled_anew(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler, loaded = PretendedNvrtc(90), []
    compiler.compile_once(90, 1, 13000)
    (path,) = empty_cache.iterdir()
    path.write_bytes(b"cut short")

    def call(function: str, *arguments: Any) -> None:
        if function == "cuModuleLoadData":
            loaded.append(arguments[1])
            if arguments[1] == b"cut short":
                raise nvrtc.DriverError("cuModuleLoadData: device kernel image is invalid")

    monkeypatch.setattr(nvrtc, "call_driver", call)
    monkeypatch.setattr(nvrtc, "find_nvrtc", lambda: compiler)
    monkeypatch.setattr(nvrtc, "driver_version", lambda: 13000)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    nvrtc.load_kernels.__wrapped__(0, 1)
    assert loaded == [b"cut short", b"sm_90 1"]
    assert path.read_bytes() == b"sm_90 1"


def test_what_is_kept_appears_whole(empty_cache: Path) -> None:
    PretendedNvrtc(90).compile_once(90, 1, 13000)
    (only,) = empty_cache.iterdir()
    assert (only.suffix, only.read_bytes()) == (".bin", b"sm_90 1")


def test_the_library_beside_torch_comes_before_the_systems(tmp_path: Path) -> None:
    name = "libnvrtc.so.13"
    for package in ("cu13", "cuda_nvrtc"):
        (tmp_path / "nvidia" / package / "lib").mkdir(parents=True)
    beside = tmp_path / "nvidia" / "cu13" / "lib" / name
    beside.touch()
    assert list(candidates(tmp_path / "torch", name)) == [str(beside), name]


def test_a_torch_without_cuda_has_no_nvrtc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(CompilationError, match="built without CUDA"):
        nvrtc.find_nvrtc.__wrapped__()
    monkeypatch.setattr(torch.version, "cuda", "99.1")
    with pytest.raises(CompilationError, match=r"no libnvrtc\.so\.99"):
        nvrtc.find_nvrtc.__wrapped__()


def test_a_launch_passes_the_kernels_arguments_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the driver reads them: a workspace of 64-bit fields, five addresses, then what each kernel takes besides."""
    launches: list[dict[str, Any]] = []

    def launch(function: str, kernel: str, *arguments: Any) -> None:
        grid, block, stream, addresses = arguments[:3], arguments[3:6], arguments[7], arguments[8]
        launches.append(
            {
                "kernel": kernel,
                "grid": grid,
                "block": block,
                "stream": stream.value,
                "workspace": ctypes.string_at(addresses[0], len(workspace)),
                "outputs": struct.unpack("5q", ctypes.string_at(addresses[1], 40)),
                "last": ctypes.c_int.from_address(addresses[2]).value,
            }
        )

    monkeypatch.setattr(nvrtc, "load_kernels", lambda device, chunks: (f"begin {chunks}", f"step {chunks}"))
    monkeypatch.setattr(nvrtc, "call_driver", launch)
    monkeypatch.setattr(torch.cuda, "device", lambda index: nullcontext())
    config = SearchConfig(num_simulations=3)
    output = ModelOutput(torch.zeros(5, 2), torch.zeros(5, 2), torch.zeros(5), torch.zeros(5), torch.zeros(5, 40))
    memory = Memory(config, output, seeded=True, device=torch.device("cpu"))
    engine = RuntimeCudaEngine(0, 5, 40, rules(config), memory.addresses())
    workspace = engine._workspace.raw[:-1]  # its padding is what the stack held: a second one's bytes may differ
    assert len(workspace) == len(_native.workspace_bytes(5, 40, rules(config), memory.addresses()))
    engine.begin(11, 12, 13, 14, 15, 0, 99)
    engine.step(2, 11, 12, 16, 13, 14, 99)
    common = {"grid": (2, 1, 1), "block": (128, 1, 1), "stream": 99, "workspace": workspace}
    assert launches == [
        {"kernel": "begin 2", "outputs": (11, 12, 0, 13, 14), "last": 15, **common},
        {"kernel": "step 2", "outputs": (11, 12, 16, 13, 14), "last": 2, **common},
    ]
    assert memory.trees.data_ptr() in struct.unpack(f"{len(workspace) // 8}q", workspace)


NVRTC_LIBRARIES = [Path(path) for path in os.environ.get("XTRA_NVRTC", "").split(os.pathsep) if path]
"""`tox -e nvrtc` names those of CUDA 12 and of CUDA 13; without any, what needs one is skipped."""


@pytest.mark.parametrize("library", NVRTC_LIBRARIES, ids=lambda path: path.name)
def test_the_kernels_compile_for_every_architecture_from_volta_to_hopper_without_contraction(library: Path) -> None:
    compiler = Nvrtc(str(library))
    targets = [number for number in (70, 75, 80, 86, 89, 90) if number in compiler.architectures()]
    assert targets[-1] == 90
    for chunks in (1, 2, 4):
        ptx = compiler.compile(f"compute_{targets[0]}", chunks).decode()
        assert len(re.findall(r"\.entry (begin_kernel|step_kernel)\(", ptx)) == 2
        assert not re.search(r"\b(fma|mad)\.[a-z.]*f32|\.ftz|approx", ptx)
    for number in targets:
        assert compiler.compile(f"sm_{number}", 1).startswith(b"\x7fELF")


@pytest.mark.parametrize("library", NVRTC_LIBRARIES, ids=lambda path: path.name)
def test_what_does_not_compile_is_told_with_the_compilers_words(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "-Dfloat=nonsense"))
    with pytest.raises(CompilationError, match=r"nvrtcCompileProgram says .*COMPILATION.*error"):
        Nvrtc(str(library)).compile("sm_90", 1)
