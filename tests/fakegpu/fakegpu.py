"""What the fake device was asked for since `reset`. Importable where build.py has laid the device."""

import ctypes
import subprocess
from collections.abc import Sequence

import torch  # loads the stub runtime

_runtime = ctypes.CDLL("libcudart.so.13")
_runtime.fakegpu_report.restype = ctypes.c_char_p
assert torch.version.cuda, "this torch was built without CUDA"


def reset() -> None:
    """Forgets everything."""
    _runtime.fakegpu_reset()


def report() -> dict[str, dict[str, int]]:
    """Counts by name: calls that `ran`, nodes that graphs `captured`, and `complaints`: what a device would refuse or warn of.

    Kernels are `kernel ` and their mangled name; see `demangled`.
    """
    counts: dict[str, dict[str, int]] = {"ran": {}, "captured": {}, "complaints": {}}
    for line in _runtime.fakegpu_report().decode().splitlines():
        kind, count, name = line.split("\t", 2)
        counts[kind][name] = counts[kind].get(name, 0) + int(count)
    return counts


def demangled(names: Sequence[str]) -> list[str]:
    """Kernels by their C++ names, by binutils."""
    text = "\n".join(name.removeprefix("kernel ") for name in names)
    return subprocess.run(["c++filt", "-p"], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
