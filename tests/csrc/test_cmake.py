"""Which architectures the CUDA engine is built for, and what happens where a toolkit cannot build it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "xtra" / "csrc"
CMAKE = shutil.which("cmake") or ""
pytestmark = pytest.mark.skipif(not CMAKE, reason="needs cmake")


@pytest.mark.parametrize(
    ("known", "usable"),
    [
        ("50-real;60-real;70-real;80-real;90", "70-real;80-real;90"),  # CUDA 12.4
        ("75-real;80-real;90-real;100-real;120", "75-real;80-real;90-real;100-real;120"),  # CUDA 13.0
        ("35-real;50-real;60", ""),
    ],
)
def test_architectures_before_volta_are_left_out(known: str, usable: str, tmp_path: Path) -> None:
    script = tmp_path / "script.cmake"
    text = f'include({SOURCES}/cuda_architectures.cmake)\nusable_architectures("{known}" usable)\nmessage("{{${{usable}}}}")\n'
    script.write_text(text)
    assert subprocess.run([CMAKE, "-P", script], capture_output=True, text=True, check=True).stderr.strip() == f"{{{usable}}}"


def configure(tmp_path: Path, nvcc: str, *options: str) -> subprocess.CompletedProcess[str]:
    """CMake's configuration with a compiler of that text as nvcc."""
    compiler = tmp_path / "nvcc"
    compiler.write_text(nvcc)
    compiler.chmod(0o755)
    environment = {**os.environ, "CUDACXX": str(compiler)}
    command = [CMAKE, "-S", ROOT, "-B", tmp_path / "build", f"-DCMAKE_CUDA_COMPILER={compiler}", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def real_nvcc() -> str:
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    if not Path(nvcc).exists():
        pytest.skip("needs a CUDA toolkit")
    return nvcc


@pytest.mark.slow
def test_a_toolkit_that_cannot_compile_the_kernels_costs_the_engine_and_not_the_installation(tmp_path: Path) -> None:
    # It compiles whatever CMake tries, but for our kernels.
    refuses = 'case "$*" in *cuda_kernels.cu*) echo "error: unsupported GNU version!" >&2; exit 1;; esac'
    nvcc = f'#!/bin/sh\n{refuses}\nexec {real_nvcc()} "$@"\n'
    done = configure(tmp_path, nvcc)
    assert done.returncode == 0, done.stderr
    assert "the CUDA engine is left out" in done.stdout
    assert "unsupported GNU version" in done.stdout
    demanded = configure(tmp_path, nvcc, "-DXTRA_CUDA=ON")
    assert demanded.returncode != 0
    assert "XTRA_CUDA=ON, but" in demanded.stderr
