"""`python install_without_cuda.py ARGUMENTS...` does `pip install ARGUMENTS...`, but leaves out NVIDIA's libraries, the gigabytes
that PyPI's torch for Linux asks for.

Tests that need no GPU only have to load such a torch. So its CUDA libraries are stubs: each of their functions returns
cudaErrorNoDevice, and torch sees no GPU. What its metadata say of the real ones is taken out, or pip would fetch them with the
next package. A CPU build, where pip's index has one, is left as it is. Needs gcc and binutils.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from importlib.metadata import distribution
from pathlib import Path

NO_DEVICE = 100
"""cudaErrorNoDevice"""

LIBRARY = re.compile(r"NEEDED.*\[(lib(?:cu|nv|nccl)[^\]]*)\]")
FUNCTION = re.compile(r"^(?:__cuda|cu|nccl|nv)\w*$")
REQUIREMENT = re.compile(r"^Requires-Dist: (?:nvidia|cuda|triton)\b.*\n", re.MULTILINE)
"""Of a wheel's metadata: the packages that only a GPU needs."""


def main(arguments: list[str]) -> None:
    """Installs torch alone, makes it loadable, and installs what else is asked for."""
    if any(argument.partition("=")[0] == "torch" for argument in arguments):
        install("--no-deps", *arguments)
        torch = distribution("torch")
        lay_stubs(Path(str(torch.locate_file("torch/lib"))))
        metadata = Path(str(torch.locate_file(f"torch-{torch.version}.dist-info/METADATA")))
        metadata.write_text(REQUIREMENT.sub("", metadata.read_text(encoding="utf-8")), encoding="utf-8")
    install(*arguments)


def install(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", *arguments], check=True)


def lay_stubs(directory: Path) -> None:
    """Compiles each CUDA library that torch's libraries there are linked against, with the functions that they use of it."""
    libraries = sorted(directory.glob("*.so*"))
    sonames = {soname for library in libraries for soname in LIBRARY.findall(read("readelf", "-d", library))}
    missing = sorted(soname for soname in sonames if not (directory / soname).exists())
    versions = required_versions(libraries)
    owners = {version: soname for soname, names in versions.items() for version in names}
    functions: dict[str, set[str]] = defaultdict(set)
    for library in libraries if missing else ():
        for line in read("nm", "-D", "--undefined-only", library).splitlines():
            name, _, version = line.split()[-1].partition("@")
            if FUNCTION.match(name):
                functions[owners[version] if owners.get(version) in missing else missing[0]].add(name)
    for soname in missing:
        compile_stub(directory / soname, functions[soname], sorted(versions[soname]) or [soname])


def required_versions(libraries: list[Path]) -> dict[str, set[str]]:
    """Names the versions of symbols that these libraries ask of others, by soname: most of CUDA's bear the library's own name,
    NVSHMEM's does not."""
    versions: dict[str, set[str]] = defaultdict(set)
    for library in libraries:
        soname = ""
        for line in read("objdump", "-p", library).splitlines():
            if match := re.fullmatch(r"\s+required from (\S+):", line):
                soname = match[1]
            elif match := re.fullmatch(r"\s+0x\w+ 0x\w+ \d+ (\S+)", line):
                versions[soname].add(match[1])
    return versions


def compile_stub(path: Path, functions: set[str], versions: list[str]) -> None:
    """Compiles a library whose symbols bear the first of these versions; those that ask for none find them, too."""
    with tempfile.TemporaryDirectory() as scratch:
        source, script = Path(scratch) / "stub.c", Path(scratch) / "stub.map"
        source.write_text("".join(map(definition, sorted(functions))))
        script.write_text(f"{versions[0]} {{ global: *; }};\n" + "".join(f"{other} {{ }};\n" for other in versions[1:]))
        options = ["-shared", "-fPIC", "-w", f"-Wl,-soname,{path.name}", f"-Wl,--version-script={script}"]
        subprocess.run(["gcc", *options, "-o", path, source], check=True)


def definition(function: str) -> str:
    """Writes a function in C: it fails or, where it is asked for a text, says so."""
    if function.endswith(("ErrorString", "ErrorName")):
        return f'const char *{function}(void) {{ return "a stub without a device"; }}\n'
    return f"int {function}(void) {{ return {NO_DEVICE}; }}\n"


def read(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main(sys.argv[1:])
