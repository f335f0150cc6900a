"""Provenance of a result: machine, software, commit. Recorded beside results, never part of a key. No torch here."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

PACKAGE = Path(__file__).resolve().parents[1]

SNAPSHOT_RECORD = "snapshot.json"
"""The file beside the package in a snapshot of the code that tells where it was taken from."""

BUILD_RECORD = "build.json"
"""The file in an installed package with the commit that CMake found in the checkout that the wheel was built from."""

RECORDED_PACKAGES = ("xtra-bench", "torch", "numpy", "gymnasium", "ale-py", "pydantic")
"""Their versions can change a result."""


def package_version(name: str) -> str | None:
    """Returns the installed version, from the metadata: nothing is imported."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def software() -> dict[str, Any]:
    """Describes Python, platform, package versions and the commit of this code (None when nobody recorded it)."""
    commit, dirty = code_commit()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: package_version(name) for name in RECORDED_PACKAGES},
        "git_commit": commit,
        "git_dirty": dirty,
    }


def hardware() -> dict[str, Any]:
    """Describes this machine. `device` is the GPU in use when torch has been imported and sees one, else "cpu"."""
    return {
        "host": platform.node(),
        "cpu": _cpu_name(),
        "instruction_set": instruction_set(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "device": _device(),
    }


@cache
def code_commit() -> tuple[str | None, bool | None]:
    """Returns the commit of the checkout that this package is part of, a snapshot of, or built from, and whether the package
    differs from it.

    (None, None) for a package that was built without git.
    """
    snapshot = PACKAGE.parent / SNAPSHOT_RECORD
    if snapshot.exists():
        return _recorded(snapshot)
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return _recorded(PACKAGE / BUILD_RECORD)
    changes = _git("status", "--porcelain", "--", ".")
    return _git("rev-parse", "HEAD"), None if changes is None else bool(changes)


def _recorded(path: Path) -> tuple[str | None, bool | None]:
    try:
        record = json.loads(path.read_bytes())
        return record["git_commit"], record["git_dirty"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", PACKAGE, *arguments], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def instruction_set() -> str:
    """Returns the vector instructions that torch computes with on this processor: avx512, avx2 or default; the machine's kind
    elsewhere.

    With another set, sums differ in their last bits.
    """
    if capability := os.environ.get("ATEN_CPU_CAPABILITY"):  # torch's own switch
        return capability
    flags = {flag for line in _cpu_lines("flags")[:1] for flag in line.split()}
    if {"avx512f", "avx512bw", "avx512vl", "avx512dq", "fma"} <= flags:
        return "avx512"
    if {"avx2", "fma"} <= flags:
        return "avx2"
    return "default" if flags else platform.machine()


def _cpu_name() -> str:
    names = _cpu_lines("model name")
    return names[0] if names else platform.processor() or platform.machine()


def _cpu_lines(field: str) -> list[str]:
    """Returns a field of Linux's `/proc/cpuinfo` for each core."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(field)]


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return "cpu"
