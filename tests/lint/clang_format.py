"""Checks the C++ and CUDA sources' format; run by `tox -e lint`."""

import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "xtra" / "csrc"

if __name__ == "__main__":
    files = sorted(path for path in SOURCES.rglob("*") if path.suffix in {".cpp", ".hpp", ".cu", ".cuh"})
    sys.exit(subprocess.run(["clang-format", "--dry-run", "--Werror", *files], check=False).returncode if files else 0)
