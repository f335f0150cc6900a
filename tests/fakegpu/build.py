"""`python build.py DIRECTORY`: lays a CUDA build of torch, NVRTC, and stubs of the libraries that torch is linked against into
DIRECTORY, which takes 1.3 GB. Needs pip, g++, binutils and a CUDA toolkit's headers (`CUDA_HOME`, by default /usr/local/cuda)."""

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

TORCH = "torch==2.11.0"
"""The build whose calls the stubs answer: what another version needs beyond them, it gets as functions that only return 0."""

NVRTC = "nvidia-cuda-nvrtc==13.0.88"
"""The compiler that comes with that build. It needs no device, so it is no stub."""

HERE = Path(__file__).resolve().parent
SOURCES = {
    "libcudart.so.13": "runtime.cpp",
    "libcudnn.so.9": "dnn.cpp",
    "libcublas.so.13": "blas.cpp",
    "libcublasLt.so.13": "blas.cpp",
    "libcuda.so.1": "driver.cpp",
}
UNVERSIONED = {
    "cuFile": "libcufile.so.0",
    "cusparseLt": "libcusparseLt.so.0",
    "nccl": "libnccl.so.2",
    "nvshmem": "libnvshmem_host.so.3",
    "cu": "libcuda.so.1",
}
"""Libraries whose symbols carry no version, by the beginning of their names; the first that fits counts."""
CUDA_SYMBOL = re.compile(r"^(__cuda|cu|nccl|nvshmem|nvrtc)\w*$")


def main(directory: Path) -> None:
    """Installs torch once; compiles the stubs anew."""
    torch = directory / "torch"
    if not (torch / "nvidia").exists() or not (torch / "torch" / "lib").exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(torch)]
        subprocess.run([*install, TORCH, NVRTC], check=True)
    libraries = directory / "lib"
    shutil.rmtree(libraries, ignore_errors=True)
    libraries.mkdir(parents=True)
    shutil.copy(HERE / "fakegpu.py", torch)
    needed = needed_symbols(torch / "torch" / "lib")
    for soname in sorted(needed, key=lambda soname: soname != "libcudart.so.13"):  # the others are linked with it
        compile_library(libraries, soname, needed[soname])


def needed_symbols(directory: Path) -> dict[str, dict[str, str]]:
    """Of every CUDA library that torch's are linked against: the names of the symbols they use, and their versions or ""."""
    needed: dict[str, dict[str, str]] = defaultdict(dict)
    for library in sorted(directory.glob("*.so")):
        dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
        for soname in re.findall(r"NEEDED.*\[(lib(?:cu|nv|nccl)[^\]]*)\]", dynamic):
            needed[soname]  # even if nothing of it is used, it is loaded
        undefined = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True).stdout
        for line in undefined.splitlines():
            name, _, version = line.split()[-1].partition("@")
            if CUDA_SYMBOL.match(name):
                soname = version if version.startswith("lib") else next(s for p, s in UNVERSIONED.items() if name.startswith(p))
                needed[soname][name] = version
    return needed


def compile_library(libraries: Path, soname: str, symbols: dict[str, str]) -> None:
    """Compiles the source of this library, and functions that return 0 for whatever else is needed of it."""
    source = HERE / SOURCES[soname] if soname in SOURCES else None
    defined = exported(libraries, source) if source else set()
    rest = libraries / "rest.cpp"
    returns_0 = 'extern "C" __attribute__((visibility("default"))) int {}() {{ return 0; }}\n'
    rest.write_text("".join(returns_0.format(name) for name in sorted(set(symbols) - defined)))
    command = [*compiler(), "-shared", f"-Wl,-soname,{soname}", "-Wl,-rpath,$ORIGIN", "-o", libraries / soname, rest]
    command += [source] if source else []
    command += [libraries / "libcudart.so.13"] if source and soname != "libcudart.so.13" else []
    versions = sorted({version for version in symbols.values() if version})
    if versions:
        script = libraries / "versions.map"
        script.write_text("".join(f"{version} {{ global: *; }};\n" for version in versions))
        command.append(f"-Wl,--version-script={script}")
    subprocess.run(command, check=True)


def exported(libraries: Path, source: Path) -> set[str]:
    """The functions that a source file defines for others."""
    compiled = libraries / "source.o"
    subprocess.run([*compiler(), "-c", source, "-o", compiled], check=True)
    symbols = subprocess.run(
        ["nm", "--defined-only", "--extern-only", compiled], capture_output=True, text=True, check=True
    ).stdout
    return {line.split()[-1] for line in symbols.splitlines()}


def compiler() -> list[str]:
    headers = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include"
    return ["g++", "-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", f"-I{headers}"]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
